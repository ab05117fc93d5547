"""Whatever a pickle holds, an episode is read or set aside with a reason."""

import pickle
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import Found

SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5)
ANY = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)  # fmt: skip


def shaped(*names: str) -> st.SearchStrategy[dict]:
    """A dictionary with some of these keys and any values."""
    return st.dictionaries(st.sampled_from(names), ANY, max_size=len(names))


OBS = shaped("goal", "goal_object", "axtree_txt", "pruned_html", "url", "open_pages_urls", "open_pages_titles", "active_page_index", "chat_messages", "last_action_error")  # fmt: skip
MESSAGE = shaped("role", "content", "type", "__dict__") | SCALAR
INFO = st.fixed_dictionaries({}, optional={"think": ANY, "chat_messages": st.lists(MESSAGE, max_size=4) | st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=4)}), "stats": shaped("n_retry", "input_tokens"), "extra_info": shaped("model", "flags", "chat_model_args")}) | ANY  # fmt: skip
STEP = st.fixed_dictionaries({}, optional={"obs": OBS | ANY, "action": ANY, "agent_info": INFO, "reward": ANY, "stats": ANY}) | ANY  # fmt: skip
ARGS = shaped("agent_args", "env_args", "exp_date", "err_msg") | ANY


@settings(deadline=None, max_examples=300)
@given(
    steps=st.lists(STEP, max_size=3),
    args=ARGS,
    goal=ANY,
    summary=st.binary(max_size=10) | st.just(b'{"cum_reward": "x"}'),
)
def test_an_episode_is_read_or_named_unreadable(steps: list, args: object, goal: object, summary: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "2025-01-01_00-00-00_agent_on_miniwob.click-dialog_3"
        folder.mkdir()
        for number, step in enumerate(steps):
            (folder / f"step_{number}.pkl").write_bytes(pickle.dumps(step))
        (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
        (folder / "goal_object.pkl.gz").write_bytes(pickle.dumps(goal))
        (folder / "summary_info.json").write_bytes(summary)
        try:
            episode = read_episode(Found("source", folder))
        except Unreadable as reason:
            assert str(reason)
            return
        for step in episode.steps:
            assert all(isinstance(text, str | None) for text in vars(step.observation).values())
            assert isinstance(step.answer, str) and (step.action is None or isinstance(step.action, str))
