"""Draws pictures of classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import UsageError
from pixelgen.pipelines.image_sampler import (
    ImageSampler,
    OnStep,
    SampledImages,
    best_of_each,
    candidate_indices,
)
from pixelgen.pipelines.path import interpolate_path
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.results import Sample, SampleResult
from pixelgen.pipelines.sample_request import SampleRequest
from pixelgen.sampling.rounding import LEAST_ROWS

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from pixelgen.models.class_prior import ClassPrior
    from pixelgen.models.conditioning import Condition


_VECTOR_SALT = 0x5DEECE66D
"""Of the random numbers of condition vectors; the pictures are drawn with the seed itself."""


class ClassPipeline(Pretrained):
    """Draws pictures of given classes, or between them."""

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.sampler = ImageSampler(checkpoint, device)
        self.model = self.sampler.model
        self._scores: list[float] = []

    def run(self, request: SampleRequest, on_step: OnStep | None = None) -> SampleResult:
        """Carry out a request that was made for these weights. The frames of an interpolation go
        straight through the space of class embeddings, and share their random numbers."""
        started = time.perf_counter()
        sampled = self.draw(request, request.picks, on_step)
        seed = request.drawing.seed
        return SampleResult(
            items=[
                Sample(image, seed, pick, bits, label)
                for image, pick, bits, label in zip(
                    sampled.images,
                    request.picks,
                    sampled.bits_per_dim,
                    request.labels,
                    strict=True,
                )
            ],
            seconds=time.perf_counter() - started,
            seed=seed,
            parameters=request.parameters(),
        )

    def draw(
        self, request: SampleRequest, picks: Sequence[int], on_step: OnStep | None = None
    ) -> SampledImages:
        """The pictures with the numbers `picks`, from 1, ascending, as they are among all of the
        request."""
        import torch

        from pixelgen.models.conditioning import Condition

        sampler, condition = self.sampler, None
        rows = torch.tensor(request.rows, dtype=torch.int64)
        if request.steps is not None:
            sampler = self._interpolating_sampler(request.rows, request.steps)
            vectors = self._class_vectors(rows, request, one_stream=True)
            path = None if vectors is None else interpolate_path(vectors, request.steps)
            condition = Condition(torch.arange(request.steps), path)
        elif request.rows:
            repeated = rows.repeat_interleave(request.n * request.candidates)
            condition = Condition(repeated, self._class_vectors(repeated, request))
        only = candidate_indices(picks, request.candidates)
        if self.checkpoint.config.has_prior:
            condition = self._condition_from_prior(request, only)
        else:
            condition = None if condition is None else condition[torch.tensor(only)]
        if request.candidates > 1:
            return self._best_candidates(request, condition, only, on_step)
        return sampler.sample(
            request.count,
            condition,
            request.drawing,
            only=only,
            streams=None if request.steps is None else 1,
            on_step=on_step,
        )

    def finished(self, request: SampleRequest, images: Sequence[Image.Image]) -> list[Image.Image]:
        """The pictures that a call which was interrupted had finished, of all `images` that it had
        drawn: of several candidates those that it had chosen."""
        if request.candidates == 1:
            return list(images)
        return [images[i] for i in best_of_each(self._scores[: len(images)], request.candidates)]

    def _best_candidates(
        self,
        request: SampleRequest,
        condition: Condition | None,
        only: Sequence[int],
        on_step: OnStep | None,
    ) -> SampledImages:
        """Of every `request.candidates` pictures the one that is most clearly of its class."""
        import torch

        from pixelgen.models.likelihood import bits_per_dim

        grids, bits = [], list[float]()
        self._scores = list[float]()
        drawn = self.sampler.sample_grids(
            request.candidate_count,
            condition,
            request.drawing,
            only=only,
            on_step=on_step,
        )
        for x, log_prob in drawn:
            batch = only[len(bits) : len(bits) + len(x)]
            kinds = [i // (request.n * request.candidates) for i in batch]
            self._scores += self._clarity(x, log_prob, request, kinds)
            bits += bits_per_dim(log_prob).tolist()
            grids.append(x)
        chosen = best_of_each(self._scores, request.candidates)
        return SampledImages(self.sampler.show(torch.cat(grids)[chosen]), [bits[i] for i in chosen])

    def _clarity(
        self, x: Tensor, log_prob: Tensor, request: SampleRequest, kinds: Sequence[int]
    ) -> list[float]:
        """How clearly pictures are of the classes of `request` with the indices `kinds`: grids `x`
        [B, C, H, W] with log p(x | condition) of every value. For classes of ImageNet it is a
        classifier's log p(class | picture), as for VQ-VAE-2 (Razavi, van den Oord, Vinyals 2019,
        "Classifier Based Rejection Sampling"); for others log p(x | class) - log p(x)."""
        import torch

        from pixelgen.models.conditioning import Condition

        if self.checkpoint.config.has_imagenet_classes:
            from pixelgen.imaging.image_classifier import class_log_probs

            known = self.checkpoint.config.labels
            labels = [request.classes[kind] for kind in kinds]
            return class_log_probs(self.sampler.show(x), labels, known if len(known) > 1 else ())
        # Fewer rows would be rounded differently: see `LEAST_ROWS`.
        rows = torch.arange(max(len(x), LEAST_ROWS)) % len(x)
        with torch.inference_mode():
            unconditional = self.model.log_prob(x[rows])[: len(x)]  # [B, C, H, W]
            if self._class_prior is not None:  # they were drawn given a vector too
                of_each = torch.tensor([request.rows[kind] for kind in kinds], device=x.device)
                given_class = self.model.log_prob(x[rows], Condition(of_each[rows]))
                log_prob = given_class[: len(x)]
        gain: list[float] = (log_prob - unconditional).flatten(1).sum(1).tolist()
        return gain

    @property
    def _class_prior(self) -> ClassPrior | None:
        return getattr(self.model, "class_prior", None)  # of a network by others, perhaps none

    def _class_vectors(
        self, rows: torch.Tensor, request: SampleRequest, *, one_stream: bool = False
    ) -> torch.Tensor | None:
        """A condition vector [N, D] for each of `rows` [N] of the class table, where the model
        draws them; with `one_stream` all with the same random numbers."""
        import torch

        from pixelgen.sampling.value_sampler import seeded

        prior = self._class_prior
        if prior is None:
            return None

        def generator() -> torch.Generator:
            return seeded(request.drawing.seed, _VECTOR_SALT)

        temperature = request.drawing.options.vector_temperature
        parts = rows.split(1) if one_stream else (rows,)
        return torch.cat([prior.draw(part, generator(), temperature) for part in parts])

    def _condition_from_prior(self, request: SampleRequest, only: Sequence[int]) -> Condition:
        """Of a PixelVAE: the condition of the pictures `only`, each with an h of its own from the
        prior, whose variance the vector temperature multiplies. A picture gets the same h, whatever
        others are drawn."""
        import torch

        from pixelgen.models.conditioning import Condition
        from pixelgen.sampling.value_sampler import seeded

        vae = self.checkpoint.pixelvae.to(self.device)
        generator = seeded(request.drawing.seed, _VECTOR_SALT)
        size = (1, vae.config.bottleneck)
        h = [torch.randn(size, generator=generator) for _ in range(max(only) + 1)]
        scale = request.drawing.options.vector_temperature**0.5
        with torch.inference_mode():  # one by one: batches would be rounded differently
            conditions = [vae.condition(scale * h[i].to(self.device)).to("cpu") for i in only]
        return Condition.cat(*conditions)

    def _interpolating_sampler(self, rows: Sequence[int], steps: int) -> ImageSampler:
        """Draws `steps` new classes on the path through those of `rows` of the class table."""
        import torch

        from pixelgen.models.class_interpolation import with_interpolated_classes
        from pixelgen.models.conditioning import ClassTable

        if not any(isinstance(module, ClassTable) for module in self.model.modules()):
            raise UsageError(f"{self.checkpoint.name} has no table of classes to interpolate in")
        one_hot = torch.eye(self.model.config.classes)[list(rows)]
        network = with_interpolated_classes(self.model, interpolate_path(one_hot, steps))
        return ImageSampler(replace(self.checkpoint, network=network), self.device)
