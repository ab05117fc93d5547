"""AgentMerge hub: publish web-agent traces, fine-tune on them, merge so that they generalize."""

__version__ = "0.1.0"
