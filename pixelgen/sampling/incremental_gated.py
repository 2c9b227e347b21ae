"""The incremental sampler of the Gated PixelCNN: about the work of one full pass per picture.

The vertical stack runs once per row (vertical_stack.py), the horizontal one once per position and
channel group (horizontal_stack.py), the head once per channel (output_stage.py); weights are plain
matrices (fused_weights.py).

On a processor a large batch is split among Python threads, each of which samples its own pictures
from the first position to the last. torch's own threads would meet at every product, which costs
more than it gains as soon as anything else is running.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from threading import Condition as ThreadCondition

import torch
from torch import Tensor

from pixelgen.models.gated_pixelcnn import GatedPixelCNN
from pixelgen.sampling.fused_weights import fuse_outputs, shape_of
from pixelgen.sampling.horizontal_stack import HorizontalStack, fuse_horizontal_stack
from pixelgen.sampling.output_stage import OutputStage, head_weights
from pixelgen.sampling.rounding import LEAST_ROWS
from pixelgen.sampling.state import Request
from pixelgen.sampling.threads import threads
from pixelgen.sampling.vertical_stack import VerticalStack, fuse_vertical_stack

WORK_PER_THREAD = 2**19
"""Rows of the batch times the square of the feature maps (the work of a step from one layer to the
next) from which on another thread pays: below it most time goes to Python, which runs one thread at
a time."""


def sample_gated(request: Request) -> None:
    """Fills the request's grid."""
    model = request.model
    assert isinstance(model, GatedPixelCNN)
    with threads(1) as workers:
        sampler = _GatedSampler(model)
        count = _thread_count(request, workers, sampler.shape.features)
        with ThreadPoolExecutor(workers) as pool:
            if count == 1:
                sampler.run(request, pool, workers, request.report)
            else:
                _ParallelRun(sampler, request, count, workers // count).run(pool)


def _thread_count(request: Request, workers: int, features: int) -> int:
    """The number of threads among which the pictures are split."""
    if request.values.device.type != "cpu" or request.value_sampler.observe is not None:
        return 1
    work = request.rows * features**2 // WORK_PER_THREAD
    return max(1, min(workers, work, request.pictures, request.rows // LEAST_ROWS))


class _GatedSampler:
    """All matrices of a network, for batches of any size."""

    def __init__(self, model: GatedPixelCNN) -> None:
        self.model, self.shape = model, shape_of(model)
        self.horizontal = fuse_horizontal_stack(model, self.shape)
        self.vertical = fuse_vertical_stack(model, self.horizontal.convolutions, self.shape.groups)
        self.outputs = fuse_outputs(model, self.shape)
        self.head = head_weights(model.head, self.shape.embedded)
        self.tables = _value_tables(model)

    def run(
        self, request: Request, pool: Executor, workers: int, on_position: Callable[[int], None]
    ) -> None:
        """Fills the grid of `request`; the vertical stack may use `workers` threads of `pool`.
        `on_position` is called after every position with the number of sampled positions."""
        model, shape, tables = self.model, self.shape, self.tables
        height, width, channels = request.size
        batch = request.rows
        output = OutputStage(model, self.outputs, self.head, shape, batch)
        horizontal = HorizontalStack(model, self.horizontal, shape, output, batch)
        embedded = [position.view(batch, channels, -1).unbind(1) for position in horizontal.row]
        vertical = VerticalStack(
            model, self.vertical, shape, request.condition, batch, pool, workers
        )
        horizontal.connect(vertical)
        for i in range(height):
            for j in range(width):
                horizontal.start_position(j)
                for c in range(channels):
                    if c < shape.groups:
                        horizontal.run(c, j)
                    parameters = output.parameters(c, horizontal.row[j])
                    value = request.sample_value(i, j, c, parameters)
                    torch.index_select(tables[c], 0, value, out=embedded[j][c])
                horizontal.end_position(j)
                on_position(i * width + j + 1)
            if i + 1 < height:
                vertical.push(i, horizontal.row)


class _ParallelRun:
    """Parts of one request, sampled side by side. The calling thread samples the first one and
    reports a position when all parts have sampled it."""

    def __init__(self, sampler: _GatedSampler, request: Request, count: int, workers: int) -> None:
        self.sampler, self.request = sampler, request
        self.workers = workers
        """Threads for the vertical stack of each part."""
        self.parts = request.split(count)
        self.done = [0] * count
        """Per part, the number of sampled positions."""
        self.stopped = False
        self.changed = ThreadCondition()
        """Guards, and notifies of changes of, `done` and `stopped`."""

    def run(self, pool: Executor) -> None:
        """Fills the grid. An error in any part stops all, and is raised."""
        try:
            others = [pool.submit(self._run, k, pool) for k in range(1, len(self.parts))]
            with suppress(_StoppedError):  # the part that failed has the reason
                self.sampler.run(self.parts[0], pool, self.workers, self._report)
            for failed in (other.exception() for other in others):
                if failed is not None and not isinstance(failed, _StoppedError):
                    raise failed
        except BaseException:
            self._stop()
            raise

    @torch.inference_mode()  # which every thread enters for itself
    def _run(self, k: int, pool: Executor) -> None:
        try:
            self.sampler.run(self.parts[k], pool, self.workers, lambda done: self._advance(k, done))
        except BaseException:
            self._stop()
            raise

    def _advance(self, k: int, done: int) -> None:
        """Notes that part `k` has sampled `done` positions. Raises _StoppedError after a stop."""
        with self.changed:
            if self.stopped:
                raise _StoppedError
            self.done[k] = done
            self.changed.notify()

    def _report(self, done: int) -> None:
        """`_advance` of the first part; then reports as soon as all parts are as far."""
        self._advance(0, done)
        if self.request.on_step is None:
            return
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or min(self.done) >= done)
            if self.stopped:
                raise _StoppedError
        self.request.report(done)

    def _stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify()


class _StoppedError(Exception):
    """Another part has failed."""


def _value_tables(model: GatedPixelCNN) -> list[Tensor]:
    """Per channel the embedding of every level, [levels, e]."""
    channels, levels = model.config.grid_channels, model.config.levels
    values = torch.arange(levels, device=model.out_1x1.weight.device)
    embedded = model.embed(values.view(-1, 1, 1, 1).expand(-1, channels, 1, 1))
    return list(embedded.float().view(levels, channels, -1).transpose(0, 1).contiguous())
