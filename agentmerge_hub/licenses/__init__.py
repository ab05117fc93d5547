"""Licenses: the license of each model, and what each license requires of published data and weights derived from it."""
