"""Batches drawn from pictures in memory.

Everything random is a function of the seed and of a counter, so a run goes on exactly where it
stopped, and several processes see the parts of one batch.
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
    """For what the network itself draws in a step (dropout), different in every process."""
    return mix(seed, RandomStream.NETWORK, (step << 16) + rank)


def random_shifts(seed: int, counter: int, count: int, jitter: int) -> Tensor:
    """int64 [count, 2] of -jitter … jitter, the same for the same seed and counter."""
    generator = stream_generator(seed, RandomStream.SHIFT, counter)
    return torch.randint(-jitter, jitter + 1, (count, 2), generator=generator)


def hold_out(total: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices 0 … total - 1 in two sorted parts: to train on, and `count` never to train on."""
    order = torch.randperm(total, generator=stream_generator(seed, RandomStream.HOLDOUT))
    return order[count:].sort().values, order[:count].sort().values


def framed(x: Tensor, size: int, shift: Tensor | None, flipped: Tensor | None) -> Tensor:
    """The middle size×size (0: everything) of pictures [B, C, H, W], moved by `shift` [B, 2], and
    mirrored where `flipped` [B] is true."""
    if size and (shift is not None or (size, size) != tuple(x.shape[-2:])):
        x = cut(x, size, shift)
    if flipped is None:
        return x
    return torch.where(flipped.to(x.device)[:, None, None, None], x.flip(-1), x)


@dataclass(frozen=True)
class Batch:
    """One process's part of a step."""

    x: Tensor
    """[B, C, H, W], whole numbers of any type."""
    classes: Tensor | None
    """int64 [B], some of them the null class; or who is on the pictures."""
    vector: Tensor | None = None
    """[B, D], the condition vectors."""
    dropped: Tensor | None = None
    """bool [B]: for which pictures the vector is to be left out; None: there are no vectors."""

    def inputs(self, device: torch.device | str) -> tuple[Tensor | None, ...]:
        """What the objective is called with; x as int64."""
        given = (self.x.to(device).long(), self.classes, self.vector, self.dropped)
        # A network without vectors need not know of them.
        used = given if self.dropped is not None else given[:2]
        return tuple(None if t is None else t.to(device) for t in used)


@dataclass(frozen=True)
class ConditionVectors:
    """Condition vectors of pictures."""

    embeddings: Tensor
    """[N, D], one of each picture."""
    companions: SamePersonIndex | None = None
    """Who is on them; None: nobody whom others show too."""
    other: float = 0.0
    """Share of the pictures that are shown with the vector of another picture of the person."""
    noise: float = 0.0
    """Standard deviation of what is added to each number."""
    dropout: float = 0.0
    """Share of the pictures that are shown without their vector, beside those that are shown
    without any condition."""

    def draw(
        self, index: Tensor, generator: torch.Generator, total: int, mine: slice
    ) -> tuple[Tensor, Tensor]:
        """[B, D] for the pictures `index`, the part `mine` of the `total` of a step, and bool [B]:
        of which they are to be left out."""
        source = index
        if self.companions is not None:
            chance = torch.rand(2, total, generator=generator)[:, mine]
            other = self.companions.other(index, chance[1])
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
    """int64: the pictures that are drawn."""

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Process `rank`'s `size` pictures of a step whose first picture is number `position`."""

    def to(self, device: torch.device) -> BatchSource:
        """Moves the pictures there, if there is room: batches are then put together there. Returns
        itself."""


def _roomy(pictures: Tensor, device: torch.device) -> Tensor:
    """`pictures` on `device`, unless they would take a good part of its memory."""
    if device.type != "cuda":
        return pictures
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.to(device) if pictures.nbytes < free / 4 else pictures


class Batches:
    """Epoch after epoch in a new order, without gaps between epochs."""

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
        own_vectors: bool = False,
    ) -> None:
        """`views` uint8 [V, N, C, H, W], V forms of each picture of which one is drawn at random,
        `classes` int64 [N] or None; only `rows` are drawn. `flip` mirrors half of them, and the
        middle `crop`×`crop` (0: everything) is cut out, moved by up to `jitter` each way.
        With `own_vectors` the network makes its vectors itself, and `class_dropout` of them are to
        be left out as those of `vectors` are."""
        self.views, self.classes, self.rows = views, classes, rows
        self.seed, self.flip = seed, flip
        self.crop, self.jitter = crop or (views.shape[-1] if jitter else 0), jitter
        self.null_class, self.class_dropout = null_class, class_dropout
        self.vectors, self.own_vectors = vectors, own_vectors
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
        """Process `rank`'s `size` pictures of a step whose first picture is number `position`."""
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
            vector, alone = self.vectors.draw(index, generator, size * ranks, mine)
            dropped = dropped | alone
        told = vector is not None or self.own_vectors
        return Batch(x, classes, vector, dropped if told else None)

    def to(self, device: torch.device) -> Batches:
        """Moves the pictures there, if there is room: batches are then put together there. Returns
        itself."""
        self.views = _roomy(self.views, device)
        return self


class IdentityBatches:
    """`shots` pictures of each of several people, who are drawn anew for every step."""

    def __init__(
        self,
        images: Tensor,
        who: Tensor,
        rows: Tensor,
        *,
        shots: int,
        seed: int,
        flip: bool,
        crop: int = 0,
        jitter: int = 0,
        favour: float = 0.0,
    ) -> None:
        """`images` uint8 [N, C, H, W], `who` int64 [N]; of `rows`, those of people with at least
        two pictures are drawn, the people in proportion to the number of their pictures raised to
        `favour`. Raises ValueError where there are no two such people."""
        order = rows[who[rows].argsort(stable=True)]
        _, counts = who[order].unique_consecutive(return_counts=True)
        ends = counts.cumsum(0)
        several = counts >= 2
        if int(several.sum()) < 2:
            raise ValueError("fewer than two people have two pictures each")
        self.images, self.who, self._order = images, who, order
        self._first, self._count = (ends - counts)[several], counts[several]
        self._share = self._count.double() ** favour
        self.rows = order[several.repeat_interleave(counts)]
        self.shots, self.seed, self.flip = shots, seed, flip
        self.crop, self.jitter = crop or (images.shape[-1] if jitter else 0), jitter

    def draw(self, step: int, position: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Process `rank`'s `size` pictures, `shots` of a person after one another; a person with
        fewer pictures is shown with all of them, some twice. Each process draws its own people."""
        generator = stream_generator(self.seed, RandomStream.PEOPLE, step * ranks + rank)
        people = -(-size // self.shots)
        different = min(people, len(self._first))
        chosen = torch.multinomial(self._share, different, generator=generator)
        # Where a batch holds more people than there are, it begins again with the first.
        chosen = chosen.repeat(-(-people // different))[:people]
        count = self._count[chosen][:, None]
        start = (torch.rand(people, 1, generator=generator) * count).long()
        stride = _strides(count, generator)
        places = (start + stride * torch.arange(self.shots)) % count  # all different while they can
        index = self._order[self._first[chosen][:, None] + places].flatten()[:size]
        shift = None
        if self.jitter:
            bounds = (-self.jitter, self.jitter + 1)
            shift = torch.randint(*bounds, (size, 2), generator=generator)
        flipped = torch.rand(size, generator=generator) < 0.5 if self.flip else None
        x = framed(self.images[index.to(self.images.device)], self.crop, shift, flipped)
        return Batch(x, self.who[index])

    def to(self, device: torch.device) -> IdentityBatches:
        """Moves the pictures there, if there is room: batches are then put together there. Returns
        itself."""
        self.images = _roomy(self.images, device)
        return self


def _strides(count: Tensor, generator: torch.Generator) -> Tensor:
    """For rings of `count` int64 [P, 1] places, a random step that visits them all."""
    drawn = (torch.rand(count.shape, generator=generator) * count).long().clamp(min=1)
    return torch.where(torch.gcd(drawn, count) == 1, drawn, 1)
