"""How often the class that explains a picture best is the right one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.checkpoints.classification import ClassificationScores
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.dataset import load_matching_images
from pixelgen.metrics.progress import OnNote, OnPartProgress, ignore_note, part_progress
from pixelgen.metrics.reconstruction import encode
from pixelgen.metrics.shared_batches import in_batches
from pixelgen.pipelines.class_posterior import (
    bits_of_classes,
    class_bits,
    fit_temperature,
)


def measure_classification(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    *,
    pictures: int = 200,
    batch: int = 64,
    note: OnNote = ignore_note,
    progress: OnPartProgress | None = None,
) -> ClassificationScores:
    """Scores of ranking the classes of the weights by p(picture | class), on that many `pictures`
    of a split, evenly spread; each takes a pass of the network for every class.

    Raises UsageError for weights without classes and PixelgenError for data without labels, and for
    fewer than two pictures.
    """
    config = weights.config
    if not config.labels or not config.can_sample:
        raise UsageError(f"{weights.name} knows no classes to rank")
    of_part = part_progress(progress)
    images = load_matching_images(weights, data, split, pictures, note, of_part("decoding"))
    rows = images.rows(config.labels)
    if len(rows) < 2:
        raise PixelgenError(
            f"{data} ({split}) has one picture: classification is measured on two or more"
        )
    grids = images.images
    if config.can_encode:
        grids = encode(weights.codec, grids, batch, progress=of_part("codes"))
    device = next(weights.network.parameters()).device

    def ranked(one: slice) -> Tensor:
        return bits_of_classes(weights, grids[one.start].long(), batch, device)

    bits = in_batches(len(grids), 1, ranked, of_part("ranking classes"))
    return score_classes(torch.stack(bits), rows)


def score_classes(bits: Tensor, rows: Tensor) -> ClassificationScores:
    """Scores of bits [N, K] of every class, the right ones being rows int64 [N]."""
    right = bits.gather(1, rows[:, None])
    better = (bits < right).sum(1)
    halves = (slice(0, None, 2), slice(1, None, 2))
    own = torch.cat(
        [
            class_bits(bits[half], fit_temperature(bits[other], rows[other])).gather(
                1, rows[half, None]
            )
            for half, other in (halves, halves[::-1])
        ]
    )
    return ClassificationScores(
        pictures=len(rows),
        classes=bits.shape[1],
        top1=float((better < 1).double().mean()),
        top5=float((better < 5).double().mean()),
        temperature=fit_temperature(bits, rows),
        bits=float(own.mean()),
    )
