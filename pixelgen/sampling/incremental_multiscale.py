"""The incremental sampler of a model of two scales: that of the Gated PixelCNN, twice."""

from __future__ import annotations

from dataclasses import replace

import torch

from pixelgen.models.multiscale import MultiScale
from pixelgen.sampling.incremental_gated import sample_gated
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads


def sample_multiscale(request: Request) -> None:
    """Fills the request's grid; reports once the sub-sampled picture is there."""
    model = request.model
    assert isinstance(model, MultiScale)
    height, width, _ = request.size
    half, channels = height // 2, model.config.channels
    log_prob = request.log_prob
    coarse = replace(
        request,
        model=model.coarse,
        values=request.values[:half, :, :channels],
        cells=[[column[:channels] for column in row] for row in request.cells[:half]],
        log_prob=None if log_prob is None else log_prob[:half, :, :channels],
        on_step=None,
        stage=(0.0, 0.5),
    )
    sample_gated(coarse)
    with threads(1):
        embedded = model.coarse.embed(request.for_network(coarse.grid()))
        condition = model.fine_condition(embedded, request.condition)
    everywhere = torch.ones_like(coarse.values[0, 0, 0], dtype=torch.bool)
    fine = replace(
        request,
        model=model.fine,
        condition=condition,
        values=request.values[half:],
        cells=[
            [
                [
                    cell._replace(known=sampled.values, known_mask=everywhere)
                    for cell, sampled in zip(column, above, strict=False)
                ]
                + column[channels:]
                for column, above in zip(row, row_above, strict=True)
            ]
            for row, row_above in zip(request.cells[half:], coarse.cells, strict=True)
        ],
        log_prob=None if log_prob is None else log_prob[half:],
        on_step=lambda done, total, grids: request.report(half * width + done),
        stage=(0.5, 1.0),
    )
    sample_gated(fine)
