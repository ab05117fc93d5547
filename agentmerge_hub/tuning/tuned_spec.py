"""The text of a tuned spec: the spec with a learned λ in place of its constant, and how it was learned in comments at the end."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.specs import bound_values, safe_yaml
from agentmerge_hub.merging.specs.spec import Spec
from agentmerge_hub.tuning.fit import Fit, Point
from agentmerge_hub.tuning.lambda_groups import LambdaGroups

_LINE = re.compile(r"(?P<indent>[ ]*)(?P<opening>- value|\w+):[ \t]+$")
"""What is before the value on its line: a parameter, or an entry of a value with filters."""


def tuned_text(spec: Spec, where: str, groups: LambdaGroups, fit: Fit, about: Sequence[str]) -> str:
    """The text of the tuned spec: plain mergekit YAML.

    Args:
        where: the spec's file, for messages.
        about: sentences on the data and settings, for the comments.

    Raises:
        UserError: if λ is not on a line of its own.
    """
    text = spec.text
    found = [bound for bound in bound_values.find(text, safe_yaml.compose(text, where)) if bound.name == "lambda"]
    for bound in sorted(found, key=lambda bound: bound.begin, reverse=True):
        begin = text.rfind("\n", 0, bound.begin) + 1
        end = text.find("\n", bound.end)
        end = len(text) if end < 0 else end
        line = _LINE.fullmatch(text[begin : bound.begin])
        if not groups.entries:
            value = _number(fit.values[0], complement=bound.complement)
            text = text[: bound.begin] + value + text[bound.end :]
        elif line is None:
            raise UserError(f"{where}: write lambda on a line of its own, as `weight: 0.5 # lambda`")
        else:
            indent, opening = line["indent"], line["opening"]
            entries = list(_entries(groups, fit, complement=bound.complement))
            if opening == "- value":
                block = "\n".join(f"{indent}{part}" for part in entries)
            else:
                block = "\n".join([f"{indent}{opening}:", *(f"{indent}  {part}" for part in entries)])
            text = text[:begin] + block + text[end:]
    comments = "\n".join(f"# {line}" if line else "#" for line in [*_report(groups, fit, about)])
    return f"{_titled(text, spec)}\n\n{comments}\n"


def _entries(groups: LambdaGroups, fit: Fit, *, complement: bool) -> Iterator[str]:
    for entry in groups.entries:
        numbers = [_number(fit.values[group], complement=complement) for group in entry.groups]
        value = numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"
        if entry.filter is None:
            yield f"- value: {value}"
        else:
            yield f'- filter: "{entry.filter}"'
            yield f"  value: {value}"


def _number(value: float, *, complement: bool) -> str:
    return str(float(1 - Decimal(str(value)) if complement else Decimal(str(value))))


def _titled(text: str, spec: Spec) -> str:
    """The text with the method's name followed by `_tuned`."""
    title = f"# {spec.method}: "
    if text.startswith(title):
        return f"# {spec.method}_tuned: {text.removeprefix(title).rstrip()}"
    return f"# {spec.method}_tuned: {spec.config['merge_method']} with a learned λ\n{text.rstrip()}"


def _report(groups: LambdaGroups, fit: Fit, about: Sequence[str]) -> Iterator[str]:
    yield "Learned by `agentmerge tune`. The numbers are the objective: negative log-likelihood of a token of the expert"
    yield "answers (nll), plus the keep weight times KL(instruct || merged) on general instructions (kl)."
    for sentence in [*about, *verdict(fit)]:
        yield from textwrap.wrap(sentence, 115)
    yield ""
    yield "                 fit rows                      held-out rows"
    yield "                 objective  nll      kl        objective  nll      kl"
    for point in fit.grid:
        yield _line(f"constant {point.constant:g}", point)
    for point in fit.curve:
        yield _line(f"learned, step {point.step}", point)
    yield ""
    for name, value in zip(groups.names, fit.values):
        yield f"λ of {name}: {value}"


def _line(name: str, point: Point) -> str:
    parts = (f"{score.objective:<10.4f} {score.nll:<8.4f} {score.kl:<8.4f}" for score in (point.fit, point.held_out))
    return f"{name:<16} {'  '.join(parts)}".rstrip()


def verdict(fit: Fit) -> list[str]:
    """Whether the learned λ is better held-out than a constant one, and whether it overfits, a sentence each."""
    learned, constant = fit.learned.held_out.objective, fit.best_constant.held_out.objective
    sentences = [
        f"Held-out, the learned λ has an objective of {learned:.4f} and the best constant of the grid, λ = "
        f"{fit.best_constant.constant:g}, {constant:.4f}: the learned λ is {'better' if fit.is_better else 'NOT better'}."
    ]
    if not fit.is_better:
        sentences.append(f"Use the constant: --set lambda={fit.best_constant.constant:g} with the spec that was tuned.")
    if fit.best_step is not fit.learned and fit.learned.fit.objective < fit.best_step.fit.objective:
        sentences.append(
            f"It overfits: held-out, the objective was lowest at step {fit.best_step.step} "
            f"({fit.best_step.held_out.objective:.4f}) and rose while that of the fitted rows fell; fewer --steps or more --rows help."
        )
    return sentences
