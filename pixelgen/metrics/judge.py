"""A judge of images: a classifier of the 1000 ILSVRC classes that training never uses.

EfficientNet-lite2, with the weights of a package. It is for evaluation only, never part of a loss:
a model that was trained against its judge would score well without looking any better. Losses use
another network, lite0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pixelgen.metrics.classifiers import Classifier, load_classifier

SIDES = (96, 128, 160, 192)
"""Sizes that `calibrate` tries. The network was trained at 260; small images do better below."""


class Judge(Classifier):
    """A classifier that finds the input size at which it is most accurate."""

    def calibrate(
        self,
        images: Tensor,
        labels: Tensor,
        classes: Sequence[int],
        sides: Sequence[int] = SIDES,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Sets and returns the `size` among `sides` at which most real images uint8 [N, 3, H, W]
        are classified as their labels int64 [N], among `classes`; the smallest of equal ones.
        `progress(done, total)` is called after every side."""
        best = -1.0
        best_size = self.size
        for done, side in enumerate(sorted(sides), 1):
            self.size = side
            guess = best_labels(self.logits(images), classes, 1)[:, 0]
            if (share := float((guess == labels).double().mean())) > best:
                best, best_size = share, side
            if progress is not None:
                progress(done, len(sides))
        self.size = best_size
        return best_size


def best_labels(logits: Tensor, classes: Sequence[int], k: int) -> Tensor:
    """The `k` likeliest of `classes` (all, if they are fewer) by logits [N, K], int64 [N, k], the
    likeliest first."""
    known = torch.tensor(classes)
    return known[logits[:, known].topk(min(k, len(known)), dim=1).indices]


def load_judge(device: torch.device | str = "cpu", batch: int = 64) -> Judge:
    """The judge with the weights of its package. Raises PixelgenError if that is missing."""
    return Judge(*load_classifier("lite2", "measuring quality", device), batch=batch)


CALIBRATION_IMAGES = 1000
"""Real images, evenly spread, that the judge is calibrated on, at most."""
