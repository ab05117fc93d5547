"""What a person looks at first: near misses, random strings, and replaced values with something attached."""

from pathlib import Path

import pytest
from stage_outputs import sample

from agentmerge_hub.publishing.review.presentation import sections_of
from agentmerge_hub.publishing.review.uncertainty import SpotFinder, score


def spots(line: str) -> list[tuple[str, str]]:
    return [(spot.kind, line[spot.start : spot.end]) for spot in SpotFinder().find([line]).get(line, ())]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("StaticText 'kX9pQ2mZ7vLw4TbN'", [("random", "kX9pQ2mZ7vLw4TbN")]),
        ("password=admin&next=1", [("near-miss", "admin")]),
        ("pays with 4242 4242 4242 4241 today", [("near-miss", "4242 4242 4242 4241")]),
        ("by User 1a2 on instance.example.com", [("replaced", "User 1a2"), ("replaced", "instance.example.com")]),
        ("key redacted-token-1a2_XyZ", [("near-miss", "redacted-token-1a2_XyZ")]),
        ("url='sys_user.do?sys_id=5137153cc611227c000bbd1bd8cd2005'", []),
        ("[a324] button 'Search the knowledge base', clickable, visible", []),
        ("link 'Home', url='https://shop.example.com/now/nav/ui/classic/params/target/catalog_home.do%3Fsysparm_view%3Dcatalog_default'",
         []),
    ],
)  # fmt: skip
def test_spots_of_a_line(line: str, expected: list[tuple[str, str]]) -> None:
    assert spots(line) == expected


def test_repeated_spots_count_once() -> None:
    finder = SpotFinder()
    lines = ["a kX9pQ2mZ7vLw4TbN", "b kX9pQ2mZ7vLw4TbN"]
    assert score(finder.find(lines)) == score(finder.find(lines[:1])) > score(finder.find(["c User 1a2"])) > 0


def test_only_the_hash_in_the_column_of_the_episodes_id_is_not_marked(tmp_path: Path) -> None:
    def marked(**changes: str) -> list[str]:
        sections = sections_of(sample(0, **changes), tmp_path, SpotFinder())
        return [segment["text"] for section in sections for segment in section["segments"] if "kind" in segment]

    made, theirs = "3a7f1b9e2c5d8f64", "kX9pQ2mZ7vLw4TbN"
    assert marked(episode_id=made) == []
    assert marked(episode_id=theirs) == [theirs] and marked(episode_id=made, agent=made) == [made]
    turn = [{"role": "user", "content": f"episode_id: {made}"}]
    assert marked(episode_id=made, prompt=turn) == [made]
