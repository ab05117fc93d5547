"""Write what a run changed in 4 bits a weight, and make the model again from it: what is evaluated and merged is the second.

    python deltas.py encode BASE MODEL OUT.safetensors
    python deltas.py decode BASE DELTA.safetensors OUT

Blocks of 64 weights of a row share a scale; a level is the nearest of 16 that are the quantiles of a normal distribution (NF4,
Dettmers et al. 2023, arXiv:2305.14314). Vectors (norms) stay in float32, tensors that did not change are left out. A folder
that `decode` writes has the base's surroundings and float32 weights.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from agentmerge_hub import manifest
from agentmerge_hub.files import output_folder

BLOCK = 64
SMALL = ("generation_config.json", "manifest.json")
"""Files of the run that go with the change: how it was trained, and how its turns end."""
LEVELS = torch.tensor(
    [
        -1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0, 0.0795803, 0.1609302, 0.2461123,
        0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0,
    ]
)  # fmt: skip


def encode(base: Path, model: Path, out: Path) -> None:
    before, after = load_file(base / "model.safetensors"), load_file(model / "model.safetensors")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    boundaries = ((LEVELS[1:] + LEVELS[:-1]) / 2).to(device)
    written: dict[str, torch.Tensor] = {}
    error = norm = 0.0
    for name in sorted(before):
        delta = (after[name].float() - before[name].float()).to(device)
        if not delta.any():
            continue
        if delta.ndim == 1:
            written[name] = delta.cpu()
            continue
        blocks = delta.reshape(-1, BLOCK)
        scale = blocks.abs().amax(1, keepdim=True).half().clamp(min=6e-8)
        levels = torch.bucketize(blocks / scale.float(), boundaries)
        again = LEVELS.to(device)[levels] * scale.float()
        error, norm = error + float((again - blocks).square().sum()), norm + float(blocks.square().sum())
        pairs = levels.reshape(-1, 2).to(torch.uint8)
        written[f"{name}.levels"] = (pairs[:, 0] | (pairs[:, 1] << 4)).cpu()
        written[f"{name}.scale"] = scale.squeeze(1).cpu()
    kept = {name: (model / name).read_text(encoding="utf-8") for name in SMALL if (model / name).is_file()}
    partial = out.with_suffix(".part")
    save_file(written, partial, metadata=kept)
    partial.rename(out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, error {(error / norm) ** 0.5:.3f} of the change's norm")


def decode(base: Path, delta: Path, out: Path) -> None:
    if (out / manifest.NAME).is_file():
        return
    with output_folder.new_folder(out, "model") as folder:
        for file in base.iterdir():
            if file.suffix in {".json", ".jinja", ".html", ".md"} and file.name != manifest.NAME:
                shutil.copyfile(file, folder / file.name)
        weights = load_file(base / "model.safetensors")
        with safe_open(delta, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 (it has no iterator)
                if name in weights:
                    weights[name] = weights[name] + stored.get_tensor(name)
                elif name.endswith(".levels"):
                    tensor = name.removesuffix(".levels")
                    packed = stored.get_tensor(name)
                    levels = torch.stack([packed & 15, packed >> 4], dim=1).reshape(-1, BLOCK)
                    change = LEVELS[levels.int()] * stored.get_tensor(f"{tensor}.scale").float()[:, None]
                    weights[tensor] = weights[tensor] + change.reshape(weights[tensor].shape)
            kept = stored.metadata() or {}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        if text := kept.get("generation_config.json"):
            (folder / "generation_config.json").write_text(text, encoding="utf-8")
        run = json.loads(kept["manifest.json"])
        manifest.write(
            folder, run["stage"], recorded_inputs=run["inputs"], config=run["config"] | {"weights": "stored in 4 bits"},
            counts=run["counts"],
        )  # fmt: skip


if __name__ == "__main__":
    {"encode": encode, "decode": decode}[sys.argv[1]](*(Path(name) for name in sys.argv[2:]))
