"""Whether images of people are recognised as them, by distances between embeddings.

Images are compared to a gallery of real photos. Every person in the images has the same weight,
however many photos the gallery has of them; as a photo of somebody else, every photo counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelgen.metrics.bootstrap import Estimate, estimate, mean, ratio


@dataclass(frozen=True)
class IdentityMatch:
    """How one judge matches images of some people with their photos."""

    auc: Estimate
    """Area under the ROC curve: the probability that an image is nearer to a photo of its own
    person than an image of anybody to a photo of somebody else."""
    rank1: Estimate
    """Share of the images whose nearest person, by the mean of the photos' embeddings, is their
    own."""
    diversity: Estimate | None
    """Mean distance between two images of a person over that between two photos: 1 is as diverse as
    photos. None where nobody has two images and two photos."""


@dataclass(frozen=True)
class LabelledEmbeddings:
    """Images, or embeddings of images, and the people in them."""

    vectors: Tensor
    """[N, …]."""
    who: Tensor
    """int64 [N]."""

    def of(self, person: int) -> Tensor:
        """Those of one person."""
        return self.vectors[self.who == person]

    def people(self) -> list[int]:
        """All people, in order."""
        return torch.unique(self.who).tolist()


def match_identities(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> IdentityMatch:
    """Embeddings [M, D] of images against [N, D] of photos that they were not made from. The
    gallery must hold every person in the images, and somebody else."""
    chance = nearer(pictures, gallery)
    auc = estimate(len(chance), lambda w: ((w @ chance) * w).sum(1) / w.sum(1) ** 2)
    return IdentityMatch(auc, mean(recognised(pictures, gallery)), diversity(pictures, gallery))


def nearer(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> Tensor:
    """float64 [P, P] for the people in the images: the probability that an image and a photo of the
    first person are nearer than an image of the second and a photo of somebody else. Ties count
    half."""
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
    """float64 [P] for the people in the images: the share of their images that are nearest to the
    mean of their own photos, among the means of all people in the gallery."""
    known = gallery.people()
    means = torch.stack([gallery.of(person).double().mean(0) for person in known])
    shares = []
    for person in pictures.people():
        nearest = _apart(pictures.of(person).double(), means).argmin(1)
        shares.append((nearest == known.index(person)).double().mean())
    return torch.stack(shares)


def diversity(pictures: LabelledEmbeddings, gallery: LabelledEmbeddings) -> Estimate | None:
    """See `IdentityMatch.diversity`; of features [N, D] of any kind."""
    generated, real = [], []
    for person in pictures.people():
        ours, photos = pictures.of(person), gallery.of(person)
        if len(ours) > 1 and len(photos) > 1:
            generated.append(torch.pdist(ours.double()).mean())
            real.append(torch.pdist(photos.double()).mean())
    return ratio(torch.stack(generated), torch.stack(real)) if generated else None


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Exact distances [N, M]: 0 for equal vectors."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
