"""Models trained side by side at an equal budget of computation, and the table of their figures."""
