"""Solvers of MiniWoB tasks, a file a kind; importing this registers them all."""

from agentmerge_hub.agents.solvers import boxes, clicks, dates, feeds, fields, lists, numbers, search, tables

__all__ = ["boxes", "clicks", "dates", "feeds", "fields", "lists", "numbers", "search", "tables"]
