"""Training: recipes, the loop, its state on disk, and the export of weights."""
