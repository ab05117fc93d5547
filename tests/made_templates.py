"""Chat templates of several families, which keep the rule of training: as they are, with the system text in the user turn, or with a setting."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

TURN = "<|start|>{{ m.role }}\n{{ m.content }}<|end|>"
ASSISTANT = "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"


def each(body: str, opening: str = ASSISTANT) -> str:
    return "{{ bos_token }}{% for m in messages %}" + body + "{% endfor %}" + opening


KEPT = {
    "plain": each(TURN),
    "line break behind the turn": each(TURN + "\n"),
    "answers are stripped": each("<|start|>{{ m.role }}\n{{ m.content | trim }}<|end|>"),
    "thoughts are dropped": each(
        "<|start|>{{ m.role }}\n{% if '</think>' in m.content and m.role == 'assistant' %}"
        "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|end|>"
    ),
    "an empty thought is added": each(
        "<|start|>{{ m.role }}\n{% if m.role == 'assistant' and '<think>' not in m.content %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content }}<|end|>\n"
    ),
    "the system text moves to the last turn": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set rules = messages[0].content %}{% endif %}"
        "{% for m in messages %}{% if m.role == 'user' %}<|start|>{% if loop.last and rules %}{{ rules }}\n\n{% endif %}"
        "{{ m.content }}<|sep|>{% elif m.role == 'assistant' %} {{ m.content }}<|end|>{% endif %}{% endfor %}"
    ),
    "another token ends the text": each(
        TURN + "\n", "{% if add_generation_prompt %}<|start|>assistant\n{% else %}<|bos|>{% endif %}"
    ),
}
FOLDED = {
    "the system turn raises": "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + KEPT["plain"],
    "the system turn is dropped": each("{% if m.role != 'system' %}" + TURN + "{% endif %}"),
    "roles have to alternate": "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}"
    + each("<|start|>{{ m.role }}\n{{ m.content | trim }}<|end|>"),
}
THINKING = each(
    TURN,
    "{% if add_generation_prompt %}<|start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
OPENS_THOUGHT = each(TURN, "{% if add_generation_prompt %}<|start|>assistant\n<think>\n{% endif %}\n")


def with_template(tokenizer: PreTrainedTokenizerFast, source: str, folder: Path) -> str:
    tokenizer.chat_template = source
    tokenizer.save_pretrained(folder)
    return str(folder)
