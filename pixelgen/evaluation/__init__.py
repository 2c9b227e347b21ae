"""Figures that say how good weights are."""
