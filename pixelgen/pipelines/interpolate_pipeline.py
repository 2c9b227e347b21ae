"""Draws paths from one class, face or picture to another, whichever of these the weights know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.pipelines.class_pipeline import ClassPipeline
from pixelgen.pipelines.image_sampler import OnStep
from pixelgen.pipelines.interpolate_request import PathRequest
from pixelgen.pipelines.portrait_pipeline import PortraitPipeline
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.reconstruct_pipeline import ReconstructPipeline
from pixelgen.pipelines.reconstruct_request import InterpolationRequest
from pixelgen.pipelines.results import InterpolationResult, PortraitResult, SampleResult
from pixelgen.pipelines.sample_request import SampleRequest

if TYPE_CHECKING:
    import torch

PathResult = SampleResult | PortraitResult | InterpolationResult
"""Frames, in order."""


class InterpolatePipeline(Pretrained):
    """Draws pictures on the path from one to another, all with the same random numbers, so that
    neighbours differ by their condition alone (Figure 5)."""

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device

    def run(
        self,
        request: PathRequest,
        sources: Sequence[Image.Image] = (),
        on_step: OnStep | None = None,
    ) -> PathResult:
        """Carry out a request that was made for these weights: on an aligned crop of every photo of
        faces, on RGB pictures of the network's size for auto-encoders, on nothing for classes.
        Raises ValueError for another number of pictures."""
        if isinstance(request, SampleRequest):
            return ClassPipeline(self.checkpoint, self.device).run(request, on_step)
        if isinstance(request, InterpolationRequest):
            autoencoders = ReconstructPipeline(self.checkpoint, self.device)
            return autoencoders.run_path(request, sources, on_step)
        return PortraitPipeline(self.checkpoint, self.device).run(request, sources, on_step)
