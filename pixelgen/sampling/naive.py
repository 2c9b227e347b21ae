"""The reference sampler: one full pass of the network for every value."""

from __future__ import annotations

from itertools import islice, product

from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import pass_flops, threads_for


def sample_naive(request: Request, max_values: int | None = None) -> None:
    """Samples all values, or the first `max_values` of them (for a benchmark)."""
    model = request.model
    height, width, channels = request.size
    places = product(range(height), range(width), range(channels))
    with threads_for(pass_flops(model, request.rows)):
        for i, j, c in islice(places, max_values):
            embedded = model.embed(request.for_network(request.grid()))
            parameters = model.parameters_of(embedded, request.condition)
            request.sample_value(i, j, c, parameters[:, i, j])
            if c == channels - 1:
                request.report(i * width + j + 1)
