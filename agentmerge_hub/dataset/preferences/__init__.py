"""Preference pairs: a prompt with the answer that solved the step and an answer that is worse, for DPO and KTO."""
