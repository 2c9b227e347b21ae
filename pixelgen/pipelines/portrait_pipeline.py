"""New portraits of the person in a photo, and the way from one face to another (section 3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint, Source, load_checkpoint
from pixelgen.errors import PixelgenError
from pixelgen.imaging.alignment import align
from pixelgen.imaging.faces import FaceDetector, find_face
from pixelgen.imaging.read import square
from pixelgen.pipelines.devices import pick_device
from pixelgen.pipelines.painter import Painter, Progress
from pixelgen.pipelines.pictures import to_tensor
from pixelgen.pipelines.request import Drawing

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class PortraitResult:
    """Portraits, what they were made of, and what was measured on the way."""

    images: list[Image.Image]
    """The portraits; of an interpolation the frames, in order."""
    sources: list[Image.Image]
    """The aligned crop of every photo."""
    similarity: list[float]
    """Cosine of each portrait's embedding with the one that it was drawn from, up to 1."""
    seed: int
    """The seed that draws the same pictures again on the same kind of device."""
    bits_per_dim: list[float]
    """-log2 p(portrait | embedding) per value that the model draws, of the model itself: at
    temperature 1, without guidance or top-p."""
    seconds: float
    """Time of it all."""
    parameters: dict[str, Any]
    """n or steps, temperature, top_p, guidance."""


class PortraitPipeline:
    """Draws people from photos of them.

    Example: `PortraitPipeline.from_pretrained("my-weights")([photo], n=8, seed=1).images`.
    """

    def __init__(
        self,
        checkpoint: LoadedCheckpoint,
        device: torch.device | str = "cpu",
        detector: FaceDetector | None = None,
    ) -> None:
        """Without `detector`, one is made when the first photo asks for it."""
        self.checkpoint = checkpoint
        self.device = device
        self.embedder = checkpoint.embedder.to(device)
        self.painter = Painter(checkpoint, device)
        self._detector = detector

    @classmethod
    def from_pretrained(cls, ref: str | Path | Source, device: str = "auto") -> PortraitPipeline:
        """Weights by bundled name, folder or Hub id `owner/name[@revision]`, on `device`
        (auto, cpu, cuda, cuda:N, mps). Raises PixelgenError where either is not to be had, and for
        weights that do not draw faces."""
        target = pick_device(device)
        return cls(load_checkpoint(ref), target)

    def crop(
        self, photo: Image.Image, *, face: int | None = None, aligned: bool = False, name: str = ""
    ) -> Image.Image:
        """The face in `photo` as the embedder wants it: of several the largest, or number `face`
        (from 1); with `aligned` the photo is such a crop already. Raises PixelgenError (exit code
        3) where there is none; messages call the photo `name`."""
        size = self.embedder.config.size
        if aligned:
            return square(photo, size)
        if self._detector is None:
            from pixelgen.imaging.mtcnn import MtcnnDetector

            self._detector = MtcnnDetector()
        rgb = photo.convert("RGB")
        found = find_face(rgb, face, self._detector, name=name or "the photo")
        return align(rgb, found.landmarks, size)

    def embed(self, crops: Sequence[Image.Image]) -> Tensor:
        """Aligned crops → embeddings [N, D] of length 1. One does not depend on the others."""
        import torch

        from pixelgen.models.likelihood import to_unit

        with torch.inference_mode():
            each = [self.embedder(to_unit(to_tensor([c]).to(self.device), 256)) for c in crops]
        return torch.cat(each).cpu().clone()

    def __call__(
        self,
        photos: Sequence[Image.Image],
        n: int = 8,
        *,
        face: int | None = None,
        aligned: bool = False,
        names: Sequence[str] = (),
        seed: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        batch_size: int = 16,
        on_row: Callable[[Progress], None] | None = None,
    ) -> PortraitResult:
        """`n` portraits of the person in `photos`; of several photos the mean embedding counts.

        What is left out comes from the weights' own defaults; a missing seed is drawn. Raises
        PixelgenError for what the weights cannot do, and for photos without a face.
        """
        started = time.perf_counter()
        drawing = Drawing.make(
            self.checkpoint.config,
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            guidance=guidance,
            batch_size=batch_size,
            n=n,
        )
        crops = self._crops(photos, 1, face, aligned, names)
        mean = self.embed(crops).mean(0, keepdim=True)
        h = _unit(mean).expand(n, -1)
        return self._paint(h, drawing, crops, {"n": n}, started, False, on_row)

    def interpolate(
        self,
        photos: Sequence[Image.Image],
        steps: int = 9,
        *,
        slerp: bool = False,
        face: int | None = None,
        aligned: bool = False,
        names: Sequence[str] = (),
        seed: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        batch_size: int = 16,
        on_row: Callable[[Progress], None] | None = None,
    ) -> PortraitResult:
        """`steps` portraits on the way from the face in the first photo through those in the next
        ones to the last: straight through the space of embeddings (Figure 5), or with `slerp` along
        the sphere. All are drawn with the same random numbers, so that neighbours differ by their
        embedding alone. Raises as a call does."""
        started = time.perf_counter()
        drawing = Drawing.make(
            self.checkpoint.config,
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            guidance=guidance,
            batch_size=batch_size,
            steps=steps,
        )
        crops = self._crops(photos, 2, face, aligned, names)
        h = path_through(self.embed(crops), steps, slerp)
        facts = {"steps": steps, "slerp": slerp}
        return self._paint(h, drawing, crops, facts, started, True, on_row)

    def _crops(
        self,
        photos: Sequence[Image.Image],
        least: int,
        face: int | None,
        aligned: bool,
        names: Sequence[str],
    ) -> list[Image.Image]:
        if len(photos) < least:
            needed = "a photo" if least == 1 else f"at least {least} photos"
            raise PixelgenError(f"{needed} must be given", "", 2)
        called = [*names, *[""] * (len(photos) - len(names))]
        return [
            self.crop(photo, face=face, aligned=aligned, name=name)
            for photo, name in zip(photos, called, strict=True)
        ]

    def _paint(
        self,
        h: Tensor,
        drawing: Drawing,
        crops: list[Image.Image],
        facts: dict[str, Any],
        started: float,
        one_stream: bool,
        on_row: Callable[[Progress], None] | None,
    ) -> PortraitResult:
        from pixelgen.models.conditioning import Condition

        painted = self.painter.paint(
            len(h),
            Condition(vector=h),
            options=drawing.options,
            seed=drawing.seed,
            batch_size=drawing.batch_size,
            one_stream=one_stream,
            on_row=on_row,
        )
        near = (self.embed(painted.images) * _unit(h)).sum(1)
        return PortraitResult(
            images=painted.images,
            sources=crops,
            similarity=near.tolist(),
            seed=drawing.seed,
            bits_per_dim=painted.bits_per_dim,
            seconds=time.perf_counter() - started,
            parameters=facts | drawing.parameters(),
        )


def _unit(h: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.normalize(h, dim=1)


def path_through(points: Tensor, steps: int, slerp: bool) -> Tensor:
    """`steps` points, evenly spread, on the way from the first of `points` [P, D] through all to
    the last: [steps, D], on straight lines, or with `slerp` on great circles (Shoemake 1985)."""
    import torch

    where = torch.linspace(0, len(points) - 1, steps)
    before = where.floor().long().clamp(max=len(points) - 2)
    share = (where - before)[:, None]  # [steps, 1]
    a, b = points[before], points[before + 1]
    if not slerp:
        return a + share * (b - a)
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    # Where both are the same or opposite there is no one great circle.
    straight = angle.sin() < 1e-4
    sine = angle.sin().masked_fill(straight, 1.0)
    arc = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / sine
    return torch.where(straight, a + share * (b - a), arc)
