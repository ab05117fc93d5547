"""Preference optimization: rows with a chosen and a rejected answer → a model that prefers the chosen ones (TRL's DPO)."""
