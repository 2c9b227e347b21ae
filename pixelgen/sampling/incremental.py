"""The incremental sampler of the Gated PixelCNN: about the work of one full pass per picture.

The vertical stack runs once per row (vertical.py), the horizontal one once per position and channel
group (walk.py), the head once per channel (outputs.py); weights are plain matrices (folding.py).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.sampling.folding import shape_of
from pixelgen.sampling.outputs import OutputStage
from pixelgen.sampling.request import Request
from pixelgen.sampling.threads import threads
from pixelgen.sampling.vertical import VerticalStack
from pixelgen.sampling.walk import Walk


def sample_gated(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, GatedPixelCNN)
    height, width, channels = request.size
    batch, shape = request.rows, shape_of(model)
    output = OutputStage(model, shape, batch)
    walk = Walk(model, shape, output, batch)
    tables = _value_tables(model)
    places = [embedded.view(batch, channels, -1).unbind(1) for embedded in walk.row]
    with threads(1) as workers, ThreadPoolExecutor(workers) as pool:
        vertical = VerticalStack(
            model, shape, walk.horizontals, request.condition, batch, pool, workers
        )
        walk.follow(vertical)
        for i in range(height):
            for j in range(width):
                walk.enter(j)
                for c in range(channels):
                    if c < shape.groups:
                        walk.run(c, j)
                    value = request.draw(i, j, c, output.parameters(c, walk.row[j]))
                    torch.index_select(tables[c], 0, value, out=places[j][c])
                walk.leave(j)
                request.report(i * width + j + 1)
            if i + 1 < height:
                vertical.push(i, walk.row)


def _value_tables(model: GatedPixelCNN) -> list[Tensor]:
    """Per channel the number or the table row of every level, [levels, e]."""
    channels, levels = model.config.grid_channels, model.config.levels
    every = torch.arange(levels, device=model.mix.weight.device)
    embedded = model.embed(every.view(-1, 1, 1, 1).expand(-1, channels, 1, 1))
    return list(embedded.float().view(levels, channels, -1).transpose(0, 1).contiguous())
