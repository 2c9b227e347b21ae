"""A judge of pictures: a classifier of the 1000 ILSVRC classes that no training ever sees.

EfficientNet-lite2, with the weights of a package. It is for evaluation only, never part of a loss:
a model that was trained against its judge would please it without looking any better. What trains
by a classifier uses another network, lite0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pixelgen.metrics.classifiers import Classifier, load_classifier

SIDES = (96, 128, 160, 192)
"""What `calibrate` tries. The network was trained at 260; small pictures do better below that."""


class Judge(Classifier):
    """A classifier that finds the size at which it sees best."""

    def calibrate(
        self,
        images: Tensor,
        labels: Tensor,
        classes: Sequence[int],
        sides: Sequence[int] = SIDES,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Keeps, and returns, the `size` among `sides` at which most real pictures
        uint8 [N, 3, H, W] are taken for what they are, labels int64 [N], among `classes`; of equal
        ones the smallest. `progress(done, total)` is told after every side."""
        best = -1.0
        kept = self.size
        for done, side in enumerate(sorted(sides), 1):
            self.size = side
            guess = best_labels(self.logits(images), classes, 1)[:, 0]
            if (share := float((guess == labels).double().mean())) > best:
                best, kept = share, side
            if progress is not None:
                progress(done, len(sides))
        self.size = kept
        return kept


def best_labels(logits: Tensor, classes: Sequence[int], k: int) -> Tensor:
    """The `k` likeliest of `classes` (all, if they are fewer), int64 [N, k], the likeliest first;
    logits [N, K] of other classes do not count."""
    known = torch.tensor(classes)
    return known[logits[:, known].topk(min(k, len(known)), dim=1).indices]


def load_judge(device: torch.device | str = "cpu", batch: int = 64) -> Judge:
    """The judge with the weights of its package. Raises PixelgenError if that is missing."""
    return Judge(*load_classifier("lite2", "the judge of quality", device), batch=batch)


CALIBRATION_IMAGES = 1000
"""Real pictures at most, spread evenly, that the judge is calibrated on."""
