"""The incremental sampler of the Gated PixelCNN: about the work of one full pass per picture.

The vertical stack runs once per row (vertical.py), the horizontal one once per position and channel
group (walk.py), the head once per channel (outputs.py); weights are plain matrices (folding.py).

On a processor a large batch is split among Python threads, each of which draws its own pictures
from the first position to the last. torch's own threads would meet at every product, which costs
more than it gains as soon as anything else is running.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from threading import Condition as Turn

import torch
from torch import Tensor

from pixelgen.models.gated_pixelcnn import ChannelHead, GatedPixelCNN
from pixelgen.sampling.fused_weights import fold_outputs, shape_of
from pixelgen.sampling.output_stage import HeadWeights, OutputStage
from pixelgen.sampling.position_loop import Walk, fold_walk
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads
from pixelgen.sampling.vertical_stack import VerticalStack, fold_vertical

WORTH_A_THREAD = 2**19
"""Rows times the square of the feature maps, of a step from one layer to the next, from which on a
thread of their own pays: below it Python, which runs one thread at a time, is what takes time."""


def sample_gated(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, GatedPixelCNN)
    network = _Network(model)
    with threads(1) as workers:
        count = _parts(request, workers, network.shape.features)
        with ThreadPoolExecutor(workers) as pool:
            if count == 1:
                network.draw(request, pool, workers, request.report)
            else:
                _Together(network, request, count, workers // count).draw(pool)


def _parts(request: Request, workers: int, features: int) -> int:
    """Among how many threads the pictures are split."""
    if request.drawn.device.type != "cpu" or request.drawer.observe is not None:
        return 1
    work = request.rows * features**2 // WORTH_A_THREAD
    return max(1, min(workers, work, request.drawn.shape[3]))


class _Network:
    """All matrices, for batches of any size."""

    def __init__(self, model: GatedPixelCNN) -> None:
        self.model, self.shape = model, shape_of(model)
        self.walk = fold_walk(model, self.shape)
        self.vertical = fold_vertical(model, self.walk.horizontals, self.shape.groups)
        self.outputs = fold_outputs(model, self.shape)
        head = model.head
        self.head = (
            HeadWeights.of(head, self.shape.embedded) if isinstance(head, ChannelHead) else None
        )
        self.tables = _value_tables(model)

    def draw(
        self, request: Request, pool: Executor, workers: int, report: Callable[[int], None]
    ) -> None:
        """Fills the grid of `request`; the vertical stack may use `workers` threads of `pool`.
        `report(done)` is told after every position."""
        model, shape, tables = self.model, self.shape, self.tables
        height, width, channels = request.size
        batch = request.rows
        output = OutputStage(model, self.outputs, self.head, shape, batch)
        walk = Walk(model, self.walk, shape, output, batch)
        places = [embedded.view(batch, channels, -1).unbind(1) for embedded in walk.row]
        vertical = VerticalStack(
            model, self.vertical, shape, request.condition, batch, pool, workers
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
                report(i * width + j + 1)
            if i + 1 < height:
                vertical.push(i, walk.row)


class _Together:
    """Parts of one request, drawn side by side. The first one is drawn by the thread that asked,
    which also reports: of a position when all have drawn it."""

    def __init__(self, network: _Network, request: Request, count: int, workers: int) -> None:
        self.network, self.request = network, request
        self.workers = workers
        """Threads for the vertical stack of each part."""
        self.parts = request.parts(count)
        self.done = [0] * count
        self.stopped = False
        self.turn = Turn()

    def draw(self, pool: Executor) -> None:
        """Fills the grid. What goes wrong in a part stops all, and is raised."""
        try:
            others = [pool.submit(self._draw, k, pool) for k in range(1, len(self.parts))]
            with suppress(_StoppedError):  # another part says why
                self.network.draw(self.parts[0], pool, self.workers, self._report)
            for failed in (other.exception() for other in others):
                if failed is not None and not isinstance(failed, _StoppedError):
                    raise failed
        except BaseException:
            self._stop()
            raise

    @torch.inference_mode()  # which every thread enters for itself
    def _draw(self, k: int, pool: Executor) -> None:
        try:
            self.network.draw(self.parts[k], pool, self.workers, lambda done: self._tell(k, done))
        except BaseException:
            self._stop()
            raise

    def _tell(self, k: int, done: int) -> None:
        with self.turn:
            if self.stopped:
                raise _StoppedError
            self.done[k] = done
            self.turn.notify()

    def _report(self, done: int) -> None:
        self._tell(0, done)
        if self.request.on_step is None:
            return
        with self.turn:
            self.turn.wait_for(lambda: self.stopped or min(self.done) >= done)
            if self.stopped:
                raise _StoppedError
        self.request.report(done)

    def _stop(self) -> None:
        with self.turn:
            self.stopped = True
            self.turn.notify()


class _StoppedError(Exception):
    """Another part has failed."""


def _value_tables(model: GatedPixelCNN) -> list[Tensor]:
    """Per channel the number or the table row of every level, [levels, e]."""
    channels, levels = model.config.grid_channels, model.config.levels
    every = torch.arange(levels, device=model.mix.weight.device)
    embedded = model.embed(every.view(-1, 1, 1, 1).expand(-1, channels, 1, 1))
    return list(embedded.float().view(levels, channels, -1).transpose(0, 1).contiguous())
