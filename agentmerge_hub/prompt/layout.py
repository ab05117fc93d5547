"""A prompt as blocks of text: what `fit` may truncate is a block of its own."""

from dataclasses import dataclass, replace

from agentmerge_hub.records import Message


@dataclass(frozen=True)
class Block:
    """A part of a turn. Only blocks named ``axtree`` or ``html`` may be truncated."""

    text: str
    name: str = ""
    opens: str = ""
    """Role of the turn that begins with this block; empty where the turn of the block before goes on."""


@dataclass(frozen=True)
class Prompt:
    """A prompt before or after fitting: the system turn and the other turns in blocks. `Prompt.messages` joins them."""

    system: str
    blocks: tuple[Block, ...]

    def messages(self) -> tuple[Message, ...]:
        """The chat messages; blocks before any that opens a turn belong to a user turn."""
        turns: list[tuple[str, list[str]]] = []
        for block in self.blocks:
            if block.opens or not turns:
                turns.append((block.opens or "user", []))
            turns[-1][1].append(block.text)
        messages = tuple(Message(role=role, content="".join(texts)) for role, texts in turns)
        return (Message(role="system", content=self.system), *messages) if self.system else messages

    def block(self, name: str) -> str:
        """Text of the named block, empty if there is none."""
        return next((block.text for block in self.blocks if block.name == name), "")

    def with_block(self, name: str, text: str) -> "Prompt":
        """The same prompt with another text in the named block."""
        return replace(self, blocks=tuple(replace(b, text=text) if b.name == name else b for b in self.blocks))
