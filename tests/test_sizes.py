"""Sizes in sentences."""

import pytest

from agentmerge_hub.sizes import size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (2_100, "2.1 kB"), (49_500_000, "49.5 MB"), (1.26e9, "1.3 GB"),
        (1.5e13, "15.0 TB"),
    ],
)  # fmt: skip
def test_a_size_is_never_rounded_to_nothing(count: float, text: str) -> None:
    assert size_text(count) == text
