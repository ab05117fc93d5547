"""A plan → AgentLab's Study folder, which AgentXray opens."""

from pathlib import Path

from agentmerge_hub.agents.browser.agentlab_api import Study
from agentmerge_hub.agents.study.plan import SILENT, Plan


def save_study(planned: Plan, root: Path) -> Path:
    """Write the study's folder with its study.pkl.gz under `root`, or update the one that an earlier run wrote."""
    agents = list({id(e.run.agent_args): e.run.agent_args for e in planned.episodes}.values())
    study = Study(agents, planned.benchmark, suffix=planned.recipe.name, logging_level_stdout=SILENT)
    study.exp_args_list = [episode.run for episode in planned.distinct()]
    earlier = sorted(path.parent for path in root.glob("*/study.pkl.gz"))
    study.dir = earlier[-1] if earlier else None
    study.save(root)
    return study.dir
