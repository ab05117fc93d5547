"""AgentLab's GenericAgent and the chat agent execute the same actions for the same answers of a model.

Two differences are left out, in which the chat agent asks for another answer: AgentLab executes calls with missing or wrong
arguments, such as ``click()``, and the step fails; the action ``None`` ends its episode.
"""

import re
from typing import Any

from agentmerge_hub.agents.agent_args import make_agent_args
from agentmerge_hub.agents.browser.agentlab_api import DEFAULT_BENCHMARKS
from agentmerge_hub.agents.recipes.recipe import Recipe
from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.prompt import answer

GOOD = answer("fill('13', 'Ann')\nclick('14')", "Both.")

OBS = {
    "goal_object": ({"type": "text", "text": "Enter Ann and submit."},),
    "axtree_txt": "RootWebArea 'Page'\n\t[13] textbox ''\n\t[14] button 'Submit'",
    "pruned_html": '<input bid="13"/><button bid="14">Submit</button>',
    "focused_element_bid": "13",
    "last_action_error": "",
    "open_pages_urls": ("http://page",),
    "open_pages_titles": ("Page",),
    "active_page_index": [0],
    "chat_messages": (),
}

STEPS = 24

CALLS = ("fill('13', 'Ann')", "click('14')")

ACTIONS = (
    "{0}\n{1}", "{0}; {1}", "{0}\n    {1}", "1. {0}\n2. {1}", "- {0}\n- {1}", "[{0}, {1}]", "I fill: {0}\nthen I send: {1}",
    "```python\n{0}\n{1}\n```", "```\n{0}\n```\n{1}", "{0} # the name\n{1}", "# {0}\n{1}", "`{0}` `{1}`", "{0}", "{0} and {0}",
    "fill('13', 'An' 'n')", "noop(1_000)", "noop(1e3)", "fill(bid='13', value='A\\'n')", 'fill("13", "(x) [y]")', "fill('13', '''A\nn''')",
    "fill('13',\n  'Ann',\n)", "fill('13', f'{{x}}')", "fill('13', \"Ann)", "click('14'", "press_submit()", "click('14', 'left', ['Shift'])",
    "click('14', button=None)", "mouse_click(1.5, -2)", "scroll(0, 200) click('14')", "x = click('14')", "page.click('14')", "await click('14')",
    "click('14').then()", "Click('14')", "fill('13', [1, (2, {{'a': True}})])", "", "none", "go_back()", "fill('13', 'Ann', True)",
    "a) {0}\nb) {1}", "> {0}\n> {1}", "**{0}**\n**{1}**", "{{{0}}}", "{0},\n{1}", "\t{0}\n\t{1}", "~~~\n{0}\n~~~", "{0} -> {1}", "if True: {0}",
    "```json\n[\"{0}\"]\n```", "Action 1: {0}\nAction 2: {1}", "fill('13', \"it's\")", "fill('13', 'a\\\\b')", "fill('13', 'é😀')", "fill('13', b'x')",
    "fill('13', r'a\\n')", "fill('13', u'x')", "fill ('13', 'x')", "fill('13', None)", "fill('13', 'x'*3)", "noop(0x10)", "noop(1e400)", "click 14",
    "click('14'); # done", "# click('14')", "\"click('14')\"", "click('14')\\nclick('13')", "press('13', 'Enter')", "drag_and_drop('13', '14')",
    "select_option('13', ['a', 'b'])", "mouse_drag_and_drop(1,2,3,4)", "send_msg_to_user('hi')", "tab_focus(0)", "clíck('14')", "click('14'\n)",
    "{0}\n\n\n{1}", "({0}, {1})", "{0} then\n```\n{1}\n```", "First {0}, second {1}.", "| {0} | {1} |", "<b>{0}</b><br>{1}", "- [ ] {0}\n- [x] {1}",
    "\"\"\"{0}\"\"\"\n{1}", "{0}\r{1}", "{0}\x0b{1}", "{0}\u00a0{1}", "{0}\u2028{1}", "result = {0}; print(result)", "for _ in range(2): {1}",
    "fill('13', 'Ann'))", "((click('14')))", "click('14') if True else noop()", "lambda: click('14')", "fill('13', 'A' + 'nn')", "fill('13', -1)",
    "fill('13', 'Ann', enable_autocomplete_menu=False)", "fill('13', '\\u00e9')", "fill('13', '\\x4')", "fill('13', '<action>')", "click('14')#(",
    "noop(.5)", "noop(5.)", "noop(+5)", "noop(- 5)", "noop(1,)", "noop(,)", "noop(wait_ms=5)", "click(bid = '14' , button = 'right')", "none()", "noop",
)  # fmt: skip

WRAPPINGS = (
    "<action>\n{}\n</action>", "<think>\nFirst.\n</think>\n<action>{}</action>", "<ACTION>\n{}\n</ACTION>", "```\n{}\n```",
    "<action>{}</action>\n<action>\nclick('14')\n</action>", "Sure!\n<action>\n{}\n</action>\nDone.", "<action>\n{}", "{}",
    "<think>I could use <action>click('99')</action>.</think><action>{}</action>", "<action >{}</action>", "<action>{}</Action>",
    "<action><action>{}</action></action>", "<think>open <action>{}</action>", "<action>{}</action><action></action>", "<action>\r\n{}\r\n</action>",
)  # fmt: skip


def answers() -> list[str]:
    """Every action in the usual tags, and each other wrapping around some of the actions, others each time."""
    every = [WRAPPINGS[0].format(action.format(*CALLS)) for action in ACTIONS]
    others = [
        wrapping.format(ACTIONS[number % len(ACTIONS)].format(*CALLS))
        for place, wrapping in enumerate(WRAPPINGS[1:])
        for number in (0, 6, *range(7 + 7 * place, 13 + 7 * place))
    ]
    return every + others


def test_equal_answers_execute_equal_actions(chat_server, tokenizer_folder, monkeypatch) -> None:
    for name in ("VLLM_API_URL", "VLLM_API_KEY"):
        monkeypatch.setenv(name, "")
    endpoint.configure(chat_server.address)
    flags = {"preset": "advanced", "use_html": True}
    recipe = Recipe.model_validate(
        {
            "name": "same",
            "candidates": [{"name": "m", "model": "m", "tokenizer": str(tokenizer_folder)}],
            "agents": [{"name": "ours", "flags": flags}, {"name": "theirs", "generic": "FLAGS_LLAMA3_70B"}],
            "episodes": [{"split": "x"}],
        }
    )
    benchmark = DEFAULT_BENCHMARKS["miniwob"]()
    ours, theirs = (make_agent_args(recipe, recipe.candidates[0], agent, benchmark) for agent in recipe.agents)
    assert ours.flags["action_space"] == "miniwob_all"
    texts = answers()
    assert len(set(texts)) >= 200
    for multi_actions, chosen in ((True, texts), (False, texts[::4])):
        ours.flags["multi_actions"] = theirs.flags.action.multi_actions = multi_actions
        theirs.set_benchmark(benchmark, demo_mode=False)
        steps = zip(chosen, executed(chat_server, ours, chosen), executed(chat_server, theirs, chosen))
        assert [text for text, own, other in steps if own != other] == []


def executed(chat_server: Any, args: Any, texts: list[str]) -> list[list[str] | None]:
    """The calls and settings that the browser runs after each answer, in episodes of `STEPS` steps.

    If an answer is not accepted, the next one is good.
    """
    steps = []
    for number, text in enumerate(texts):
        if number % STEPS == 0:
            agent = args.make_agent()
        replies = iter([text])
        chat_server.answer = lambda messages, replies=replies: next(replies, GOOD)
        action, _ = agent.get_action(dict(OBS))
        code = agent.action_set.to_python_code(action) if action is not None else None
        calls = re.compile(r"(?!demo_mode)\w+(\(| ?=)")
        steps.append(code and [line for line in code.splitlines() if calls.match(line)])
    return steps
