"""How surprising pictures are: exact likelihoods, place by place and class by class."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import (
    DEFAULT_PIXEL_WEIGHTS,
    CheckpointConfig,
    LoadedCheckpoint,
)
from pixelgen.errors import UsageError
from pixelgen.imaging import Fit, Photo, load_photo, square
from pixelgen.pipelines.conversion import to_grids
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.request import check_reads_photos, check_whole, find_classes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

_RANKED = 5


@dataclass(frozen=True)
class ScoreRequest:
    """What the likelihood is conditioned on, and what else is asked."""

    label: int | None
    """ILSVRC index of the class; None: no class."""
    row: int | None
    """The row of the model's class table that it stands for."""
    classify: bool
    """Whether classes are ranked."""
    batch_size: int
    """Pictures, or classes of one picture, side by side."""

    @classmethod
    def make(
        cls,
        config: CheckpointConfig,
        weights: str,
        *,
        label: int | str | None = None,
        classify: bool = False,
        batch_size: int = 32,
    ) -> ScoreRequest:
        """The class is a number, a WordNet id or a name. Raises PixelgenError (exit code 2) for
        anything that these weights cannot do."""
        check_reads_photos(config, weights)
        check_whole("batch_size", batch_size, 1)
        found, rows = find_classes(config, weights, [] if label is None else [label])
        if len(found) > 1:
            raise UsageError(f"{label} is {len(found)} classes, one is taken")
        if classify and not config.labels:
            raise UsageError(f"{weights} knows no classes to rank")
        return cls(next(iter(found), None), next(iter(rows), None), classify, batch_size)


@dataclass(frozen=True)
class RankedClass:
    """A class, and how well it explains a picture."""

    index: int
    """Of ILSVRC."""
    probability: float
    """p(class | picture), if all classes of the weights are as likely before it is seen."""
    bits_per_dim: float
    """-log2 p(picture | class) per value."""


@dataclass(frozen=True)
class Score:
    """What a model says about a picture."""

    image: Image.Image
    """The picture in the model's size."""
    bits: float
    """-log2 p(picture), or of its codes where the model draws codes."""
    bits_per_dim: float
    """The same per value: per pixel and channel, or per code."""
    surprise: np.ndarray
    """float64 [H, W]: the bits of every pixel, or of every position of the grid of codes, summed
    over channels. Their sum is `bits`."""
    ranking: list[RankedClass]
    """The classes that explain the picture best, the best first; empty if not asked for."""


@dataclass(frozen=True)
class ScoreResult:
    """What a model says about pictures."""

    scores: list[Score]
    """As the pictures were given."""
    label: int | None
    """ILSVRC index of the class that they are conditioned on; None: no class."""
    unit: str
    """Of `bits_per_dim`: bits/dim, or bits/code."""
    values: int
    """Values of a picture, among which its bits are shared out."""
    seconds: float
    """Time of it all."""


class ScorePipeline(Pretrained):
    """Measures how surprising pictures are.

    Weights that draw from a photo or a vector score without one, as with the null class.

    Example: `ScorePipeline.from_pretrained()([photo]).scores[0].bits_per_dim`.
    """

    default_weights = DEFAULT_PIXEL_WEIGHTS

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.model = checkpoint.model.to(device)
        self.tokenizer = checkpoint.tokenizer and checkpoint.tokenizer.to(device)

    def __call__(
        self,
        images: Sequence[Photo],
        *,
        label: int | str | None = None,
        classify: bool = False,
        fit: Fit = "crop",
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> ScoreResult:
        """Scores of pictures or paths, of any size and mode, made square as `fit` says, given the
        class `label`, or without a class. With `classify` the classes of the weights are ranked,
        which takes a pass of the network for each. Raises PixelgenError for what they cannot do."""
        request = ScoreRequest.make(
            self.checkpoint.config,
            self.checkpoint.name,
            label=label,
            classify=classify,
            batch_size=batch_size,
        )
        return self.run(request, images, fit, progress)

    def run(
        self,
        request: ScoreRequest,
        images: Sequence[Photo],
        fit: Fit = "crop",
        progress: Callable[[int, int], None] | None = None,
    ) -> ScoreResult:
        """Carry out a request that was made for these weights. `progress(done, total)` is told of
        passes of the network for a picture."""
        started = time.perf_counter()
        config, size = self.model.config, self.checkpoint.config.image_shape[1]
        every = range(config.classes) if request.classify else range(0)
        total, done = len(images) * (1 + len(every)), 0

        def told(passes: int) -> None:
            nonlocal done
            done += passes
            if progress is not None:
                progress(done, total)

        scores: list[Score] = []
        step = request.batch_size
        for first in range(0, len(images), step):
            seen = [square(load_photo(i), size, fit) for i in images[first : first + step]]
            grids = to_grids(seen, config, self.tokenizer)
            surprise = self._surprise(grids, [request.row] * len(seen))
            told(len(seen))
            for image, grid, places in zip(seen, grids, surprise, strict=True):
                ranking = self._rank(grid, every, step, told) if request.classify else []
                bits = float(places.sum())
                scores.append(Score(image, bits, bits / grid.numel(), places.numpy(), ranking))
        return ScoreResult(
            scores=scores,
            label=request.label,
            unit=self.checkpoint.config.likelihood_unit,
            values=config.channels * config.height * config.width,
            seconds=time.perf_counter() - started,
        )

    def _surprise(self, grids: Tensor, rows: Sequence[int | None]) -> Tensor:
        """Bits of every position of grids [B, C, H, W] given classes, float64 [B, H, W]."""
        import torch

        from pixelgen.models.conditioning import Condition

        condition = None
        if rows[0] is not None:
            condition = Condition(torch.tensor(rows, device=self.device))
        with torch.inference_mode():
            log_prob = self.model.log_prob(grids.to(self.device), condition)
            if log_prob.isnan().any():
                raise self.checkpoint.not_finite_error()
            return log_prob.cpu().double().sum(1) / -math.log(2.0)

    def _rank(
        self, grid: Tensor, rows: range, step: int, told: Callable[[int], None]
    ) -> list[RankedClass]:
        """The best of the classes `rows` for one grid [C, H, W]."""
        import torch

        parts: list[Tensor] = []
        for part in _chunks(rows, step):
            parts.append(self._surprise(grid.expand(len(part), *grid.shape), part).sum((1, 2)))
            told(len(part))
        bits = torch.cat(parts)
        # Bayes' rule with equal priors: p(class | x) is p(x | class) over the sum of all.
        posterior = torch.softmax(bits * -math.log(2.0), 0)
        best = bits.argsort(stable=True)[:_RANKED].tolist()
        return [
            RankedClass(
                index=self.checkpoint.config.labels[row],
                probability=float(posterior[row]),
                bits_per_dim=float(bits[row]) / grid.numel(),
            )
            for row in best
        ]


def _chunks(rows: range, size: int) -> Iterator[range]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
