"""Measures exact likelihoods of pictures, in all, place by place and class by class; of a PixelVAE,
a bound."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pixelgen.checkpoints import CheckpointConfig, LoadedCheckpoint
from pixelgen.imaging import Fit, Photo, load_photo, square
from pixelgen.pipelines.conversion import PictureCallback, to_grids
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.results import RankedClass, Score, ScoreResult
from pixelgen.pipelines.score_request import ScoreRequest

if TYPE_CHECKING:
    import torch
    from PIL import Image
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
        import torch

        from pixelgen.pipelines.class_posterior import bits_of_classes, surprise

        started = time.perf_counter()
        config, size = self.model.config, self.checkpoint.config.image_shape[1]
        draws = request.importance_samples or 1
        total, done = len(images) * (draws + config.classes * request.classify), 0

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
            if request.importance_samples is not None:
                scores += [
                    self._bound(image, grid, request.importance_samples, step, count)
                    for image, grid in zip(seen, grids, strict=True)
                ]
                continue
            rows = None if request.row is None else torch.full((len(seen),), request.row)
            bits_of_places = surprise(self.checkpoint, grids, rows, self.device)
            count(len(seen))
            for image, grid, places in zip(seen, grids, bits_of_places, strict=True):
                ranking: list[RankedClass] = []
                if request.classify:
                    by_class = bits_of_classes(self.checkpoint, grid, step, self.device, count)
                    ranking = _ranking(by_class, grid.numel(), self.checkpoint.config)
                bits = float(places.sum())
                scores.append(Score(image, bits, bits / grid.numel(), places.numpy(), ranking))
        return ScoreResult(
            items=scores,
            seconds=time.perf_counter() - started,
            label=request.label,
            unit=self.checkpoint.config.likelihood_unit
            + (" (bound)" if request.importance_samples else ""),
            values=config.channels * config.height * config.width,
            classification=self.checkpoint.config.classification if request.classify else None,
            importance_samples=request.importance_samples,
        )

    def _bound(
        self, image: Image.Image, x: Tensor, samples: int, step: int, count: Callable[[int], None]
    ) -> Score:
        """The importance-weighted upper bound of the bits of one picture [C, H, W]. Its latents are
        drawn with the same random numbers for every picture, so that a picture has one bound."""
        import torch

        from pixelgen.models.likelihood import to_signed
        from pixelgen.models.pixelvae import DiagonalGaussian, importance_bound
        from pixelgen.sampling.value_sampler import seeded

        vae, generator = self.checkpoint.pixelvae.to(self.device), seeded(0)
        x = x[None].to(self.device)
        places, weights = [], []
        with torch.inference_mode():
            q = vae.posterior(to_signed(x, 256))
            length = vae.config.bottleneck
            for first in range(0, samples, step):
                rows = min(step, samples - first)
                noise = torch.stack([torch.randn(length, generator=generator) for _ in range(rows)])
                own = DiagonalGaussian(*(t.expand(rows, -1) for t in q))
                draws = vae.weigh(x.expand(rows, -1, -1, -1), own, noise.to(x.device))
                places.append(draws.log_prob.cpu().double().sum(1))  # [B, H, W]
                weights.append(draws.log_weight.cpu().double())
                count(rows)
        log_weights = torch.cat(weights)
        if log_weights.isnan().any():
            raise self.checkpoint.not_finite_error()
        shares = log_weights.softmax(0)[:, None, None]
        surprise = (shares * torch.cat(places)).sum(0) / -math.log(2.0)
        bits = float(importance_bound(log_weights)) / -math.log(2.0)
        return Score(image, bits, bits / x.numel(), surprise.numpy(), [], is_bound=True)


def _ranking(bits: Tensor, values: int, config: CheckpointConfig) -> list[RankedClass]:
    """The best of the classes whose bits are [K], for a picture of so many values."""
    from pixelgen.pipelines.class_posterior import class_probabilities

    measured = config.classification
    posterior = class_probabilities(bits, 1.0 if measured is None else measured.temperature)
    return [
        RankedClass(
            index=config.labels[row],
            probability=float(posterior[row]),
            bits_per_dim=float(bits[row]) / values,
        )
        for row in bits.argsort(stable=True)[:_RANKING].tolist()
    ]
