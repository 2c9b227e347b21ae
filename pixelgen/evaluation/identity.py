"""Whether portraits are of the person in the photo that they were drawn from, and no copies of it.

For people outside the training set: one photo of each, portraits from its embedding, and all other
photos of everybody to compare them to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.identity_split import IdentitySplit
from pixelgen.evaluation.likelihood import fitting_pictures, label_column
from pixelgen.evaluation.quality import Part
from pixelgen.metrics.bootstrap import Estimate, mean
from pixelgen.metrics.copies import are_copies, copy_distance
from pixelgen.metrics.face_judge import (
    EmbedderJudge,
    FaceJudge,
    load_face_judge,
)
from pixelgen.metrics.face_similarity import (
    IdentityMatch,
    LabelledEmbeddings,
    diversity,
    judge_likeness,
)
from pixelgen.metrics.judge import Judge, load_judge
from pixelgen.metrics.kid import Kid, kernel_distance
from pixelgen.metrics.progress import Progress, Told, teller
from pixelgen.models.conditioning import Condition
from pixelgen.pipelines import PortraitPipeline, PortraitRequest, picture_progress
from pixelgen.pipelines.conversion import to_images, to_tensor
from pixelgen.sampling import SamplingOverrides
from pixelgen.training.tokenizer_loss import reconstruct

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class IdentityScores:
    """Pictures of some people, compared to photos that they were not made of."""

    pictures: int
    """How many they are, equally many of each person."""
    independent: IdentityMatch
    """In the eyes of the judge that no training sees."""
    embedder: IdentityMatch
    """In the eyes of the weights' own face embedder."""
    diversity: Estimate | None
    """As `IdentityMatch.diversity`, of the pixels themselves."""
    kid: Kid | None
    """Distance of EfficientNet-lite2's features to those of real photos; None for few pictures. Of
    a perfect model it is a little below 0: its pictures meet photos of their people more often than
    pictures, or photos, of one person meet each other."""
    copies: Estimate
    """Share that copies the source photo: nearest to it among all photos, and nearer than it is
    ordinary for photos of one person."""


@dataclass(frozen=True)
class PortraitDraws:
    """How the portraits were drawn."""

    people: int
    """How many were drawn."""
    portraits: int
    """Of each of them."""
    candidates: int
    """Of each portrait, of which the one most like the source photo was kept."""
    temperature: float
    top_p: float
    guidance: float
    seed: int
    """Of the portraits, and of the choice of the source photos."""


@dataclass(frozen=True)
class Identity:
    """Source photos, their reconstructions and portraits of the same people, side by side."""

    part: Part
    """Which of the people in the split: every second one, the others, or all."""
    judge: str
    """The independent judge."""
    photos: int
    """Photos in the split."""
    gallery: int
    """Those of them that pictures are compared to: all but the source photos of everybody."""
    gallery_people: int
    """People in the gallery: a guess is right once in so many."""
    copy_distance: float
    """What copies are nearer than; of the distances between photos of one person, 1 % are."""
    false_copies: Estimate
    """Share of the other real photos of these people that would be called copies: what a perfect
    model would get."""
    sources: IdentityScores
    """The source photos in the place of portraits: what a machine that copies them would get."""
    reconstructed: IdentityScores | None
    """The source photos through the tokenizer: what the decoder's limits cost. None for weights
    that model pixels."""
    portraits: IdentityScores
    sampling: PortraitDraws


def measure_identity(
    weights: LoadedCheckpoint,
    data: str | Path,
    split: str,
    *,
    portraits: int = 8,
    people: int | None = None,
    part: Part = "all",
    seed: int = 0,
    limit: int | None = None,
    batch: int = 64,
    judge: FaceJudge | None = None,
    critic: Judge | None = None,
    progress: Progress | None = None,
    **sampling: Unpack[SamplingOverrides],
) -> Identity:
    """Marks of `portraits` portraits of each person in a part of a split, from one photo of each.

    The photo is drawn by `seed` among those of a person; people with a single photo are in the
    gallery only. `people` takes that many, spread evenly over the part; the gallery always holds
    everybody. What is left out of the sampling options comes from the weights' own defaults.
    `limit` takes that many rows of the split, spread evenly. Without a `judge` it is that of
    `load_face_judge`; `critic`, whose features KID compares, that of `load_judge`.
    `progress(what, done, total)` is told as the work goes on. Raises PixelgenError for weights that
    draw no portraits (exit code 2) and data that do not say who is on them.
    """
    config, name = weights.config, weights.name
    device = next(weights.network.parameters()).device
    request = PortraitRequest.for_person(
        config, name, 1, portraits, seed=seed, batch_size=batch, **sampling
    )
    if people is not None and people < 1:
        raise UsageError(f"people must be at least 1, not {people}")
    # Whatever is missing is missed before the work begins.
    judge = judge or load_face_judge()
    critic = critic or load_judge(device, batch)

    told = teller(progress)
    pictures = fitting_pictures(weights, data, split, limit, told("decoding"))
    if pictures.labels is None:
        raise PixelgenError(
            f"{data} has no column {label_column(weights)!r}", "it must say who is on them"
        )
    cast = IdentitySplit.choose(pictures, part, people, seed)
    source = pictures.images[cast.sources]
    pipe = PortraitPipeline(weights, device)
    drawn = _draw(pipe, request, source, told("portraits"))
    eyes = (judge, EmbedderJudge(pipe, batch))
    comparison = _Comparison(cast, pictures.images, eyes, critic, portraits, told)
    reconstructed = None
    if config.can_encode:
        made = reconstruct(weights.codec, source, batch)
        reconstructed = comparison.marks("reconstructed", made)
    options = request.drawing.options
    return Identity(
        part=part,
        judge=judge.name,
        photos=len(pictures),
        gallery=len(cast.gallery),
        gallery_people=len(cast.who[cast.gallery].unique()),
        copy_distance=comparison.copy_distance,
        false_copies=comparison.false_copies(),
        sources=comparison.marks("sources", source),
        reconstructed=reconstructed,
        portraits=comparison.marks("portraits", drawn),
        sampling=PortraitDraws(
            people=len(cast.people),
            portraits=portraits,
            candidates=options.candidates,
            temperature=options.temperature,
            top_p=options.top_p,
            guidance=options.guidance,
            seed=request.drawing.seed,
        ),
    )


class _Comparison:
    """The real photos as all judges see them, for pictures of the people to be compared to."""

    def __init__(
        self,
        cast: IdentitySplit,
        photos: Tensor,
        eyes: tuple[FaceJudge, FaceJudge],
        critic: Judge,
        most: int,
        told: Callable[[str], Told | None],
    ) -> None:
        """`eyes`: the independent judge and the weights' own. KID is to `most` photos of each
        person."""
        self.cast, self.photos, self.eyes, self.critic, self.told = cast, photos, eyes, critic, told
        everybody = cast.who[cast.gallery]
        self.galleries = [
            LabelledEmbeddings(
                self._seen(each, "photos", photos, keep=True)[cast.gallery], everybody
            )
            for each in eyes
        ]
        self.pixels = LabelledEmbeddings(photos[cast.gallery].flatten(1), everybody)
        self.features = critic.see(photos[cast.others(most)[0]], told("KID: photos"))[1]
        self.copy_distance = copy_distance(photos, cast.who)

    def _seen(self, judge: FaceJudge, what: str, images: Tensor, *, keep: bool = False) -> Tensor:
        return judge.embed(images, self.told(f"{judge.name}: {what}"), keep=keep)

    def marks(self, what: str, images: Tensor) -> IdentityScores:
        """Of pictures uint8 [P · n, 3, S, S], n of each person, person after person."""
        cast = self.cast
        each = len(images) // len(cast.people)
        whose = cast.people.repeat_interleave(each)
        likenesses = [
            judge_likeness(LabelledEmbeddings(self._seen(judge, what, images), whose), gallery)
            for judge, gallery in zip(self.eyes, self.galleries, strict=True)
        ]
        copied = are_copies(
            images, cast.sources.repeat_interleave(each), self.photos, self.copy_distance
        )
        return IdentityScores(
            pictures=len(images),
            independent=likenesses[0],
            embedder=likenesses[1],
            diversity=diversity(LabelledEmbeddings(images.flatten(1), whose), self.pixels),
            kid=kernel_distance(
                self.features, self.critic.see(images, self.told(f"KID: {what}"))[1]
            ),
            copies=mean(copied.view(-1, each).double().mean(1)),
        )

    def false_copies(self) -> Estimate:
        """The share of copies among the people's real photos."""
        rows, sources = self.cast.others()
        copied = are_copies(self.photos[rows], sources, self.photos, self.copy_distance, rows)
        whose = self.cast.who[rows]
        shares = [copied[whose == person].double().mean() for person in self.cast.people]
        return mean(torch.stack(shares))


def _draw(
    pipe: PortraitPipeline, request: PortraitRequest, sources: Tensor, told: Told | None
) -> Tensor:
    """Portraits uint8 [P · n, 3, S, S] from source photos uint8 [P, 3, S, S], n of each."""
    h = pipe.embed(to_images(sources, 256)).repeat_interleave(request.candidate_count, dim=0)
    sampled = pipe.sampler.sample(
        len(h), Condition(vector=h), request.drawing, on_step=picture_progress(told)
    )
    kept, _ = pipe.choose(sampled.images, h, request.drawing.options.candidates)
    return to_tensor([sampled.images[i] for i in kept])
