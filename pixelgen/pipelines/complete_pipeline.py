"""Fills a hole in a photo, given what is around it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.imaging import Hole, grey_out
from pixelgen.pipelines.completion_request import CompletionRequest
from pixelgen.pipelines.conversion import to_grids
from pixelgen.pipelines.image_sampler import (
    ImageSampler,
    KnownValues,
    OnStep,
    candidate_indices,
)
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.results import Completion, CompletionResult

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CHOICE_SALT = 0x9E3779B9
"""Of the random numbers that choose among candidates. These are drawn with the seed itself, as
plain completions are."""


class CompletePipeline(Pretrained):
    """Fills holes in photos.

    Hidden values are drawn one after the other in the model's order (raster order, of blocks where
    its grid has `patch` above 1), each given all before it, known or drawn. So what is known below
    a hole, or right of it in its last row, has no influence, but for `refine`: of that many
    candidates one is chosen by how likely the known values are given what was drawn before them.
    (Of a model of two scales the sub-sampled picture comes first, and its known pixels influence
    all others, above them too.) At temperature 1, without guidance or top-p, the choice is exact in
    the limit of many candidates: p(hidden | known). With other options candidates come from the
    sharpened distribution, and are chosen by the likelihood of the model itself.
    """

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        # Beside a sharp photo smoothing shows.
        self.sampler = ImageSampler(checkpoint, device, smooth=False)

    def run(
        self, request: CompletionRequest, hole: Hole, on_step: OnStep | None = None
    ) -> CompletionResult:
        """Carry out a request that was made for these weights, on a photo of their size."""
        started = time.perf_counter()
        known = self.known_values(hole)
        original, masked = self.beside(hole)
        sample = request.sample
        seed = sample.drawing.seed
        drawn = self._sample_and_choose(request, known, on_step)
        share = (~known.mask).double() if hole.full is None else hole.full.covered
        return CompletionResult(
            items=[
                Completion(image, seed, pick, bits, label, original, masked, effective, hole.full)
                for image, pick, bits, label, effective in zip(
                    self.sampler.show(drawn.grids),
                    sample.picks,
                    drawn.bits_per_dim,
                    sample.labels,
                    drawn.effective,
                    strict=True,
                )
            ],
            seconds=time.perf_counter() - started,
            seed=seed,
            parameters=request.parameters(),
            original=original,
            masked=masked,
            square=hole.square,
            drawn=float(share.mean()),
            mask=hole.convention,
        )

    def known_values(self, hole: Hole) -> KnownValues:
        """What the model is given of the photo: pixels, or the codes of cells wholly outside of the
        hole. No hidden pixel has an influence on them."""
        import torch

        config = self.sampler.model.config
        values = to_grids([hole.around], config, self.sampler.tokenizer)[0]  # [C, h, w]
        hidden = torch.from_numpy(hole.hidden.copy())  # [H, W]
        # A code stands for s×s pixels, a pixel for itself.
        cells = hidden.unflatten(1, (config.width, -1)).unflatten(0, (config.height, -1))
        # [h, s, w, s] → [C, h, w]
        return KnownValues(values, ~cells.any(3).any(1).expand(values.shape))

    def beside(self, hole: Hole) -> tuple[Image.Image, Image.Image]:
        """What completions are compared with: the photo as the model would see it, and the same
        with what is drawn in grey."""
        cells = (~self.known_values(hole).mask).any(0)  # [h, w]
        spread = self.sampler.height // cells.shape[0]
        drawn = cells.repeat_interleave(spread, 0).repeat_interleave(spread, 1).cpu().numpy()
        original = hole.photo
        if self.sampler.tokenizer is None and self.sampler.model.config.channels == 1:
            original = original.convert("L")
        return original, grey_out(original, drawn)

    def _sample_and_choose(
        self, request: CompletionRequest, known: KnownValues, on_step: OnStep | None
    ) -> _Chosen:
        """Draws `request.refine` candidates of every picture and chooses one of them."""
        import torch

        from pixelgen.models.conditioning import Condition
        from pixelgen.models.likelihood import bits_per_dim
        from pixelgen.sampling.importance import log_weights, resample
        from pixelgen.sampling.value_sampler import seeded

        sample, refine = request.sample, request.refine
        only = candidate_indices(sample.picks, refine)
        condition = None
        if sample.rows:
            rows = torch.tensor(sample.rows).repeat_interleave(sample.n * refine)
            condition = Condition(rows[only])
        generator = seeded(sample.drawing.seed, _CHOICE_SALT)
        uniforms = [torch.rand(1, generator=generator) for _ in range(sample.count)]
        chances = iter([uniforms[pick - 1] for pick in sample.picks])
        grids: list[Tensor] = []
        bits: list[float] = []
        effective: list[float] = []
        pending: list[tuple[Tensor, Tensor, Tensor]] = []  # candidates of an incomplete group
        for x, log_prob in self.sampler.sample_grids(
            request.candidate_count,
            condition,
            sample.drawing,
            only=only,
            known=known,
            on_step=on_step,
        ):
            x, log_prob = x.cpu(), log_prob.cpu()
            weights = log_weights(log_prob, known.mask)
            pending += zip(x, weights, bits_per_dim(log_prob), strict=True)
            while len(pending) >= refine:
                candidates, pending = pending[:refine], pending[refine:]
                log_weight = torch.stack([weight for _, weight, _ in candidates])
                index, count = resample(log_weight[None], next(chances))
                grid, _, its_bits = candidates[int(index)]
                grids.append(grid.clone())
                bits.append(float(its_bits))
                effective.append(float(count))
        return _Chosen(torch.stack(grids), bits, effective)


class _Chosen(NamedTuple):
    grids: Tensor
    """int64 [N, C, h, w]."""
    bits_per_dim: list[float]
    effective: list[float]
    """Among how many candidates each was effectively chosen."""
