"""Preference optimization with TRL: pairs of a better and a worse answer (DPO), or single answers with a label (KTO)."""
