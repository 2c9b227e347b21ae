"""Batches drawn from images in memory.

Everything random is a function of the seed and of a counter, so a run resumes exactly where it
stopped, and several processes draw the parts of one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pixelgen.data import cut
from pixelgen.data.same_person_index import SamePersonIndex
from pixelgen.random_streams import RandomStream, mix, stream_generator


def network_seed(seed: int, step: int, rank: int) -> int:
    """The seed of the network's own random numbers (dropout) in a step of one process."""
    return mix(seed, RandomStream.NETWORK, (step << 16) + rank)


def random_shifts(seed: int, counter: int, count: int, jitter: int) -> Tensor:
    """int64 [count, 2] of -jitter … jitter, the same for the same seed and counter."""
    generator = stream_generator(seed, RandomStream.SHIFT, counter)
    return torch.randint(-jitter, jitter + 1, (count, 2), generator=generator)


def hold_out(total: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices 0 … total - 1 in two sorted parts: to train on, and `count` that are held out."""
    order = torch.randperm(total, generator=stream_generator(seed, RandomStream.HOLDOUT))
    return order[count:].sort().values, order[:count].sort().values


def framed(x: Tensor, size: int, shift: Tensor | None, flipped: Tensor | None) -> Tensor:
    """The central size×size crop (0: the whole) of images [B, C, H, W], shifted by `shift` [B, 2],
    and mirrored where `flipped` [B] is true."""
    if size and (shift is not None or (size, size) != tuple(x.shape[-2:])):
        x = cut(x, size, shift)
    if flipped is None:
        return x
    return torch.where(flipped.to(x.device)[:, None, None, None], x.flip(-1), x)


@dataclass(frozen=True)
class Batch:
    """One process's part of a step."""

    x: Tensor
    """[B, C, H, W], of any integer type."""
    classes: Tensor | None
    """int64 [B], some of them the null class; for a face embedder, the people."""
    vector: Tensor | None = None
    """[B, D], the condition vectors."""
    dropped: Tensor | None = None
    """bool [B]: where the condition vector is to be dropped; None: there are no vectors."""

    def inputs(self, device: torch.device | str) -> tuple[Tensor | None, ...]:
        """The arguments of the objective; x as int64."""
        inputs = (self.x.to(device).long(), self.classes, self.vector, self.dropped)
        # Objectives of networks without vectors do not take the last two.
        used = inputs if self.dropped is not None else inputs[:2]
        return tuple(None if t is None else t.to(device) for t in used)


@dataclass(frozen=True)
class ConditionVectors:
    """Condition vectors of images."""

    embeddings: Tensor
    """[N, D], one for each image."""
    same_person: SamePersonIndex | None = None
    """Finds other images of the same person; None: vectors are never swapped."""
    other: float = 0.0
    """Share of the images that get the vector of another image of the person."""
    noise: float = 0.0
    """Standard deviation of the Gaussian noise on each dimension."""
    dropout: float = 0.0
    """Share of the images without their vector, beside those without any condition."""

    def draw(
        self, index: Tensor, generator: torch.Generator, total: int, mine: slice
    ) -> tuple[Tensor, Tensor]:
        """Vectors [B, D] for the images `index`, the part `mine` of the `total` of a step, and
        bool [B]: which of them are to be dropped."""
        source = index
        if self.same_person is not None:
            chance = torch.rand(2, total, generator=generator)[:, mine]
            other = self.same_person.other(index, chance[1])
            source = torch.where(chance[0] < self.other, other, index)
        vector = self.embeddings[source]
        if self.noise:
            size = (total, vector.shape[1])
            vector = vector + self.noise * torch.randn(size, generator=generator)[mine]
        dropped = torch.zeros(len(index), dtype=torch.bool)
        if self.dropout:
            dropped = torch.rand(total, generator=generator)[mine] < self.dropout
        return vector, dropped


class BatchSource(Protocol):
    """Where batches come from."""

    rows: Tensor
    """int64: the images that are drawn from."""

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The `size` images of process `rank` of `ranks` in a step; its first image has the number
        `position` in the stream of epochs."""

    def to(self, device: torch.device) -> BatchSource:
        """Moves the images to `device` if there is room: batches are then assembled there. Returns
        itself."""


def _to_device_if_room(images: Tensor, device: torch.device) -> Tensor:
    """`images` on a GPU, unless they would take more than a quarter of its free memory."""
    if device.type != "cuda":
        return images
    free, _ = torch.cuda.mem_get_info(device)
    return images.to(device) if images.nbytes < free / 4 else images


class Batches:
    """Images in a new order in every epoch; batches may span two epochs."""

    def __init__(
        self,
        views: Tensor,
        classes: Tensor | None,
        rows: Tensor,
        *,
        seed: int,
        flip: bool,
        crop: int = 0,
        jitter: int = 0,
        null_class: int = 0,
        class_dropout: float = 0.0,
        vectors: ConditionVectors | None = None,
        drop_own_condition: bool = False,
    ) -> None:
        """`views` uint8 [V, N, C, H, W]: V views of each image, of which one is drawn at random;
        `classes` int64 [N] or None; only `rows` are drawn. `flip` mirrors half of them, and the
        central `crop`×`crop` (0: the whole) is cut out, shifted by up to `jitter` each way. With
        `drop_own_condition` the network computes its condition from the image itself, and
        `class_dropout` of the images are to be shown without it."""
        self.views, self.classes, self.rows = views, classes, rows
        self.seed, self.flip = seed, flip
        self.crop, self.jitter = crop or (views.shape[-1] if jitter else 0), jitter
        self.null_class, self.class_dropout = null_class, class_dropout
        self.vectors, self.drop_own_condition = vectors, drop_own_condition
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self.rows))
        if epoch != self._epoch:
            order = torch.randperm(
                len(self.rows), generator=stream_generator(self.seed, RandomStream.EPOCH, epoch)
            )
            self._epoch, self._order = epoch, self.rows[order]
        return int(self._order[place])

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The `size` images of process `rank` of `ranks` in a step; its first image has the number
        `position` in the stream of epochs."""
        index = torch.tensor([self._index(position + i) for i in range(size * ranks)])
        chance = torch.rand(
            2, size * ranks, generator=stream_generator(self.seed, RandomStream.STEP, step)
        )
        mine = slice(rank * size, (rank + 1) * size)
        index, chance = index[mine], chance[:, mine]
        where = index.to(self.views.device)
        if len(self.views) == 1:
            x = self.views[0, where]
        else:
            generator = stream_generator(self.seed, RandomStream.VIEW, step)
            view = torch.randint(len(self.views), (size * ranks,), generator=generator)[mine]
            x = self.views[view.to(where.device), where]
        shift = None
        if self.jitter:
            shift = random_shifts(self.seed, step, size * ranks, self.jitter)[mine]
        x = framed(x, self.crop, shift, chance[0] < 0.5 if self.flip else None)
        dropped = chance[1] < self.class_dropout
        classes = vector = None
        if self.classes is not None:
            classes = self.classes[index].masked_fill(dropped, self.null_class)
        if self.vectors is not None:
            generator = stream_generator(self.seed, RandomStream.VECTOR, step)
            vector, dropped_vectors = self.vectors.draw(index, generator, size * ranks, mine)
            dropped = dropped | dropped_vectors
        conditioned = vector is not None or self.drop_own_condition
        return Batch(x, classes, vector, dropped if conditioned else None)

    def to(self, device: torch.device) -> Batches:
        """Moves the images to `device` if there is room: batches are then assembled there. Returns
        itself."""
        self.views = _to_device_if_room(self.views, device)
        return self


class IdentityBatches:
    """`shots` images of each of several people, drawn anew in every step."""

    def __init__(
        self,
        images: Tensor,
        people: Tensor,
        rows: Tensor,
        *,
        shots: int,
        seed: int,
        flip: bool,
        crop: int = 0,
        jitter: int = 0,
        favour: float = 0.0,
    ) -> None:
        """`images` uint8 [N, C, H, W], `people` int64 [N]; of `rows`, those of people with at least
        two images are drawn, people in proportion to the number of their images raised to `favour`.
        Raises ValueError for fewer than two such people."""
        order = rows[people[rows].argsort(stable=True)]
        _, counts = people[order].unique_consecutive(return_counts=True)
        ends = counts.cumsum(0)
        several = counts >= 2
        if int(several.sum()) < 2:
            raise ValueError("fewer than two people have two pictures each")
        self.images, self.people, self._order = images, people, order
        self._first, self._count = (ends - counts)[several], counts[several]
        self._share = self._count.double() ** favour
        self.rows = order[several.repeat_interleave(counts)]
        self.shots, self.seed, self.flip = shots, seed, flip
        self.crop, self.jitter = crop or (images.shape[-1] if jitter else 0), jitter

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The `size` images of process `rank`, `shots` of each person in a row; of a person with
        fewer images some are repeated. Each process draws its own people."""
        generator = stream_generator(self.seed, RandomStream.PEOPLE, step * ranks + rank)
        needed = -(-size // self.shots)
        distinct = min(needed, len(self._first))
        chosen = torch.multinomial(self._share, distinct, generator=generator)
        # A batch of more people than there are repeats them.
        chosen = chosen.repeat(-(-needed // distinct))[:needed]
        count = self._count[chosen][:, None]
        start = (torch.rand(needed, 1, generator=generator) * count).long()
        stride = _strides(count, generator)
        places = (start + stride * torch.arange(self.shots)) % count  # distinct where possible
        index = self._order[self._first[chosen][:, None] + places].flatten()[:size]
        shift = None
        if self.jitter:
            bounds = (-self.jitter, self.jitter + 1)
            shift = torch.randint(*bounds, (size, 2), generator=generator)
        flipped = torch.rand(size, generator=generator) < 0.5 if self.flip else None
        x = framed(self.images[index.to(self.images.device)], self.crop, shift, flipped)
        return Batch(x, self.people[index])

    def to(self, device: torch.device) -> IdentityBatches:
        """Moves the images to `device` if there is room: batches are then assembled there. Returns
        itself."""
        self.images = _to_device_if_room(self.images, device)
        return self


def _strides(count: Tensor, generator: torch.Generator) -> Tensor:
    """A random step, coprime to it, around each ring of `count` int64 [P, 1] places."""
    drawn = (torch.rand(count.shape, generator=generator) * count).long().clamp(min=1)
    return torch.where(torch.gcd(drawn, count) == 1, drawn, 1)
