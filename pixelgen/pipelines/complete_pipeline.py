"""A hole in a photo, filled in given what is around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import DEFAULT_PIXEL_WEIGHTS, LoadedCheckpoint
from pixelgen.imaging import Fit, Hole, Photo, cut_hole, grey_out, load_photo, parse_box, parse_keep
from pixelgen.imaging.hole import Box
from pixelgen.pipelines.conversion import to_grids
from pixelgen.pipelines.image_sampler import Given, ImageSampler, Progress
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.request import CompletionRequest, DrawingOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import Unpack

# Candidates are then those of plain completions with the same seed, whatever is chosen among them.
_CHOICE = 0x9E3779B9


@dataclass(frozen=True)
class CompletionResult:
    """Completions, and what was measured on the way."""

    images: list[Image.Image]
    """`n` completions of the first class, then of the second, and so on. Pixels that were visible
    are as they were; of weights with a tokenizer, their codes are."""
    original: Image.Image
    """The photo as the model would see it."""
    masked: Image.Image
    """The same with what was drawn in grey."""
    classes: list[int | None]
    """ILSVRC index of every picture, None where it has no class."""
    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    drawn: float
    """Share of the picture's values that were drawn, 0 … 1."""
    bits_per_dim: list[float]
    """-log2 p(completed picture | class) per value that the model draws, of the model itself: at
    temperature 1, without guidance or top-p."""
    effective: list[float]
    """For each picture, how many candidates the choice was effectively among, 1 … `refine`."""
    seconds: float
    """Time of it all."""
    parameters: dict[str, Any]
    """Classes, n, temperature, top_p, guidance, refine."""


class CompletePipeline(Pretrained):
    """Fills holes in photos.

    Hidden values are drawn one after the other in the model's order (raster order, of blocks where
    its grid has `patch` above 1), each given all before it, known or drawn. So what is known below
    a hole, or right of it in its last row, has no influence, but for `refine`: of that many
    candidates one is chosen by how likely the known values are given what was drawn before them. At
    temperature 1, without guidance or top-p, the choice is exact in the limit of many candidates:
    p(hidden | known). With other options candidates come from the sharpened distribution, and are
    chosen by the likelihood of the model itself.

    Example: `CompletePipeline.from_pretrained()(photo, keep="top:50%", n=4, seed=1).images`.
    """

    default_weights = DEFAULT_PIXEL_WEIGHTS

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.sampler = ImageSampler(checkpoint, device)

    def __call__(
        self,
        photo: Photo,
        *,
        mask: Photo | None = None,
        box: Box | None = None,
        keep: str | None = None,
        fit: Fit = "crop",
        classes: Sequence[int | str] | None = None,
        n: int = 1,
        refine: int = 1,
        on_step: Callable[[Progress], None] | None = None,
        **drawing: Unpack[DrawingOptions],
    ) -> CompletionResult:
        """`n` completions of `photo`, a picture or a path, of any size and mode, made square as
        `fit` says, for each of `classes` (numbers, WordNet ids, names), or without a class.

        Hidden are what `mask`, as large as the photo, shows in white, what lies in `box` (x, y,
        width, height in pixels of the photo), and what `keep` ("top:50%") leaves of the square.
        The model's pixels are hidden where at least half of what they cover is. `refine` is the
        number of candidates of each completion, `drawing` what `ClassPipeline` takes: seed,
        temperature, top_p, guidance and batch_size. Raises PixelgenError for what the weights
        cannot do.
        """
        made = self.checkpoint
        request = CompletionRequest.make(
            made.config, made.name, classes=classes, n=n, refine=refine, **drawing
        )
        hole = cut_hole(
            load_photo(photo),
            self.sampler.height,
            fit,
            mask=None if mask is None else load_photo(mask),
            box=None if box is None else parse_box(box),
            keep=None if keep is None else parse_keep(str(keep)),
        )
        return self.run(request, hole, on_step)

    def run(
        self,
        request: CompletionRequest,
        hole: Hole,
        on_step: Callable[[Progress], None] | None = None,
    ) -> CompletionResult:
        """Carry out a request that was made for these weights, on a photo of their size."""
        import torch

        started = time.perf_counter()
        sample = request.sample
        given = self.given(hole)
        grids, bits, effective = self._choose(request, given, on_step)
        original, masked = self.beside(hole)
        return CompletionResult(
            images=self.sampler.show(torch.stack(grids)),
            original=original,
            masked=masked,
            classes=[c for c in sample.classes or (None,) for _ in range(sample.n)],
            seed=sample.drawing.seed,
            drawn=float((~given.mask).double().mean()),
            bits_per_dim=bits,
            effective=effective,
            seconds=time.perf_counter() - started,
            parameters=request.parameters(),
        )

    def given(self, hole: Hole) -> Given:
        """What the model is told of the photo: pixels, or the codes of cells wholly outside of the
        hole. Nothing hidden takes part in any of them."""
        import torch

        config = self.sampler.model.config
        values = to_grids([hole.around], config, self.sampler.tokenizer)[0]
        hidden = torch.from_numpy(hole.hidden.copy())
        # [rows, s, columns, s]: a code stands for s×s pixels, a pixel for itself.
        cells = hidden.unflatten(1, (config.width, -1)).unflatten(0, (config.height, -1))
        return Given(values, ~cells.any(3).any(1).expand(values.shape))

    def beside(self, hole: Hole) -> tuple[Image.Image, Image.Image]:
        """What completions are compared with: the photo as the model would see it, and the same
        with what is drawn in grey."""
        cells = (~self.given(hole).mask).any(0)  # [h, w]
        spread = self.sampler.height // cells.shape[0]
        drawn = cells.repeat_interleave(spread, 0).repeat_interleave(spread, 1).cpu().numpy()
        original = hole.photo
        if self.sampler.tokenizer is None and self.sampler.model.config.channels == 1:
            original = original.convert("L")
        return original, grey_out(original, drawn)

    def _choose(
        self,
        request: CompletionRequest,
        given: Given,
        on_step: Callable[[Progress], None] | None,
    ) -> tuple[list[Tensor], list[float], list[float]]:
        """The completed grids, their bits per dimension, and among how many candidates effectively
        they were chosen."""
        import torch

        from pixelgen.models.conditioning import Condition
        from pixelgen.models.likelihood import bits_per_dim
        from pixelgen.sampling.importance import log_weights, resample
        from pixelgen.sampling.value_sampler import seeded

        sample, each = request.sample, request.refine
        condition = None
        if sample.rows:
            condition = Condition(torch.tensor(sample.rows).repeat_interleave(sample.n * each))
        chooser = seeded(sample.drawing.seed, _CHOICE)
        grids: list[Tensor] = []
        bits: list[float] = []
        effective: list[float] = []
        waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        for x, log_prob in self.sampler.draw(
            request.candidates,
            condition,
            options=sample.drawing.options,
            seed=sample.drawing.seed,
            batch_size=sample.drawing.batch_size,
            given=given,
            on_step=on_step,
        ):
            x, log_prob = x.cpu(), log_prob.cpu()
            weights = log_weights(log_prob, given.mask)
            waiting += zip(x, weights, bits_per_dim(log_prob), strict=True)
            while len(waiting) >= each:
                candidates, waiting = waiting[:each], waiting[each:]
                weighed = torch.stack([weight for _, weight, _ in candidates])
                place, among = resample(weighed[None], torch.rand(1, generator=chooser))
                chosen, _, its_bits = candidates[int(place)]
                grids.append(chosen.clone())
                bits.append(float(its_bits))
                effective.append(float(among))
        return grids, bits, effective
