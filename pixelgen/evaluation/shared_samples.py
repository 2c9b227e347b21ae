"""Samples that are measured, drawn in batches that several processes can share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from pixelgen.metrics.progress import OnProgress
from pixelgen.metrics.shared_batches import in_batches
from pixelgen.pipelines.conversion import to_tensor
from pixelgen.pipelines.image_sampler import OnStep, picture_progress


def draw_shared(
    count: int,
    batch: int,
    draw: Callable[[range, OnStep | None], Sequence[Image.Image]],
    progress: OnProgress | None,
) -> Tensor:
    """`count` pictures uint8 [N, 3, H, W]: `draw` gives those of some ascending indices, `batch` at
    a time, each as it is among all."""

    def drawn(rows: slice) -> Tensor:
        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(rows.start + done * (rows.stop - rows.start) // total, count)

        on_step = picture_progress(None if progress is None else report)
        return to_tensor(draw(range(count)[rows], on_step))

    return torch.cat(in_batches(count, batch, drawn))
