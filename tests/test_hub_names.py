"""A name that cannot be on the Hub is refused at once, and a Hub out of reach is not asked again and again."""

from pathlib import Path

import pytest
from huggingface_hub import constants, is_offline_mode

from agentmerge_hub.errors import UserError
from agentmerge_hub.hub_names import check_name


@pytest.mark.parametrize(
    "name", ["./nothing", "../nothing", "/nothing", "~/nothing", "runs/web/base", "a b", "x" * 5000, "a\0"]
)
def test_what_can_only_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"^no model at .*: (no such folder, and it cannot be a Hub id|it is no path)"):
        check_name(name, "model")


def test_a_hub_out_of_reach_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    check_name(str(tmp_path), "model")
    assert not is_offline_mode()
    check_name("org/name", "model")
    assert is_offline_mode()
