"""AgentMerge hub: publish web-agent traces, fine-tune on them, merge so that they generalize.

The pipeline as functions, each of which imports its packages when it is first used:

    from agentmerge_hub import build, tune, merge, sweep, verify, evaluate, analyse
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from agentmerge_hub.agents.study.studies import run_collect as collect
    from agentmerge_hub.agents.study.studies import run_evaluate as evaluate
    from agentmerge_hub.analysis.report.writer import Options as ReportOptions
    from agentmerge_hub.analysis.report.writer import write as analyse
    from agentmerge_hub.dataset.build import BuildResult, build
    from agentmerge_hub.dataset.parallel.workers import WorkerConfig as BuildConfig
    from agentmerge_hub.dataset.settings import Settings as BuildSettings
    from agentmerge_hub.errors import UserError
    from agentmerge_hub.merging.api import merge, sweep
    from agentmerge_hub.merging.merge_job import MergeSettings
    from agentmerge_hub.merging.verify import verify
    from agentmerge_hub.publishing.hub.download import download
    from agentmerge_hub.tuning.settings import TuneSettings
    from agentmerge_hub.tuning.tune import tune

_EXPORTS = {
    "BuildConfig": ("dataset.parallel.workers", "WorkerConfig"),
    "BuildResult": ("dataset.build", "BuildResult"),
    "BuildSettings": ("dataset.settings", "Settings"),
    "MergeSettings": ("merging.merge_job", "MergeSettings"),
    "ReportOptions": ("analysis.report.writer", "Options"),
    "TuneSettings": ("tuning.settings", "TuneSettings"),
    "UserError": ("errors", "UserError"),
    "analyse": ("analysis.report.writer", "write"),
    "build": ("dataset.build", "build"),
    "collect": ("agents.study.studies", "run_collect"),
    "download": ("publishing.hub.download", "download"),
    "evaluate": ("agents.study.studies", "run_evaluate"),
    "merge": ("merging.api", "merge"),
    "sweep": ("merging.api", "sweep"),
    "tune": ("tuning.tune", "tune"),
    "verify": ("merging.verify", "verify"),
}
"""Public name → module and name inside it."""

__all__ = [
    "BuildConfig",
    "BuildResult",
    "BuildSettings",
    "MergeSettings",
    "ReportOptions",
    "TuneSettings",
    "UserError",
    "__version__",
    "analyse",
    "build",
    "collect",
    "download",
    "evaluate",
    "merge",
    "sweep",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _EXPORTS[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__
