"""Keep a run's adapter in bf16, with what the base's terms ask for: half the size, and what the instruct model of a CPU is made of.

python adapter.py RUN BASE OUT
"""

import re
import shutil
import sys
from pathlib import Path

import torch
from bs4 import BeautifulSoup
from safetensors.torch import load_file, save_file

from agentmerge_hub.files import output_folder

NOTICE = """Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms, a copy of which is
GEMMA_TERMS.txt beside this file.

Modified: these weights are an adapter for gemma-3-270m with the vocabulary of this experiment (gemma.py), trained by run.sh.
"""


def main(run: Path, base: Path, out: Path) -> None:
    with output_folder.new_folder(out, "adapter") as folder:
        weights = {name: one.to(torch.bfloat16) for name, one in load_file(run / "adapter_model.safetensors").items()}
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        shutil.copyfile(run / "adapter_config.json", folder / "adapter_config.json")
        (folder / "GEMMA_TERMS.txt").write_text(terms(base / "GEMMA_TERMS.html"), encoding="utf-8")
        (folder / "NOTICE").write_text(NOTICE, encoding="utf-8")


def terms(page: Path) -> str:
    """The text of the agreement on its page."""
    article = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").find(class_="devsite-article-body")
    return re.sub(r"\n{3,}", "\n\n", f"Gemma Terms of Use\n\n{article.get_text().strip()}\n")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:]))
