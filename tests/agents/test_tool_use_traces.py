"""Steps of AgentLab's tool-use agent are read: the calls as they were executed, the thought, and no prompt of tool messages."""

import gzip
import json
import pickle
from pathlib import Path

import pytest
from agentlab.llm.response_api import MessageBuilder, ToolCall, ToolCalls, tool_call_to_python_code

from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes


@pytest.mark.parametrize("summary", [None, "So far I opened the form."])
def test_calls_of_a_tool_use_agent_are_actions(tmp_path: Path, summary: str | None) -> None:
    calls = [("fill", {"bid": "13", "value": "it's\n5 < 6"}), ("click", {"bid": "14"}), ("noop", {})]
    made = [ToolCall(name=name, arguments=arguments, raw_call=None) for name, arguments in calls]
    last = MessageBuilder("tool")
    last.responded_tool_calls = ToolCalls(tool_calls=made, raw_calls=None)
    messages = [MessageBuilder("tool_description").add_text("[]"), MessageBuilder.user().add_text("[13] textbox ''")]
    messages += [MessageBuilder.assistant().add_text(summary)] if summary else []
    info = {"think": "I fill it.", "chat_messages": [*messages, last], "stats": {"input_tokens": 5}}
    action = "\n".join(tool_call_to_python_code(name, arguments) for name, arguments in calls)
    obs = {"goal": "Fill it.", "axtree_txt": "RootWebArea 'A'\n\t[13] textbox ''\n\t[14] button 'OK'"}
    folder = tmp_path / "2025-01-01_00-00-00_tool_on_miniwob.click-test_1"
    folder.mkdir()
    (folder / "step_0.pkl.gz").write_bytes(
        gzip.compress(pickle.dumps({"obs": obs, "action": action, "agent_info": info}))
    )
    args = {"agent_args": {"agent_name": "ToolUse", "model_args": {"model_name": "gpt-4.1"}}}
    (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
    (folder / "summary_info.json").write_text(json.dumps({"cum_reward": 1.0, "terminated": True, "truncated": False}))
    (found,) = find_episodes([tmp_path])
    episode = read_episode(found)
    (step,) = episode.steps
    assert (step.action, step.thought, step.prompt_tokens) == (action, "I fill it.", 5)
    assert (step.messages, step.answer, episode.teacher) == ((), "", "gpt-4.1")
