"""A model's chat template: how it renders a prompt and an answer, within which limits, and with which settings."""
