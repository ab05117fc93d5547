"""A grid of merges over λ and checkpoints: one pass over the inputs, one folder a merge, finished ones kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub import content_hash, manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import lineage
from agentmerge_hub.merging import spec as specs
from agentmerge_hub.merging.by_mergekit import SPEC
from agentmerge_hub.merging.checkpoint import locate
from agentmerge_hub.merging.merge import Wanted, merge
from agentmerge_hub.merging.spec import Spec


@dataclass(frozen=True)
class Point:
    """One merge of the grid."""

    out: Path
    checkpoint: str | None
    lambda_: float | None
    state: str
    """``made``, ``kept`` (it stood there already), or why it failed."""
    reply: str | None = None


def lambdas_of(text: str) -> list[float]:
    """``0.1:0.9:0.1`` (first, last, step) or ``0.3,0.5`` as numbers.

    Raises:
        UserError: if it is neither, or names no number.
    """
    mistake = UserError(f"--lambda {text}: it takes FIRST:LAST:STEP, e.g. 0.1:0.9:0.1, or numbers, e.g. 0.3,0.5")
    try:
        parts = [float(part) for part in text.replace(",", ":").split(":")]
    except ValueError:
        raise mistake from None
    if ":" not in text:
        return list(dict.fromkeys(parts))
    if len(parts) != 3 or parts[2] <= 0 or parts[1] < parts[0]:
        raise mistake
    first, last, step = parts
    count = int((last - first) / step + 1e-9) + 1
    return [float(f"{first + index * step:.12g}") for index in range(count)]


def checkpoints_of(given: Sequence[str]) -> list[str]:
    """Folders and patterns as folders, by the number at their end (checkpoint-640 before checkpoint-5120).

    Raises:
        UserError: if one of them matches no folder.
    """
    found: list[str] = []
    for pattern in given:
        path = Path(pattern)
        matches = [str(match) for match in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if match.is_dir()]
        if not matches:
            raise UserError(f"--checkpoints {pattern}: no such folder")
        found += matches
    return sorted(dict.fromkeys(found), key=lambda path: (_step(path), path))


def _step(path: str) -> int:
    digits = Path(path).name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1


def grid(
    spec: Spec, where: str, out: Path, lambdas: Sequence[float], checkpoints: Sequence[str]
) -> list[tuple[Wanted, str | None, float | None]]:
    """Every point of the grid: its merge, its checkpoint, its λ."""
    points = []
    for checkpoint in checkpoints or [None]:
        for value in lambdas or [None]:
            values = {"agent": _local(checkpoint)} if checkpoint else {}
            values |= {"lambda": f"{value:.12g}"} if value is not None else {}
            parts = [Path(checkpoint).name] if checkpoint else []
            parts += [f"lambda-{value:g}"] if value is not None else []
            own = Wanted(specs.with_values(spec, values, where), out / "-".join(parts), where)
            points.append((own, checkpoint, value))
    names = [wanted.out for wanted, _, _ in points]
    if len(set(names)) < len(names):
        raise UserError(f"several checkpoints have the same name: {', '.join(checkpoints)}: sweep one run at a time")
    return points


def _local(path: str) -> str:
    """A folder as mergekit takes it for one: it looks for a/b on the Hub."""
    return path if path.startswith(("/", "./", "../", "~")) else f"./{path}"


def sweep(
    spec: Spec,
    where: str,
    out: Path,
    lambdas: Sequence[float],
    checkpoints: Sequence[str],
    *,
    reply: bool = True,
    quick: bool = False,
) -> list[Point]:
    """Run the merges of a grid that are not there yet.

    Args:
        spec: the merge; its comments must name ``lambda`` and, for checkpoints, ``agent``.
        out: the folder of the merges' folders.
        reply, quick: as for `merge`.

    Raises:
        UserError: as `merge`; merges that fail only their last checks are told of in their points.
    """
    points = grid(spec, where, out, lambdas, checkpoints)
    hashes: dict[str, str] = {}
    missing = [wanted for wanted, _, _ in points if not _stands(wanted, hashes)]
    done = {one.out: one for one in (merge(missing, reply=reply, quick=quick) if missing else [])}
    found = []
    for wanted, checkpoint, value in points:
        one = done.get(wanted.out)
        state = "kept" if one is None else one.problem or "made"
        found.append(Point(wanted.out, checkpoint, value, state, one.reply if one else None))
    return found


def _stands(wanted: Wanted, hashes: dict[str, str]) -> bool:
    """Whether this very merge is finished: the same spec, of models that have not changed since."""
    if not (wanted.out / manifest.NAME).is_file() or not (wanted.out / SPEC).is_file():
        return False
    if (wanted.out / SPEC).read_text(encoding="utf-8") != wanted.spec.text:
        return False
    recorded: Mapping[str, Mapping[str, str]] = manifest.read(wanted.out)["inputs"]
    for role, reference in lineage.roles_of(wanted.spec).items():
        if reference not in hashes:
            hashes[reference] = content_hash.folder_hash(locate(reference))
        if recorded.get(role, {}).get("sha256") != hashes[reference]:
            return False
    return True
