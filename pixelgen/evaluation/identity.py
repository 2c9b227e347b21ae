"""Whether portraits show the person in their source photo without copying the photo.

For people outside the training set: one source photo each, portraits from its embedding, and all
other photos of everybody to compare them to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation.dataset import Part, label_column, load_matching_images
from pixelgen.evaluation.identity_split import IdentitySplit
from pixelgen.evaluation.reconstructions import reconstruct_with
from pixelgen.evaluation.results import Identity, IdentityScores, PortraitSamplingSettings
from pixelgen.evaluation.shared_samples import draw_shared
from pixelgen.metrics.bootstrap import Estimate, mean
from pixelgen.metrics.copies import are_copies, copy_distance
from pixelgen.metrics.face_judge import (
    EmbedderJudge,
    FaceJudge,
    load_face_judge,
)
from pixelgen.metrics.face_similarity import (
    LabelledEmbeddings,
    diversity,
    match_identities,
)
from pixelgen.metrics.judge import Judge, load_judge
from pixelgen.metrics.kid import kernel_distance
from pixelgen.metrics.lightness import face_lightness, match_lightness
from pixelgen.metrics.progress import OnNote, OnPartProgress, OnProgress, ignore_note, part_progress
from pixelgen.models.conditioning import Condition
from pixelgen.pipelines import PortraitPipeline, PortraitRequest
from pixelgen.pipelines.conversion import to_images
from pixelgen.pipelines.image_sampler import OnStep
from pixelgen.sampling import SamplingOverrides

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
    code_steps: int = 0,
    judge: FaceJudge | None = None,
    critic: Judge | None = None,
    note: OnNote = ignore_note,
    progress: OnPartProgress | None = None,
    **sampling: Unpack[SamplingOverrides],
) -> Identity:
    """Scores of `portraits` portraits of each person in a part of a split, from one photo of each.

    `seed` draws the source photo among those of a person; people with a single photo are in the
    gallery only. `people` takes at most that many, evenly spread over the part; the gallery always
    holds everybody. Sampling options that are None take the weights' defaults. `limit` takes at
    most that many images of the split, evenly spread. Reconstructions are of codes that are
    improved in `code_steps` steps. `judge` is by default that of `load_face_judge`; `critic`, whose
    features KID compares, that of `load_judge`. `progress(part, done, total)` is called after every
    batch. Raises UsageError for weights that draw no portraits, and PixelgenError for data without
    labels of people.
    """
    config, name = weights.config, weights.name
    device = next(weights.network.parameters()).device
    request = PortraitRequest.for_person(
        config, name, 1, portraits, seed=seed, batch_size=batch, **sampling
    )
    if people is not None and people < 1:
        raise UsageError(f"people must be at least 1, not {people}")
    # Missing packages raise before the work begins.
    judge = judge or load_face_judge()
    critic = critic or load_judge(device, batch)

    of_part = part_progress(progress)
    photos = load_matching_images(weights, data, split, limit, note, of_part("decoding"))
    if photos.labels is None:
        raise PixelgenError(
            f"{data} has no column {label_column(weights)!r}",
            "identity is measured on labels that say who is in each photo",
        )
    people_split = IdentitySplit.choose(photos, part, people, seed)
    sources = photos.images[people_split.sources]
    pipe = PortraitPipeline(weights, device)
    sampled = _sample(pipe, request, sources, of_part("portraits"))
    own_judge = EmbedderJudge(lambda faces: pipe.embed(to_images(faces, 256)), batch)
    comparison = _Comparison(
        people_split, photos.images, (judge, own_judge), critic, portraits, of_part
    )
    reconstructed = None
    if config.can_encode:
        decoded = reconstruct_with(weights.codec, sources, batch, code_steps)
        reconstructed = comparison.scores("reconstructed", decoded)
    options = request.drawing.options
    return Identity(
        part=part,
        judge=judge.name,
        photos=len(photos),
        gallery=len(people_split.gallery),
        gallery_people=len(people_split.who[people_split.gallery].unique()),
        copy_distance=comparison.copy_distance,
        false_copies=comparison.false_copies(),
        sources=comparison.scores("sources", sources),
        reconstructed=reconstructed,
        portraits=comparison.scores("portraits", sampled),
        sampling=PortraitSamplingSettings(
            people=len(people_split.people),
            portraits=portraits,
            candidates=options.candidates,
            temperature=options.temperature,
            top_p=options.top_p,
            guidance=options.guidance,
            seed=request.drawing.seed,
            guidance_schedule=options.effective_schedule,
        ),
        code_steps=None if reconstructed is None else code_steps or None,
    )


class _Comparison:
    """The real photos, as seen by all judges, to compare images of the same people to."""

    def __init__(
        self,
        split: IdentitySplit,
        photos: Tensor,
        judges: tuple[FaceJudge, FaceJudge],
        critic: Judge,
        kid_photos: int,
        of_part: Callable[[str], OnProgress | None],
    ) -> None:
        """`photos` uint8 [N, 3, S, S]; `judges`: the independent one and the weights' own. KID
        compares to `kid_photos` photos of each person, at most."""
        self.split, self.photos, self.judges = split, photos, judges
        self.critic, self.of_part = critic, of_part
        people = split.who[split.gallery]
        self.galleries = [
            LabelledEmbeddings(
                self._embed(judge, "photos", photos, keep=True)[split.gallery], people
            )
            for judge in judges
        ]
        self.pixels = LabelledEmbeddings(photos[split.gallery].flatten(1), people)
        kid_rows, _ = split.others(kid_photos)
        _, self.features = critic.see(photos[kid_rows], of_part("KID: photos"))
        self.copy_distance = copy_distance(photos, split.who)
        rows, _ = split.others()
        lightness, owners = face_lightness(photos[rows]), split.who[rows]
        self.lightness = torch.stack([lightness[owners == p].mean() for p in split.people])  # [P]

    def _embed(self, judge: FaceJudge, part: str, images: Tensor, *, keep: bool = False) -> Tensor:
        return judge.embed(images, self.of_part(f"{judge.name}: {part}"), keep=keep)

    def scores(self, part: str, images: Tensor) -> IdentityScores:
        """Of images uint8 [P · n, 3, S, S], n of each person, person after person."""
        split = self.split
        per_person = len(images) // len(split.people)
        people = split.people.repeat_interleave(per_person)
        independent, embedder = (
            match_identities(LabelledEmbeddings(self._embed(judge, part, images), people), gallery)
            for judge, gallery in zip(self.judges, self.galleries, strict=True)
        )
        sources = split.sources.repeat_interleave(per_person)
        copied = are_copies(images, sources, self.photos, self.copy_distance)
        _, features = self.critic.see(images, self.of_part(f"KID: {part}"))
        return IdentityScores(
            pictures=len(images),
            independent=independent,
            embedder=embedder,
            diversity=diversity(LabelledEmbeddings(images.flatten(1), people), self.pixels),
            kid=kernel_distance(self.features, features),
            copies=mean(copied.view(-1, per_person).double().mean(1)),
            lightness=match_lightness(
                face_lightness(images).view(-1, per_person).mean(1), self.lightness
            ),
        )

    def false_copies(self) -> Estimate:
        """The share of copies among the people's real photos."""
        rows, sources = self.split.others()
        copied = are_copies(self.photos[rows], sources, self.photos, self.copy_distance, rows)
        people = self.split.who[rows]
        shares = [copied[people == person].double().mean() for person in self.split.people]
        return mean(torch.stack(shares))


def _sample(
    pipe: PortraitPipeline, request: PortraitRequest, sources: Tensor, progress: OnProgress | None
) -> Tensor:
    """Portraits uint8 [P · n, 3, S, S] from source photos uint8 [P, 3, S, S], n of each."""
    candidates = request.drawing.options.candidates
    h, people = (
        points.repeat_interleave(request.candidate_count, dim=0)
        for points in pipe.conditions_and_embeddings(to_images(sources, 256))
    )

    def draw(rows: range, on_step: OnStep | None) -> list[Image.Image]:
        only = range(rows.start * candidates, rows.stop * candidates)
        part = slice(only.start, only.stop)
        sampled = pipe.sampler.sample(
            len(h), Condition(vector=h[part]), request.drawing, only=only, on_step=on_step
        )
        chosen, _ = pipe.choose(sampled.images, people[part], candidates)
        return [sampled.images[i] for i in chosen]

    batch = max(request.drawing.batch_size // candidates, 1)
    return draw_shared(len(h) // candidates, batch, draw, progress)
