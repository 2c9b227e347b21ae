"""What keeps the rounding of sampling the same."""

from __future__ import annotations

LEAST_ROWS = 8
"""Matrix products of fewer rows are rounded differently: batches are not smaller than this, or than
all pictures, so that what is drawn does not depend on how they are split."""
