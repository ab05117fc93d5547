"""Chat templates of several families: what is trained is the answer as it was written and the end of the turn."""

import json
import resource
from pathlib import Path

import pytest
from made_templates import FOLDED, KEPT, OPENS_THOUGHT, THINKING, TURN, each, with_template
from made_tokenizers import CHAT_TEMPLATE, gemma, saved
from tokenizers import decoders
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.chat_template.settings import fixed_settings, parse_settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Message
from agentmerge_hub.tokenizer import ChatTokenizer

PROMPT = [
    Message(role="system", content="Answer with one action."),
    Message(role="user", content="Press OK.\n[7] button"),
]
ANSWERS = (
    "<think>\nOK is 7.\n</think>\n<action>\nclick('7')\n</action>",
    "<action>\nclick('7')\n</action>",
    " noop() ",
)

REFUSED = {
    "raises an error": "{{ raise_exception('never') }}",
    "raises an error:": "{% for m in messages %}",
    "drops the user text": each("{% if m.role != 'user' %}" + TURN + "{% endif %}"),
    "between the prompt and the answer": each(
        "<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}<|sep|>final{% endif %}{{ m.content }}<|end|>"
    ),
    "in a prompt and with": each(TURN, "{% if add_generation_prompt %}<|start|>model\n{% endif %}"),
    "which is no special token": each(
        "{{ m.role }}: {{ m.content }}\n", "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
    "writes <think> before every answer": each(
        TURN,
        "{% if add_generation_prompt %}<|start|>assistant\n{% if enable_thinking is not defined or enable_thinking %}<think>\n"
        "{% endif %}{% endif %}",
    ),
    "Range too big": "{% for i in range(100000000) %}x{% endfor %}" + KEPT["plain"],
    "final' between the prompt and the answer": "{{ strftime_now('%d %b') }}"  # as GPT-OSS
    + each("<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}<|sep|>final{% endif %}{{ m.content }}<|end|>"),
    "draws text at random": "{{ ['a', 'b'] | random }}" + KEPT["plain"],
    "tomorrow: use a copy of it without the date": "{{ strftime_now('%d %b') | upper }}" + KEPT["plain"],
    "every prompt, so that a run could not be repeated": (  # yesterday's, as Mistral's templates write it
        "{{ strftime_now('%Y-%m-') }}{{ strftime_now('%d') | int - 1 }}" + KEPT["plain"]
    ),
    "tomorrow: fix it with chat_template_kwargs": (
        "{% if messages[0].role != 'system' %}{{ raise_exception('rules first') }}{% endif %}"
        "{{ date_string or strftime_now('%d %b') }}"
    )
    + KEPT["plain"],
}

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
EXCESSIVE = {
    "loops in loops on a long page": (
        "{% if messages[-1].content | length > 100000 %}" + LOOPS + "{% endif %}",
        "takes more than 5 s of processor time",
    ),
    "a text repeated": ("{{ 'x' * 10**10 }}", "takes more than 1 GiB of memory"),
    "a constant that is computed and not used": (
        "{% if messages | length > 999 %}{{ 'x' * 10**10 }}{% endif %}", "takes more than 1 GiB of memory"
    ),
    "a text doubled": (
        "{% set n = namespace(x='x') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "takes more than 1 GiB of memory",
    ),
    "a wide field": ("{{ messages[0].role | center(10**10 * messages | length) }}", "takes more than 1 GiB of memory"),
    "a long list": ("{% generation %}{{ [0] * 10**10 }}{% endgeneration %}", "takes more than 1 GiB of memory"),
    "a setting": ("{% if x is defined %}{{ x * 10**10 }}{% endif %}", "takes more than 1 GiB of memory"),
    "loops in loops in loops": ("{% for m in messages %}" * 25 + "{% endfor %}" * 25, "raises an error: too many statically"),
    "brackets in brackets": ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "is not valid Jinja: maximum recursion"),
    "half a character": ("\ud800", "is not text"),
}  # fmt: skip


@pytest.fixture
def tokenizer(tokenizer_folder: Path) -> PreTrainedTokenizerFast:
    loaded = AutoTokenizer.from_pretrained(tokenizer_folder)
    loaded.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|sep|>"]})
    return loaded


@pytest.mark.parametrize("source", [*KEPT.values(), *FOLDED.values()], ids=[*KEPT, *FOLDED])
def test_the_answer_is_trained_verbatim_in_every_family(
    tokenizer: PreTrainedTokenizerFast, source: str, tmp_path: Path
) -> None:
    counter = ChatTokenizer(with_template(tokenizer, source, tmp_path))
    template = counter.template
    prompt = template.prompt_text(PROMPT)
    assert all(message["content"] in prompt for message in PROMPT)
    assert template.folds_system == (source in FOLDED.values())
    start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    for answer in ANSWERS:
        ids = tokenizer(prompt + template.completion_text(answer), add_special_tokens=False)["input_ids"]
        assert ids[: len(start)] == start
        assert tokenizer.decode(ids[len(start) :]) == f"{answer}<|end|>"
        assert counter.count_completion(prompt, answer) == len(ids) - len(start)
    with pytest.raises(UserError, match="ends a turn"):
        template.completion_text("<|end|>")

    # The template that is saved renders the same prompt from plain messages, and a server with the original one gets folded ones.
    saved = AutoTokenizer.from_pretrained(with_template(tokenizer, template.source, tmp_path / "saved"))
    assert saved.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True) == prompt
    assert ChatTemplate(saved).sha256 == template.sha256
    original = {"chat_template": source, "tokenize": False, "add_generation_prompt": True}
    assert saved.apply_chat_template(template.messages(PROMPT), **original) == prompt


def test_a_thought_that_every_prompt_opens_is_left_out(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """As DeepSeek-R1's templates do, which have no setting against it: answers write their own thoughts, or none."""
    folder = with_template(tokenizer, OPENS_THOUGHT, tmp_path)
    template = ChatTokenizer(folder).template
    assert template.prompt_text(PROMPT).endswith("button<|end|><|start|>assistant\n")
    assert template.end_of_turn == "<|end|>" and template.completion_text(ANSWERS[0]) == f"{ANSWERS[0]}<|end|>"
    saved = AutoTokenizer.from_pretrained(with_template(tokenizer, template.source, tmp_path / "saved"))
    assert saved.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True) == template.prompt_text(PROMPT)
    assert ChatTemplate(saved).sha256 == template.sha256
    # An agent of the untrained model counts what a server with the original template renders.
    assert ChatTokenizer(folder, prompts_only=True).render(PROMPT).endswith("<think>\n")


def test_the_token_that_opens_the_next_turn_may_end_an_answer(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """As in GLM's templates."""
    source = each(
        "<|start|>{{ m.role }}\n{{ m.content }}", "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    counter = ChatTokenizer(with_template(tokenizer, source, tmp_path))
    assert counter.template.end_of_turn == "<|start|>"
    prompt = counter.template.prompt_text(PROMPT)
    answer = len(tokenizer(ANSWERS[0], add_special_tokens=False)["input_ids"])
    assert counter.count_completion(prompt, ANSWERS[0]) == answer + 1


def test_a_prompt_whose_last_token_takes_letters_of_the_answer_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    source = each(
        "<|start|>{{ m.role }}: {{ m.content }}<|end|>", "{% if add_generation_prompt %}<|start|>assistant: {% endif %}"
    )
    counter = ChatTokenizer(with_template(tokenizer, source, tmp_path))
    with pytest.raises(ValueError, match="joins the end of the prompt with the beginning of the answer"):
        counter.count_completion(counter.render(PROMPT), "noop()")


def test_an_answer_may_begin_with_a_space_that_decoders_drop(tmp_path: Path) -> None:
    """As SentencePiece's do at the beginning of a text."""
    made = gemma()
    spaces, first = decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)
    made.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse(), first])
    counter = ChatTokenizer(str(saved(made, tmp_path, CHAT_TEMPLATE)))
    answer = made.encode(" noop()<|end|>", add_special_tokens=False)
    assert made.decode(answer.ids, skip_special_tokens=False) == "noop()<|end|>"
    assert counter.count_completion(counter.render(PROMPT), " noop()") == len(answer)


@pytest.mark.parametrize(("says", "source"), REFUSED.items())
def test_a_template_that_cannot_keep_the_rule_is_refused(
    tokenizer: PreTrainedTokenizerFast, says: str, source: str, tmp_path: Path
) -> None:
    folder = with_template(tokenizer, source, tmp_path)
    with pytest.raises(UserError, match=says):
        ChatTokenizer(folder)


def test_a_date_in_place_of_a_system_text_is_refused_where_it_is_written(tokenizer: PreTrainedTokenizerFast) -> None:
    """As Mistral Small 3's template does."""
    default = (
        "{% if messages[0].role != 'system' %}<|start|>system\nToday is "
        "{{ date_string if date_string is defined else strftime_now('%d %b') }}.<|end|>{% endif %}"
    )
    tokenizer.chat_template = default + KEPT["plain"]
    template = ChatTemplate(tokenizer)
    assert "Today" not in template.prompt_text(PROMPT)
    with pytest.raises(UserError, match=r"date into a prompt without a system turn, .* \{date_string: 26 Jul 2024\}"):
        template.prompt_text(PROMPT[1:])
    assert "Today is 26 Jul." in ChatTemplate(tokenizer, {"date_string": "26 Jul"}).prompt_text(PROMPT[1:])


@pytest.mark.parametrize("role", ["system", "user", "developer", "tool"])
def test_a_turn_that_the_template_leaves_out_is_refused(tokenizer: PreTrainedTokenizerFast, role: str) -> None:
    """Whatever its role: a recorded page may be the answer of a tool. Earlier answers of the assistant may be left out."""
    tokenizer.chat_template = each("{% if '[8]' not in m.content %}" + TURN + "{% endif %}")
    template, link = ChatTemplate(tokenizer), "[8] link"
    assert link not in template.prompt_text([*PROMPT, Message(role="assistant", content=link), PROMPT[1]])
    with pytest.raises(UserError, match=f"does not keep the text of a {role} turn as it is"):
        template.prompt_text([*PROMPT, Message(role=role, content=link)])


@pytest.mark.parametrize(("source", "says"), EXCESSIVE.values(), ids=EXCESSIVE)
def test_a_template_that_takes_too_much_is_refused(tokenizer: PreTrainedTokenizerFast, source: str, says: str) -> None:
    tokenizer.chat_template = source + "{{ x }}" + KEPT["plain"]
    with pytest.raises(UserError, match=f"^the chat template of '.*' {says}"):
        ChatTemplate(tokenizer, {"x": "x"})


def test_a_template_that_is_slow_with_one_text_is_stopped(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.chat_template = "{% if 'xyzzy' in messages[-1].content %}" + LOOPS + "{% endif %}" + KEPT["plain"]
    template = ChatTemplate(tokenizer)
    monkeypatch.setattr("agentmerge_hub.chat_template.rendering_limits._SECONDS", 0.1)
    assert PROMPT[1]["content"] in template.prompt_text(PROMPT)
    with pytest.raises(UserError, match=r"takes longer than 0\.1 s to render a conversation"):
        template.prompt_text([Message(role="user", content="xyzzy")])


@pytest.mark.parametrize(
    "body",
    [
        "{% set n = namespace(x='x') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x='x') %}{% for i in range(64) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
        "{{ messages[0].role * 10**10 }}",
        "{{ messages[0].role | center(10**10 * messages | length) }}",
        "{{ messages[0].role.replace('', messages[0].role * 10**4) | list | join(messages[0].role * 10**4) }}",
        "{{ '{:10000000000}'.format(messages | length) }}",
        "{% for i in range(9999) %}{{ messages[0].role * 10**5 }}{% endfor %}",
    ],
    ids=["doubled", "doubled block", "repeated", "field", "joined", "format", "printed"],
)
def test_a_template_that_fills_the_memory_with_one_text_is_stopped(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    tokenizer.chat_template = "{% if 'xyzzy' in messages[-1].content %}" + body + "{% endif %}" + KEPT["plain"]
    template, before = ChatTemplate(tokenizer), resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setattr("agentmerge_hub.chat_template.rendering_limits.MEMORY_BYTES", 2**26)
    with pytest.raises(UserError, match=r"takes more memory than it may \(0\.0625 GiB\) to render a conversation"):
        template.prompt_text([Message(role="user", content="xyzzy")])
    assert PROMPT[1]["content"] in template.prompt_text(PROMPT)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_settings_are_written_into_the_template(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    folder = with_template(tokenizer, THINKING, tmp_path)
    text = json.dumps({"enable_thinking": False})
    without, with_setting = ChatTokenizer(folder), ChatTokenizer(folder, chat_template_kwargs=text)
    assert without.render(PROMPT).endswith("assistant\n")
    assert with_setting.render(PROMPT).endswith("<think>\n\n</think>\n\n")
    assert without.identity != with_setting.identity
    assert with_setting.template.manifest["settings"] == {"enable_thinking": False}
    saved = AutoTokenizer.from_pretrained(with_template(tokenizer, with_setting.template.source, tmp_path / "saved"))
    assert saved.apply_chat_template(PROMPT, tokenize=False, add_generation_prompt=True) == with_setting.render(PROMPT)
    # A saved template keeps its settings: the same ones may be named again, for training and for acting, and no other.
    again = ChatTokenizer(str(tmp_path / "saved"), chat_template_kwargs=text)
    assert again.template.source == with_setting.template.source
    for prompts_only in (False, True):
        with pytest.raises(UserError, match="was saved with enable_thinking false and chat_template_kwargs sets true"):
            other = json.dumps({"enable_thinking": True})
            ChatTokenizer(str(tmp_path / "saved"), chat_template_kwargs=other, prompts_only=prompts_only)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thinking", "write a JSON object"),
        ('{"enable_thinkin": false}', "has no setting 'enable_thinkin'"),
        ('{"messages": "none"}', "has no setting 'messages'"),
        ('{"date": [1]}', "write a text, a number"),
    ],
)
def test_mistakes_in_settings(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, text: str, says: str) -> None:
    folder = with_template(tokenizer, "{{ date }}" + KEPT["plain"], tmp_path)
    with pytest.raises(UserError, match=says):
        ChatTokenizer(folder, chat_template_kwargs=text)
    assert parse_settings(None) == {}


def test_the_settings_of_a_template_that_was_saved_twice_are_read() -> None:
    saved = '{% set style = "short" %}\n{% set enable_thinking = false %}\n{{ style }}{% set other = true %}'
    assert fixed_settings(saved) == {"style": "short", "enable_thinking": False}
