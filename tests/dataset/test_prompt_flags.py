"""What a dataset's manifest says of the flags of its prompts."""

import json
import pickle
from pathlib import Path

from dataset_files import run
from made_traces import write_episode

from agentmerge_hub import manifest
from agentmerge_hub.dataset.rows.prompt_flags import recorded_flags, rendered_flags, shared_flags
from agentmerge_hub.prompt import ADVANCED, BASIC, Flags
from agentmerge_hub.records import Observation

AGENTLAB = {
    "obs": {"use_html": True, "use_tabs": False, "extract_coords": "box", "use_diff": True, "html_type": "pruned_html"},
    "action": {
        "action_set": {"subsets": ["bid"], "multiaction": True},
        "long_description": False,
        "multi_actions": None,
    },
    "use_thinking": True,
    "use_plan": False,
    "max_prompt_tokens": 40_000,
}


def of_build(out: Path) -> dict[str, dict]:
    return manifest.read(out)["config"]["prompt_flags"]


def test_agentlabs_flags_have_the_names_here() -> None:
    assert recorded_flags(AGENTLAB) == {
        "use_html": True, "use_tabs": False, "extract_coords": "box", "multi_actions": True, "long_description": False, "use_thinking": True,
    }  # fmt: skip
    assert recorded_flags(Flags().model_dump()) == Flags().model_dump()
    hidden = recorded_flags({"obs": {"use_history": False, "use_action_history": True}})
    assert hidden == {"use_action_history": False, "use_think_history": False}
    assert recorded_flags({"use_html": 1, "action_space": ["all"], "extract_coords": "no", "obs": "x"}) == {}


def test_what_the_page_does_not_have_is_not_shown() -> None:
    flags = Flags(use_html=True, use_tabs=True)
    seen = rendered_flags(flags, Observation("Go.", "RootWebArea 'a'"))
    assert seen == flags.model_dump(exclude={"use_tabs"}) | {"use_html": False, "use_focused_element": False}
    full = Observation("Go.", "RootWebArea 'a'", html="<b></b>", focused_bid="", tabs="Tab 0")
    assert rendered_flags(flags, full) == flags.model_dump()


def test_a_flag_that_not_all_record_is_not_shared() -> None:
    prompts = [{"use_html": True, "use_tabs": False, "use_som": False}, {"use_html": True, "use_tabs": True}]
    found = shared_flags(json.dumps(flags) for flags in prompts)
    assert found == {"shared": {"use_html": True}, "different": ["use_som", "use_tabs"]}


def test_recorded_prompts_have_the_flags_of_their_agents(tmp_path: Path, tokenizer_folder: Path) -> None:
    for seed in range(4):
        for flags in (ADVANCED, BASIC):
            folder = write_episode(tmp_path / "traces", "miniwob.click-dialog", seed, flags=flags)
            args = pickle.loads((folder / "exp_args.pkl").read_bytes())
            args["agent_args"]["flags"] = flags.model_dump()
            (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
    command = ["build", tmp_path / "traces", "--tokenizer", tokenizer_folder, "--inter-share", 0]
    run(*command, "-o", tmp_path / "kept", "--preferences")
    found = of_build(tmp_path / "kept")
    assert found["cot"] == {"shared": ADVANCED.model_dump(), "different": []}
    assert found["no_cot"] == {"shared": BASIC.model_dump(), "different": []}
    assert found["all"]["different"] == ["multi_actions", "use_think_history", "use_thinking"]
    assert found["all"]["shared"]["use_html"] is False and found["preferences"] == found["unpaired"] == found["all"]

    run(*command, "-o", tmp_path / "rendered", "--rebuild-prompts", "--flag", "long_description=false")
    found = of_build(tmp_path / "rendered")
    assert found["no_cot"]["different"] == []
    assert found["no_cot"]["shared"] == BASIC.model_dump(exclude={"use_tabs"}) | {
        "action_space": "miniwob", "long_description": False, "use_focused_element": False,
    }  # fmt: skip
    assert found["all"]["different"] == ["use_think_history", "use_thinking"]


def test_recorded_prompts_without_flags_say_whether_they_have_a_thought(built: Path) -> None:
    without = {"use_screenshot": False, "use_som": False}
    assert of_build(built)["cot"] == {"shared": without | {"use_thinking": True}, "different": []}
    assert of_build(built)["all"] == {"shared": without, "different": ["use_thinking"]}
