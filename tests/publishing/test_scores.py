"""Scores in a card are of the published weights, and say what served them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stage_outputs

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.publishing.cards.eval_results import eval_results
from agentmerge_hub.publishing.cards.scores import Score, scores_of
from agentmerge_hub.publishing.hub.repository import Repository
from agentmerge_hub.records import RESULT_SCHEMA

WEIGHTS, GGUF = "a" * 64, "b" * 64
OUTCOMES: dict[tuple[str, str, int], str | float] = {("inter_task", f"t{n}", n): float(n % 2) for n in range(4)}


def test_scores_say_engine_version_and_number_format(tmp_path: Path) -> None:
    served = {"engine": "transformers 5.23.0", "number_format": "bfloat16"}
    (score,) = scores_of(stage_outputs.results(tmp_path / "r", WEIGHTS, OUTCOMES, **served), {WEIGHTS: ""})
    assert (score.engine, score.number_format) == ("transformers 5.23.0", "bfloat16")
    assert {"engine": "transformers 5.23.0", "number_format": "bfloat16"}.items() <= score.facts.items()
    (file,) = eval_results(
        Repository("model", "acme/m"), [score], {"miniwob": "acme/t"}, "2026-01-01T00:00:00Z"
    ).values()
    assert b"served by transformers 5.23.0 in bfloat16, n = 4 episodes" in file
    (old,) = scores_of(stage_outputs.results(tmp_path / "old", WEIGHTS, OUTCOMES), {WEIGHTS: ""})
    assert (old.engine, old.number_format) == ("", "") and "engine" not in old.facts


def test_scores_of_the_gguf_file_are_labelled_with_its_format(tmp_path: Path) -> None:
    folder = stage_outputs.results(
        tmp_path / "r", GGUF, OUTCOMES, engine="llama.cpp 6000", number_format="GGUF model-q8_0"
    )
    (score,) = scores_of(folder, {WEIGHTS: "", GGUF: "Q8_0 (GGUF)"})
    assert (score.engine, score.number_format, score.n) == ("llama.cpp 6000", "Q8_0 (GGUF)", 4)
    with pytest.raises(UserError, match="has no episodes of these weights"):
        scores_of(folder, {WEIGHTS: ""})


@pytest.mark.parametrize("engine", ["endpoint", "endpoint, vllm 0.11.0"])
def test_an_endpoint_proves_no_weights(tmp_path: Path, engine: str) -> None:
    folder = stage_outputs.results(tmp_path / "r", WEIGHTS, OUTCOMES, engine=engine)
    with pytest.raises(UserError, match="only from an endpoint, where nothing shows which weights were served"):
        scores_of(folder, {WEIGHTS: ""})


def test_an_episode_counts_once_however_many_names_its_weights_have(tmp_path: Path) -> None:
    """Three candidates of one model share its traces; a fourth was prompted otherwise."""
    one = stage_outputs.results(tmp_path / "one", WEIGHTS, OUTCOMES, trace="traces/1")
    rows = pq.read_table(one / "results.parquet").to_pylist()

    def score(name: str, more: list[dict]) -> Score:
        with output_folder.new_folder(tmp_path / name, "evaluate") as folder:
            pq.write_table(pa.Table.from_pylist(rows + more, RESULT_SCHEMA), folder / "results.parquet")
            manifest.write(folder, "evaluate")
        (found,) = scores_of(tmp_path / name, {WEIGHTS: ""})
        return found

    copies = [row | {"model": f"seed{run}"} for run in (1, 2) for row in rows]
    assert score("three", copies) == scores_of(one, {WEIGHTS: ""})[0]
    with pytest.raises(UserError, match=r"two episodes of these weights on t0 seed 0 \(merged and thinking\)"):
        score("prompts", [row | {"model": "thinking", "trace": "traces/2"} for row in rows])
