"""The search for garbage is paused for imports, and is as it was after them."""

import gc

import pytest

from agentmerge_hub.garbage import collection_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_the_search_for_garbage_is_as_it_was_after_a_pause(enabled: bool) -> None:
    if not enabled:
        gc.disable()
    try:
        with pytest.raises(ImportError), collection_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
