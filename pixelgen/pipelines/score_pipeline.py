"""Measures exact likelihoods of pictures, in all, place by place and class by class."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.imaging import Fit, Photo, load_photo, square
from pixelgen.pipelines.conversion import PictureCallback, to_grids
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.results import RankedClass, Score, ScoreResult
from pixelgen.pipelines.score_request import ScoreRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_RANKING = 5


class ScorePipeline(Pretrained):
    """Measures the likelihood of pictures. Weights that draw from a photo or a vector score without
    one, as with the null class."""

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.model = checkpoint.model.to(device)
        self.tokenizer = checkpoint.tokenizer and checkpoint.tokenizer.to(device)

    def run(
        self,
        request: ScoreRequest,
        images: Sequence[Photo],
        fit: Fit = "crop",
        progress: PictureCallback | None = None,
    ) -> ScoreResult:
        """Carry out a request that was made for these weights, on pictures or paths, of any size
        and mode, made square as `fit` says. `progress(done, total)` counts passes of the network
        for one picture."""
        started = time.perf_counter()
        config, size = self.model.config, self.checkpoint.config.image_shape[1]
        ranked = range(config.classes) if request.classify else range(0)
        total, done = len(images) * (1 + len(ranked)), 0

        def count(passes: int) -> None:
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
            count(len(seen))
            for image, grid, places in zip(seen, grids, surprise, strict=True):
                ranking = self._rank(grid, ranked, step, count) if request.classify else []
                bits = float(places.sum())
                scores.append(Score(image, bits, bits / grid.numel(), places.numpy(), ranking))
        return ScoreResult(
            items=scores,
            seconds=time.perf_counter() - started,
            label=request.label,
            unit=self.checkpoint.config.likelihood_unit,
            values=config.channels * config.height * config.width,
        )

    def _surprise(self, grids: Tensor, rows: Sequence[int | None]) -> Tensor:
        """Bits of every position of grids [B, C, H, W] given classes, float64 [B, H, W]."""
        import torch

        from pixelgen.models.conditioning import Condition
        from pixelgen.sampling.threads import pass_flops, threads_for

        condition = None
        if rows[0] is not None:
            condition = Condition(torch.tensor(rows, device=self.device))
        flops = pass_flops(self.model, len(grids))
        with torch.inference_mode(), threads_for(flops):
            log_prob = self.model.log_prob(grids.to(self.device), condition)
            if log_prob.isnan().any():
                raise self.checkpoint.not_finite_error()
            return log_prob.cpu().double().sum(1) / -math.log(2.0)

    def _rank(
        self, grid: Tensor, rows: range, step: int, count: Callable[[int], None]
    ) -> list[RankedClass]:
        """The best of the classes `rows` for one grid [C, H, W]."""
        import torch

        parts: list[Tensor] = []
        for part in _chunks(rows, step):
            parts.append(self._surprise(grid.expand(len(part), *grid.shape), part).sum((1, 2)))
            count(len(part))
        bits = torch.cat(parts)
        # Bayes' rule with equal priors: p(class | x) is p(x | class) over the sum of all.
        posterior = torch.softmax(bits * -math.log(2.0), 0)
        best = bits.argsort(stable=True)[:_RANKING].tolist()
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
