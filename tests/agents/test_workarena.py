"""WorkArena without an instance: the study, its episodes, and the agent on recorded pages."""

from pathlib import Path

import gymnasium
import pytest

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.agents.action_sets import make_action_set
from agentmerge_hub.agents.browser.agentlab_api import Study
from agentmerge_hub.agents.chat_agent import ChatAgent, ChatAgentArgs
from agentmerge_hub.agents.recipes.recipe import read
from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.agents.study.agentlab_study import save_study
from agentmerge_hub.agents.study.plan import plan
from agentmerge_hub.prompt import ADVANCED, answer, tree_bids
from agentmerge_hub.traces.episode import read_episode
from agentmerge_hub.traces.find import find_episodes


def test_a_study_of_workarena_has_agentlabs_layout(write_recipe, tmp_path: Path) -> None:
    recipe = read(
        write_recipe(
            name="snow",
            benchmark="workarena_l1",
            candidates=[{"name": "m", "model": "some/model", "tokenizer": "some/model"}],
            agents=[{"name": "advanced", "flags": {"preset": "advanced"}}, {"name": "generic", "generic": "FLAGS_8B"}],
            episodes=[{"split": "inter_task", "browsergym_split": "train", "seeds": "1000-1001"}],
            slow_mo=None,
            wait_after_action=None,
            max_steps=None,
            endpoint="http://127.0.0.1:9/v1",
        )
    )
    planned = plan(recipe)
    saved = Study.load(save_study(planned, tmp_path))
    assert len(saved.exp_args_list) == 15 * 2 * 2
    assert {run.env_args.max_steps for run in saved.exp_args_list} == {15}
    for run in saved.exp_args_list:
        assert gymnasium.spec(f"browsergym/{run.env_args.task_name}").entry_point
    generic = saved.exp_args_list[-1].agent_args
    assert generic.flags.action.action_set.subsets == ("workarena",)  # set by AgentLab for the benchmark


def test_the_papers_actions_can_be_executed() -> None:
    actions = make_action_set(ADVANCED.action_space, ADVANCED.multi_actions)
    code = actions.to_python_code("fill('a1', 'it\\'s')\nselect_option('b2', 'one')\nsend_msg_to_user('done')")
    assert "fill(" in code and "select_option(" in code and "send_msg_to_user(" in code


def test_the_agent_acts_on_a_real_page_within_its_window(real_traces, tokenizer_folder, chat_server) -> None:
    found = find_episodes([real_traces / "workarena"])
    step = next(step for f in found[:5] for step in read_episode(f).steps if len(step.observation.axtree) > 20000)
    seen = step.observation

    def reply(messages: list[dict]) -> str:
        bid = sorted(tree_bids(messages[1]["content"]))[0]
        return answer(f"click({bid!r})", "It is there.")

    chat_server.answer = reply
    endpoint.configure(chat_server.address)
    args = ChatAgentArgs(
        agent_name="a", model="m", flags=ADVANCED.model_dump(), tokenizer=str(tokenizer_folder), window=8192, answer=512
    )
    agent = ChatAgent(args)
    obs = {
        "goal": seen.goal,
        "axtree_txt": seen.axtree,
        "focused_element_bid": seen.focused_bid,
        "last_action_error": "",
    }
    action, info = agent.get_action(obs)
    (call,) = parse_calls(action)
    assert call.name == "click" and set(call.bids) <= tree_bids(seen.axtree)
    sent = chat_server.requests[0]["messages"]
    assert agent.tokenizer.count(agent.tokenizer.render(sent)) <= 8192 - 512
    assert seen.goal in sent[1]["content"] and info.extra_info["lines_cut"]["axtree"] > 0


@pytest.mark.parametrize("level", ["workarena_l2", "workarena_l3"])
def test_higher_levels_use_the_papers_longer_action_space(level: str, write_recipe) -> None:
    agents = [{"name": "a", "flags": {"preset": "advanced", "action_space": "workarena++"}}]
    recipe = read(
        write_recipe(benchmark=level, candidates=[{"name": "m", "model": "m"}], agents=agents,
                     episodes=[{"split": "cross_task"}], max_steps=None)
    )  # fmt: skip
    planned = plan(recipe)
    assert {episode.run.env_args.max_steps for episode in planned.episodes} == {50}
    assert planned.benchmark.is_multi_tab
