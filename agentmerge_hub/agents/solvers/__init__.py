"""Solvers of MiniWoB tasks, one file per kind of task. Importing this package registers them all."""

from agentmerge_hub.agents.solvers import boxes, clicks, completion, dates, feeds, fields, lists, numbers, tables

__all__ = ["boxes", "clicks", "completion", "dates", "feeds", "fields", "lists", "numbers", "tables"]
