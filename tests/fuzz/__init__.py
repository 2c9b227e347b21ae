"""Inputs that are broken on purpose, over all commands."""
