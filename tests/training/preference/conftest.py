"""A small dataset with the three configs that the orders read."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def preferences(traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of `traces` with the copied example as the rejected or undesirable answer."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    from agentmerge_hub.prompt import answer

    folder = tmp_path_factory.mktemp("preferences") / "set"
    copied = [{"role": "assistant", "content": answer("click('a324')")}]
    for split in ("train", "inter_task"):
        rows = load_dataset(str(traces), "all", split=split).to_list()
        right = [{name: row[name] for name in ("prompt", "completion", "sample_id")} for row in rows]
        tables = {
            "all": right,
            "preferences": [
                {"prompt": row["prompt"], "chosen": row["completion"], "rejected": copied, "pair_id": row["sample_id"], "origin": "copied_example"}
                for row in right
            ],
            "unpaired": [row | {"label": True, "origin": "successful_episode"} for row in right]
            + [row | {"completion": copied, "label": False, "origin": "failed_episode"} for row in right[::2]],
        }  # fmt: skip
        for config, table in tables.items():
            (folder / "data" / config).mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(table), folder / "data" / config / f"{split}.parquet")
    configs = "".join(
        f"- config_name: {config}\n  data_files:\n"
        + "".join(f"  - {{split: {split}, path: data/{config}/{split}.parquet}}\n" for split in ("train", "inter_task"))
        for config in tables
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder
