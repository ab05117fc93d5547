"""`agentmerge build`, `agentmerge export` and `agentmerge inspect`."""

import os
from pathlib import Path

import click

from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import UserError, require
from agentmerge_hub.plural import counted


@click.command()
@click.argument("traces", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the dataset, e.g. workarena-traces."
)
@click.option(
    "--tokenizer",
    default="meta-llama/Llama-3.1-8B-Instruct",
    show_default=True,
    help="Tokenizer of the student model: a local folder or a Hub id, with a chat template.",
)
@click.option(
    "--chat-template",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A Jinja file to use instead of the tokenizer's own.",
)
@click.option(
    "--chat-template-kwargs",
    metavar="JSON",
    help="Settings of the chat template, e.g. '{\"enable_thinking\": false}'. Use the same in training.",
)
@click.option("--window", default=8192, show_default=True, help="Tokens of prompt and answer together.")
@click.option("--answer", default=1024, show_default=True, help="Tokens of the window reserved for the answer.")
@click.option("--agent", "agents", multiple=True, help="Use only the episodes of this agent. Repeatable.")
@click.option("--min-reward", default=1.0, show_default=True, help="Smallest reward of a success.")
@click.option(
    "--unscored",
    is_flag=True,
    help="Take episodes of formats that record no outcome (Agent Data Protocol, ATIF) as successes; their reward stays empty.",
)
@click.option(
    "--flag",
    "flags",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a flag of rendered prompts, e.g. use_html=true. Repeatable.",
)
@click.option(
    "--versions",
    type=click.Choice(["both", "cot", "no_cot"]),
    default="both",
    show_default=True,
    help="Versions of a step that has no recorded prompt. The configs cot and no_cot take such steps with both.",
)
@click.option("--rebuild-prompts", is_flag=True, help="Render every prompt, also where one was recorded.")
@click.option(
    "--site-rule/--no-site-rule",
    default=True,
    show_default=True,
    help="Drop WorkArena and MiniWoB episodes that opened another site.",
)
@click.option("--drop-failed-actions", is_flag=True, help="Drop steps whose action ended in an error.")
@click.option("--hold-out-task", "hold_out_tasks", multiple=True, help="A task for cross_task. Repeatable.")
@click.option(
    "--hold-out-category", "hold_out_categories", multiple=True, help="A category for cross_task. Repeatable."
)
@click.option(
    "--validation-task",
    "validation_tasks",
    multiple=True,
    help="A task for the split validation, on which `agentmerge tune` learns λ. Repeatable.",
)
@click.option(
    "--benchmark-split/--no-benchmark-split",
    default=True,
    show_default=True,
    help="Tasks that BrowserGym marks as test go to cross_task.",
)
@click.option(
    "--inter-seeds",
    multiple=True,
    metavar="FIRST-LAST",
    help="Seeds for inter_task. Repeatable; by default a share is drawn.",
)
@click.option("--inter-share", default=0.1, show_default=True, help="Share of the seeds drawn for inter_task.")
@click.option("--seed", default=0, show_default=True, help="Random seed of every draw.")
@click.option(
    "--screenshots",
    type=click.Choice(["off", "shown", "plain", "som"]),
    default="off",
    show_default=True,
    help="Show a screenshot in every prompt and write it as the column image: the one that the agent's flags name (else the "
    "plain page), the plain page, or the page with a box and the bid around each element. Screenshots are not redacted.",
)
@click.option(
    "--image-tokens",
    type=click.IntRange(0),
    default=1500,
    show_default=True,
    help="Tokens of the window reserved for a screenshot, with --screenshots.",
)
@click.option("--keep-html", is_flag=True, help="Keep the pages' HTML in the config episodes where no prompt shows it.")
@click.option(
    "--license",
    "licenses",
    multiple=True,
    metavar="TEACHER=LICENSE",
    help="License of a model that the built-in table does not know; =LICENSE: of episodes that name no model. Repeatable.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="WHAT=REASON",
    help="Keep a kind of secret or a text; the card shows the reason. Repeatable.",
)
@click.option(
    "--keep-duplicates", default=1, show_default=True, help="Number of equal samples to keep, all in one split."
)
@click.option("--workers", type=click.IntRange(1), help="Number of processes; by default one per core.")
@click.option(
    "--ray",
    is_flag=True,
    help="Run the workers on Ray: RAY_ADDRESS's cluster, or a local one. Traces and a local tokenizer must be at the same "
    "path on every machine, as on a shared disk.",
)
@click.option("--failures", is_flag=True, help="Also write the samples of unsuccessful episodes, as a config.")
@click.option(
    "--preferences",
    is_flag=True,
    help="Also write preference pairs for DPO and labeled answers for KTO, as the configs preferences and unpaired.",
)
@click.option(
    "--exclude-pairs",
    type=click.File(encoding="utf-8"),
    help="File with the ids of preference pairs to leave out, one per line.",
)
def build(
    traces,
    out,
    tokenizer,
    chat_template,
    chat_template_kwargs,
    flags,
    inter_seeds,
    allow,
    licenses,
    workers,
    ray,
    exclude_pairs,
    **options,
) -> None:
    """Turn TRACES into a dataset. TRACES are folders of traces (AgentLab, BrowserGym, CUBE, ATIF, Agent Data Protocol),
    single files of trajectories, or built datasets, whose episodes are fitted again."""
    require("hub", "datasets", "betterleaks", "ahocorasick_rs", "stdnum", "matplotlib")
    parse_settings(chat_template_kwargs, "--chat-template-kwargs")
    from agentmerge_hub.dataset.build import build as build_dataset
    from agentmerge_hub.dataset.build import counted_rules
    from agentmerge_hub.dataset.parallel.workers import WorkerConfig
    from agentmerge_hub.dataset.redaction.finding import parse_allow_options
    from agentmerge_hub.dataset.settings import read_settings

    if ray:
        require("agents", "ray")

    settings = read_settings(
        flags=_flags(flags),
        inter_seeds=tuple(map(_range, inter_seeds)),
        allow=parse_allow_options(allow),
        exclude_pairs=tuple(exclude_pairs.read().split()) if exclude_pairs else (),
        licenses=dict(_pair("--license", pair) for pair in licenses),
        **options,
    )
    worker_config = WorkerConfig(settings, tokenizer, chat_template, chat_template_kwargs)
    built = build_dataset(traces, out, worker_config, workers=workers or os.cpu_count() or 1, ray=ray)
    counts = built.counts
    numbers = {config: sum(sizes.values()) for config, sizes in counts["splits"].items()}
    preferences = (
        f", {counted(numbers['preferences'], 'preference pair')}, {counted(numbers['unpaired'], 'labeled answer')}"
        if options["preferences"]
        else ""
    )
    rules = counted_rules(counts["dropped"])
    most = f", most by the rule {rules[0][0]} ({rules[0][1]})" if rules else ""
    click.echo(
        f"{counted(counts['samples'], 'sample')}{preferences} of {counted(counts['episodes'], 'episode')} written to {out}; "
        f"{counted(counts['episodes_found'], 'episode')} found, {built.n_new} newly read, {counts['episodes_unreadable']} unreadable; "
        f"ledger.parquet lists {counted(sum(counts['dropped'].values()), 'drop')}{most}{_replaced(built.gone)}"
    )


def _replaced(gone: list[str] | None) -> str:
    """What the closing line says of an earlier dataset at the same place."""
    if gone is None:
        return ""
    lost = f", and with it the {'configs' if len(gone) > 1 else 'config'} {' and '.join(gone)}" if gone else ""
    return f"; the earlier dataset there was replaced{lost}"


def _flags(pairs: tuple[str, ...]) -> dict[str, object]:
    values = {"true": True, "false": False}
    return {name: values.get(value.lower(), value) for name, value in (_pair("--flag", pair) for pair in pairs)}


def _pair(option: str, text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not value or (not name and option != "--license"):
        raise UserError(
            f"{option} {text}: write {'NAME=VALUE, e.g. use_html=true' if option == '--flag' else 'TEACHER=LICENSE'}"
        )
    return name, value


def _range(text: str) -> tuple[int, int]:
    first, sign, last = text.partition("-")
    try:
        low, high = int(first), int(last if sign else first)
    except ValueError:
        raise UserError(f"--inter-seeds {text[:60]}: write one seed or FIRST-LAST, e.g. 900-999") from None
    if low > high:
        raise UserError(f"--inter-seeds {text}: the first seed is larger than the last: write {high}-{low}")
    return low, high


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--config",
    type=click.Choice(["all", "cot", "no_cot", "failures", "preferences", "unpaired"]),
    default="all",
    show_default=True,
    help="Config to read.",
)
@click.option("--split", help="train, inter_task, cross_task or validation; by default every split.")
@click.option("--episode", metavar="ID", help="Show every sample of this episode.")
@click.option("--row", type=int, metavar="N", help="Show this row.")
@click.option("--whole", is_flag=True, help="Show long prompts in full.")
@click.option(
    "--save-images",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the screenshots of the printed or listed samples to a new folder, to look at them.",
)
def inspect(dataset, config, split, episode, row, whole, save_images) -> None:
    """Print samples of DATASET for reading; without --episode or --row, list its episodes."""
    from agentmerge_hub.dataset.inspect import print_samples, save_screenshots

    if save_images:
        n = save_screenshots(dataset, save_images, config=config, split=split, episode=episode, row=row)
        click.echo(f"{counted(n, 'screenshot')} written to {save_images}")
        return
    print_samples(dataset, config=config, split=split, episode=episode, row=row, whole=whole)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to write, one file an episode."
)
@click.option(
    "--format",
    "format_name",
    required=True,
    type=click.Choice(["atif", "adp", "session-trace"]),
    help="ATIF v1.7, the Agent Data Protocol's standard 1.2.0, or session traces, which the Hub's trace viewer shows.",
)
def export(dataset, out, format_name) -> None:
    """Write the episodes of DATASET in the format of other tools. `agentmerge build` reads them back.

    Screenshots are left out.
    """
    from agentmerge_hub.dataset.export.write import export as write

    n, n_screenshots = write(dataset, out, format_name)
    left_out = f"; {counted(n_screenshots, 'screenshot is', 'screenshots are')} left out" if n_screenshots else ""
    click.echo(f"{counted(n, 'episode')} written to {out} as {format_name}{left_out}")
