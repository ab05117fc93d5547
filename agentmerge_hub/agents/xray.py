"""Open AgentLab's AgentXray on the traces of a study."""

import os
from pathlib import Path

from agentmerge_hub.agents.browser import environment
from agentmerge_hub.errors import UserError


def serve_xray(results: Path, port: int) -> None:
    """Serve AgentXray until Ctrl-C.

    Args:
        results: the output folder of collect or evaluate. AgentXray unpickles without an allow-list: open only your own traces.
        port: port of the local page.

    Raises:
        UserError: if the folder contains no study.
    """
    root = next((folder for folder in (results, results / "traces") if any(folder.glob("*/study.pkl.gz"))), None)
    if root is None:
        raise UserError(f"there is no study in {results}: name a folder that collect or evaluate wrote")
    os.environ["AGENTXRAY_APP_PORT"] = str(port)
    environment.prepare()
    from agentlab.analyze.agent_xray import run_gradio

    print(f"AgentXray on {root}: http://127.0.0.1:{port} (Ctrl-C stops it); choose the study at the top", flush=True)
    run_gradio(root)
