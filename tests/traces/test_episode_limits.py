"""One episode takes a bounded amount of memory and reading, whatever its files hold; the reason is said."""

import multiprocessing
from functools import partial
from pathlib import Path

import pytest
import trace_folders
from trace_folders import ARGS, DONE, STEP

from agentmerge_hub.dataset.parallel.part_cache import episode_key, episode_keys
from agentmerge_hub.traces import episode, limits
from agentmerge_hub.traces.episode import NeedsMoreMemory, Unreadable, check_distinct_lines, read_episode
from agentmerge_hub.traces.find import Found, find_episodes
from agentmerge_hub.traces.formats import documents


def write(folder: Path, pages: list[dict[str, str]]) -> Found:
    return trace_folders.write(folder, [STEP | {"obs": page} for page in pages], summary=DONE, args=ARGS)


@pytest.mark.parametrize(
    ("pages", "reason"),
    [
        ([{"axtree_txt": "a" * 3000}] * 10, "the episode holds more than 20,480 bytes of text"),
        ([{"pruned_html": "a" * 3000}] * 20, "the episode holds more than 30,720 bytes of HTML"),
        ([{"axtree_txt": "\n".join(f"line {n} {i}" for i in range(99))} for n in range(2)], "more than 1,706 bytes of different lines"),
        ([{"pruned_html": "\n".join(f"line {n} {i}" for i in range(99))} for n in range(2)], "more than 1,706 bytes of different lines"),
        ([{"axtree_txt": "a line\n" * 300} for _ in range(6)], None),
        ([{"axtree_txt": "x", "pruned_html": "a" * 1500} for _ in range(9)], None),
    ],
)  # fmt: skip
def test_the_texts_of_an_episode_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: list[dict[str, str]], reason: str | None
) -> None:
    found = write(tmp_path / "a", pages)
    size = 100 * 2**10  # far less than Python's own blocks of memory, which are not counted here
    monkeypatch.setattr(episode, "memory_limit", lambda limit: limits.memory_limit())
    for limit, error in ((size, Unreadable), (2 * size, NeedsMoreMemory)):
        monkeypatch.setattr(episode, "EPISODE_BYTES", limit)
        if reason is None:
            check_distinct_lines(read_episode(found, max_bytes=size), size)
        else:
            with pytest.raises(Unreadable, match=reason) as refused:
                check_distinct_lines(read_episode(found, max_bytes=size), size)
            assert type(refused.value) is error


def test_files_beyond_the_limit_are_neither_read_nor_hashed(tmp_path: Path) -> None:
    vast = write(tmp_path / "vast", [{}] * 20)
    for path in vast.folder.glob("step_*"):
        with path.open("r+b") as file:
            file.truncate(127 * 2**20)  # a sparse file takes no space
    with pytest.raises(Unreadable, match="the files of the episode are larger than 2048 MB together"):
        read_episode(vast)
    huge = write(tmp_path / "huge", [{}])
    keys = [episode_key(vast), episode_key(huge)]
    with (huge.folder / "step_0.pkl.gz").open("r+b") as file:
        file.truncate(2**30)
    with pytest.raises(Unreadable, match=r"step_0.pkl.gz is larger than 128 MB"):
        read_episode(huge)
    keys.append(episode_key(huge))  # a terabyte would take an hour to hash
    assert len(set(keys)) == 3


def read_within_64_mib(folder: Path) -> str:
    """Why a document is not read, in a process that has no memory to spare yet."""
    documents.memory_limit = partial(limits.memory_limit, 64 * 2**20)
    (found,) = find_episodes([folder])
    with pytest.raises(Unreadable) as refused:
        read_episode(found, max_bytes=64 * 2**20)
    return str(refused.value)


def test_a_document_of_many_values_does_not_fill_the_memory(tmp_path: Path) -> None:
    values = ",".join(["{}"] * 2_000_000)
    (tmp_path / "x.json").write_text(f'{{"schema_version": "ATIF-v1.7", "steps": [{values}]}}')
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "needs more memory than the limit" in pool.apply(read_within_64_mib, (tmp_path,))


def test_a_file_of_very_many_documents_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    document = '{"schema_version":"ATIF-v1.7"}'
    (tmp_path / "lines.jsonl").write_text(f"{document}\n" * 1_000_000)
    (tmp_path / "list.json").write_text(f"[{','.join([document] * 30_000)}]")
    (tmp_path / "fine.jsonl").write_text(f"{document}\n" * 20_000)
    *fine, lines, values = find_episodes([tmp_path])
    assert len(fine) == 20_000
    for found, reason in (
        (lines, "lines.jsonl holds more than 20,000 documents"),
        (values, "list.json holds more than 20,000 documents"),
    ):
        with pytest.raises(Unreadable, match=f"{reason}: split it into several files"):
            read_episode(found)


def test_the_key_of_an_episode_follows_every_file_that_is_read_with_it(tmp_path: Path) -> None:
    agent, llm_calls = tmp_path / "trial" / "agent", tmp_path / "run" / "llm_calls"
    agent.mkdir(parents=True)
    llm_calls.mkdir(parents=True)
    (agent / "trajectory.json").write_text('{"schema_version": "ATIF-v1.7", "steps": []}')
    (tmp_path / "run" / "a.jsonl").write_text("{}")
    (tmp_path / "run" / "a.metadata.json").write_text("{}")
    cube, atif = find_episodes([tmp_path])
    files = (tmp_path / "trial" / "result.json", llm_calls / "a_step000_x.json", llm_calls / "b_step000_x.json")
    for file, changes in zip(files, ([atif], [cube], [])):
        keys = {}
        for text in ("{}", '{"reward": 1}'):
            file.write_text(text)
            keys[text] = episode_keys([cube, atif])
        changed = [found for found, one, other in zip((cube, atif), *keys.values()) if one != other]
        assert changed == changes, file.name
