"""Who is portrayed, from which photo, and what real photos their portraits are compared to."""

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
    """Rows of a split, and the people on them."""

    people: Tensor
    """int64 [P]: whoever is portrayed, in order."""
    sources: Tensor
    """int64 [P]: the row of the photo that each of them is portrayed from."""
    gallery: Tensor
    """int64 [G]: the rows of all photos but the source photos, theirs and everybody's, so that it
    is the same whoever is portrayed."""
    who: Tensor
    """int64 [N]: the person on every row."""

    @classmethod
    def choose(cls, data: ImageData, part: Part, people: int | None, seed: int) -> IdentitySplit:
        """Of everybody with two photos or more, a part; with `people`, that many of the part,
        spread evenly. `seed` draws each one's source photo.

        Raises PixelgenError where nobody can be portrayed, or there is nobody else.
        """
        who = data.labels
        assert who is not None  # the caller has looked
        everybody, counts = who.unique(return_counts=True)
        able = everybody[counts > 1].tolist()
        if not able or len(everybody) < 2:
            raise PixelgenError(
                "there must be two people, and two photos of one of them",
                "one photo is drawn from, the others are compared to the portraits",
            )
        generator = stream_generator(seed, RandomStream.SOURCE_PHOTOS)
        chance = torch.rand(len(able), generator=generator)
        source = {}
        for person, drawn in zip(able, chance.tolist(), strict=True):
            rows = (who == person).nonzero()[:, 0]
            source[person] = int(rows[int(drawn * len(rows))])
        chosen = classes_of(part, able)
        if not chosen:
            raise PixelgenError(f"nobody is in the part {part}: there are too few people")
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
