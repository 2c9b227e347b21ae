"""The people to portray, their source photos, and the photos that portraits are compared to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelgen.data import ImageData
from pixelgen.errors import PixelgenError
from pixelgen.evaluation.dataset import Part, classes_of
from pixelgen.random_streams import RandomStream, stream_generator


@dataclass(frozen=True)
class IdentitySplit:
    """Rows of a split, and the people in them."""

    people: Tensor
    """int64 [P]: the people to portray, in order."""
    sources: Tensor
    """int64 [P]: the row of the source photo of each of them."""
    gallery: Tensor
    """int64 [G]: the rows of all photos but the source photos of all people, so that it does not
    depend on who is portrayed."""
    who: Tensor
    """int64 [N]: the person in every row."""

    @classmethod
    def choose(cls, data: ImageData, part: Part, people: int | None, seed: int) -> IdentitySplit:
        """A part of the people with two photos or more; with `people`, at most that many of them,
        evenly spread. `seed` draws the source photos.

        Raises PixelgenError for data with fewer than two people, or without two photos of one.
        """
        who = data.labels
        assert who is not None  # checked by the caller
        names, counts = who.unique(return_counts=True)
        candidates = names[counts > 1].tolist()
        if not candidates or len(names) < 2:
            raise PixelgenError(
                "the data must show two people, and two photos of one of them",
                "one photo is the source of portraits, the others are compared to them",
            )
        generator = stream_generator(seed, RandomStream.SOURCE_PHOTOS)
        chance = torch.rand(len(candidates), generator=generator)
        source = {}
        for person, drawn in zip(candidates, chance.tolist(), strict=True):
            rows = (who == person).nonzero()[:, 0]
            source[person] = int(rows[int(drawn * len(rows))])
        chosen = classes_of(part, candidates)
        if not chosen:
            raise PixelgenError(f"the part {part} is empty: there are too few people")
        if people is not None and people < len(chosen):
            chosen = [chosen[i * len(chosen) // people] for i in range(people)]
        free = torch.ones(len(who), dtype=torch.bool)
        free[list(source.values())] = False
        return cls(
            torch.tensor(chosen),
            torch.tensor([source[person] for person in chosen]),
            free.nonzero()[:, 0],
            who,
        )

    def others(self, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Rows int64 [M] of other photos of the people, person after person, and the source row of
        each; of every person all, or `most`, spread evenly."""
        rows, sources = [], []
        for person, source in zip(self.people.tolist(), self.sources.tolist(), strict=True):
            own = self.gallery[self.who[self.gallery] == person]
            if most is not None and most < len(own):
                own = own[torch.arange(most) * len(own) // most]
            rows.append(own)
            sources.append(torch.full_like(own, source))
        return torch.cat(rows), torch.cat(sources)
