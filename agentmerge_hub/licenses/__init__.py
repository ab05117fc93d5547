"""Licenses: which license a model has, and what each license asks of whoever publishes data or weights derived from it."""
