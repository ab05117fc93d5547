"""Preference pairs for DPO, and labeled answers for KTO: what the model should answer and what it should not."""
