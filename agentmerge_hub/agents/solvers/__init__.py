"""Solvers of MiniWoB tasks, a file a kind; importing this registers them all."""

from agentmerge_hub.agents.solvers import boxes, clicks, completion, dates, feeds, fields, lists, numbers, tables

__all__ = ["boxes", "clicks", "completion", "dates", "feeds", "fields", "lists", "numbers", "tables"]
