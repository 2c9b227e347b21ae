"""Whether pictures of people are taken for them: what distances between vectors say.

Pictures are compared to a gallery of real photos. Every person of the pictures counts the same,
however many photos the gallery has of them; as somebody else's, every photo counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelgen.metrics.bootstrap import Estimate, estimate, mean, ratio


@dataclass(frozen=True)
class IdentityMatch:
    """What one judge makes of pictures of some people."""

    auc: Estimate
    """Area under the ROC curve: the chance that a picture is nearer to a photo of its own person
    than a picture of anybody to a photo of somebody else."""
    rank1: Estimate
    """Share of the pictures whose nearest person is their own. A person is where the mean of their
    photos' vectors lies."""
    diversity: Estimate | None
    """Mean distance between two pictures of a person over that between two photos: 1 is as diverse
    as photos are. None where nobody has two pictures and two photos."""


@dataclass(frozen=True)
class LabelledEmbeddings:
    """Pictures, or the vectors of pictures, and whose they are."""

    vectors: Tensor
    """[N, …]."""
    who: Tensor
    """int64 [N]."""

    def of(self, person: int) -> Tensor:
        """The vectors of one person."""
        return self.vectors[self.who == person]

    def people(self) -> list[int]:
        """Whoever occurs, in order."""
        return torch.unique(self.who).tolist()


def match_identities(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> IdentityMatch:
    """Vectors [M, D] of pictures, and [N, D] of photos that these were not made of. Every person of
    the pictures must be in the gallery, and somebody else too."""
    chance = nearer(pictures, gallery)
    auc = estimate(len(chance), lambda w: ((w @ chance) * w).sum(1) / w.sum(1) ** 2)
    return IdentityMatch(auc, mean(recognised(pictures, gallery)), diversity(pictures, gallery))


def nearer(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> Tensor:
    """float64 [P, P] for the people of the pictures: the chance that a pair of the first person's
    picture and photo is nearer than one of the second's picture and a photo of somebody else. Ties
    count half."""
    people = pictures.people()
    pairs, foreign = [], []
    for person in people:
        apart = _apart(pictures.of(person), gallery.vectors)
        own = gallery.who == person
        pairs.append(apart[:, own].flatten())
        foreign.append(apart[:, ~own].flatten().sort().values)
    every = torch.cat(pairs)
    whose = torch.arange(len(people)).repeat_interleave(torch.tensor([len(own) for own in pairs]))
    counts = torch.bincount(whose, minlength=len(people))
    chance = torch.empty(len(people), len(people), dtype=torch.float64)
    for column, others in enumerate(foreign):
        below = torch.searchsorted(others, every) + torch.searchsorted(others, every, right=True)
        share = 1 - below.double() / (2 * len(others))
        chance[:, column] = torch.bincount(whose, weights=share) / counts
    return chance


def recognised(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> Tensor:
    """float64 [P]: of every person of the pictures, the share that is nearest to the mean of their
    photos among the means of all people in the gallery."""
    known = gallery.people()
    means = torch.stack([gallery.of(person).double().mean(0) for person in known])
    shares = []
    for person in pictures.people():
        nearest = _apart(pictures.of(person).double(), means).argmin(1)
        shares.append((nearest == known.index(person)).double().mean())
    return torch.stack(shares)


def diversity(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> Estimate | None:
    """See `IdentityMatch.diversity`; vectors [N, D] of any kind."""
    made, real = [], []
    for person in pictures.people():
        ours, photos = pictures.of(person), gallery.of(person)
        if len(ours) > 1 and len(photos) > 1:
            made.append(torch.pdist(ours.double()).mean())
            real.append(torch.pdist(photos.double()).mean())
    return ratio(torch.stack(made), torch.stack(real)) if made else None


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Distances [N, M], exact: 0 for the same vector."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
