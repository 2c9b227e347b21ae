"""Portraits of machines whose marks are known: one that copies, a perfect one, a blind one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from pixelgen.checkpoints import LoadedCheckpoint, load_checkpoint
from pixelgen.cli.app import app
from pixelgen.cli.errors import exit_code_of
from pixelgen.data import ImageData, load_images
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.evaluation import identity as module
from pixelgen.evaluation.identity import measure_identity
from pixelgen.evaluation.identity_split import IdentitySplit
from pixelgen.evaluation.results import Identity
from pixelgen.metrics.face_similarity import IdentityMatch, LabelledEmbeddings, match_identities
from pixelgen.metrics.verification import embed

from .conftest import HEADS, PHOTOS, Colours, People, grey_judge


@pytest.fixture(scope="module")
def faces(face_weights: Path) -> LoadedCheckpoint:
    return load_checkpoint(face_weights)


def measured(weights: LoadedCheckpoint, data: Path, **options: object) -> Identity:
    given = {"judge": Colours(), "critic": grey_judge()} | options
    return measure_identity(weights, data, "validation", **given)  # type: ignore[arg-type]


Machine = Callable[[Tensor, int], Tensor]
"""Source photos uint8 [P, 3, S, S] and n → portraits, n of each."""


@pytest.fixture
def drawn_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Puts a machine in the place of the model."""

    def put(machine: Machine) -> None:
        monkeypatch.setattr(
            module, "_sample", lambda pipe, request, sources, told: machine(sources, request.count)
        )

    return put


def test_a_machine_that_copies(
    faces: LoadedCheckpoint, album: Path, drawn_by: Callable[[Machine], None]
) -> None:
    drawn_by(lambda sources, n: sources.repeat_interleave(n, 0))
    found = measured(faces, album, portraits=4)
    assert found.portraits.pictures == 4 * (HEADS - 1)
    for eyes in ("independent", "embedder"):
        made, photo = getattr(found.portraits, eyes), getattr(found.sources, eyes)
        assert asdict(made.auc) == pytest.approx(asdict(photo.auc))
        assert asdict(made.rank1) == pytest.approx(asdict(photo.rank1))
        assert made.diversity.value == pytest.approx(0, abs=1e-5)
        assert photo.diversity is None
    assert found.portraits.copies.value == found.sources.copies.value == 1
    assert found.portraits.diversity is not None
    assert found.portraits.diversity.value == 0
    assert found.false_copies.value < 0.1


def test_a_machine_that_copies_and_hides_it(
    faces: LoadedCheckpoint, album: Path, drawn_by: Callable[[Machine], None]
) -> None:
    def machine(sources: Tensor, n: int) -> Tensor:
        many = sources.repeat_interleave(n, 0).flip(3).float()
        noise = torch.randn(many.shape, generator=torch.Generator().manual_seed(0))
        return (0.8 * many + 25 + 8 * noise).clamp(0, 255).to(torch.uint8)

    drawn_by(machine)
    assert measured(faces, album).portraits.copies.value > 0.9


def test_a_perfect_machine(
    faces: LoadedCheckpoint,
    album: Path,
    crowd_people: People,
    drawn_by: Callable[[Machine], None],
) -> None:
    who = torch.arange(HEADS - 1)  # the last one has a single photo
    drawn_by(lambda _, n: crowd_people.photos(who.repeat_interleave(n), seed=5))
    found = measured(faces, album)
    made, photo = found.portraits.independent, found.sources.independent
    assert made.auc.value > 0.9
    assert made.auc.value == pytest.approx(photo.auc.value, abs=0.06)
    assert made.rank1.value > 0.75
    assert made.diversity is not None
    assert made.diversity.value == pytest.approx(1, abs=0.25)
    assert found.portraits.diversity is not None
    assert found.portraits.diversity.value == pytest.approx(1, abs=0.25)
    assert found.portraits.copies.value < 0.05
    kid = found.portraits.kid
    assert kid is not None
    assert kid.standard_error is not None
    assert abs(kid.mean) < 4 * kid.standard_error


def test_a_machine_that_is_blind(
    faces: LoadedCheckpoint,
    album: Path,
    crowd_people: People,
    drawn_by: Callable[[Machine], None],
) -> None:
    anybody = torch.randint(HEADS, (HEADS - 1, 40), generator=torch.Generator().manual_seed(0))
    drawn_by(lambda _, n: crowd_people.photos(anybody[:, :n].flatten(), seed=5))
    found = measured(faces, album, portraits=40).portraits
    assert found.independent.auc.value == pytest.approx(0.5, abs=0.1)
    assert found.independent.rank1.value == pytest.approx(1 / HEADS, abs=0.08)
    assert found.independent.diversity is not None
    assert found.independent.diversity.value > 1.5
    assert found.copies.value < 0.05


def test_the_weights_draw(faces: LoadedCheckpoint, album: Path) -> None:
    told: list[str] = []
    found = measured(
        faces, album, portraits=3, temperature=0.9, guidance=1.5, guidance_schedule="linear",
        seed=2,
        progress=lambda what, done, total: told.append(what) if done == total else None,
    )  # fmt: skip
    assert (found.part, found.judge, found.photos) == ("all", "colours", sum(PHOTOS))
    assert (found.gallery, found.gallery_people) == (sum(PHOTOS) - HEADS + 1, HEADS)
    assert asdict(found.sampling) == {
        "people": HEADS - 1,
        "portraits": 3,
        "candidates": 1,
        "temperature": 0.9,
        "top_p": 1.0,
        "guidance": 1.5,
        "seed": 2,
        "guidance_schedule": "linear",
    }
    assert found.reconstructed is not None
    assert found.sources.pictures == found.reconstructed.pictures == HEADS - 1
    assert found.portraits.pictures == 3 * (HEADS - 1)
    assert found.portraits.independent.auc.standard_error is not None
    names = {"portraits", "embedder: photos", "embedder: portraits", "KID: photos", "KID: sources"}
    assert names <= set(told)


def test_each_judge_sees_with_its_own_eyes(faces: LoadedCheckpoint, album: Path) -> None:
    found = measured(faces, album, part="tune", portraits=1)
    given = load_images(album, "validation")
    assert given.labels is not None
    cast = IdentitySplit.choose(given, "tune", None, 0)

    def likeness(seen: Tensor) -> IdentityMatch:
        gallery = LabelledEmbeddings(seen[cast.gallery], given.labels[cast.gallery])  # type: ignore[index]
        return match_identities(LabelledEmbeddings(seen[cast.sources], cast.people), gallery)

    assert found.sources.independent == likeness(Colours().embed(given.images))
    own = likeness(embed(faces.embedder, given.images, 1))
    assert asdict(found.sources.embedder.auc) == pytest.approx(asdict(own.auc))
    assert found.sources.embedder.auc != found.sources.independent.auc


def test_portraits_are_those_of_the_pipeline(faces: LoadedCheckpoint, album: Path) -> None:
    from pixelgen.models.conditioning import Condition
    from pixelgen.pipelines import PortraitPipeline, PortraitRequest, Weights
    from pixelgen.pipelines.conversion import to_images, to_tensor

    pipe = PortraitPipeline(faces)
    request = PortraitRequest.for_person(faces.config, "faces", 1, 2, seed=4, batch_size=3)
    photos = load_images(album, "validation").images[:3]
    made = module._sample(pipe, request, photos, None)
    h = pipe.embed(to_images(photos, 256))
    drawing = replace(request.drawing, batch_size=6)
    expected = pipe.sampler.sample(6, Condition(vector=h[[0, 0, 1, 1, 2, 2]]), drawing)
    assert torch.equal(made, to_tensor(expected.images))
    alone = Weights(faces).portrait(to_images(photos[:1], 256), n=2, seed=4, aligned=True)
    assert torch.equal(made[:2], to_tensor(alone.images))
    best = PortraitRequest.for_person(
        faces.config, "faces", 1, 2, candidates=3, seed=4, batch_size=3
    )
    chosen = module._sample(pipe, best, photos, None)
    alone = Weights(faces).portrait(
        to_images(photos[:1], 256), n=2, candidates=3, seed=4, aligned=True
    )
    assert torch.equal(chosen[:2], to_tensor(alone.images))
    assert len(chosen) == 6


def test_a_seed_gives_the_same_figures_in_any_batches(faces: LoadedCheckpoint, album: Path) -> None:
    def found(**options: object) -> Identity:
        return measured(faces, album, portraits=2, **options)

    first = found()
    assert found() == first
    again, other = found(batch=5), found(seed=1)
    for kind in ("sources", "portraits"):
        marks, same, changed = (getattr(result, kind) for result in (first, again, other))
        assert same.independent == marks.independent
        assert same.diversity == marks.diversity
        assert changed != marks


def data(counts: tuple[int, ...] = PHOTOS) -> ImageData:
    who = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    who = 10 + who[torch.randperm(len(who), generator=torch.Generator().manual_seed(0))]
    return ImageData(torch.zeros(len(who), 3, 2, 2, dtype=torch.uint8), who)


def test_the_gallery_is_the_same_for_every_part() -> None:
    given = data()
    assert given.labels is not None
    casts = {part: IdentitySplit.choose(given, part, None, 0) for part in ("all", "tune", "report")}
    everybody = casts["all"]
    assert everybody.people.tolist() == list(range(10, 10 + HEADS - 1))
    assert torch.equal(given.labels[everybody.sources], everybody.people)
    rows = torch.cat((everybody.gallery, everybody.sources))
    assert sorted(rows.tolist()) == list(range(len(given)))
    assert casts["tune"].people.tolist() == everybody.people[::2].tolist()
    assert casts["report"].people.tolist() == everybody.people[1::2].tolist()
    assert casts["tune"].sources.tolist() == everybody.sources[::2].tolist()
    for cast in casts.values():
        assert torch.equal(cast.gallery, everybody.gallery)
    few = IdentitySplit.choose(given, "all", 3, 0)
    assert few.people.tolist() == [10, 13, 17]
    assert IdentitySplit.choose(given, "all", 100, 0).people.tolist() == everybody.people.tolist()


def test_every_photo_may_be_the_source() -> None:
    given = data((3, 3))
    assert given.labels is not None
    drawn = torch.stack(
        [IdentitySplit.choose(given, "all", None, seed).sources for seed in range(60)]
    )
    assert set(drawn.flatten().tolist()) == set(range(6))
    assert torch.equal(drawn[5], IdentitySplit.choose(given, "all", None, 5).sources)


def test_other_photos_of_the_people() -> None:
    given = data()
    cast = IdentitySplit.choose(given, "tune", None, 0)
    rows, sources = cast.others()
    assert len(rows) == sum(PHOTOS[:-1:2]) - len(PHOTOS[:-1:2])
    assert torch.equal(cast.who[rows], cast.who[sources])
    assert not torch.isin(rows, cast.sources).any()
    few, _ = cast.others(3)
    assert torch.isin(few, rows).all()
    assert cast.who[few].unique(return_counts=True)[1].tolist() == [
        min(PHOTOS[i] - 1, 3) for i in range(0, HEADS - 1, 2)
    ]


def test_what_cannot_be_measured(
    faces: LoadedCheckpoint,
    pixels: LoadedCheckpoint,
    tokenizer: LoadedCheckpoint,
    album: Path,
    write_pictures: Callable[..., Path],
    tmp_path: Path,
) -> None:
    def fails(weights: LoadedCheckpoint, data: Path, says: str, **options: object) -> int:
        with pytest.raises(PixelgenError, match=says) as error:
            measured(weights, data, **options)
        assert "\n" not in error.value.message
        return exit_code_of(error.value)

    assert fails(pixels, album, "has no face embedder") == 2
    assert fails(tokenizer, album, "is a tokenizer: it cannot sample pictures") == 2
    assert fails(faces, album, "n must be at least 1", portraits=0) == 2
    assert fails(faces, album, "people must be at least 1", people=0) == 2
    assert fails(faces, album, "temperature must be", temperature=0) == 2
    assert fails(faces, album.parent / "bare", "has no column 'label'") == 1
    picture = [load_images(album, "validation").images[0].permute(1, 2, 0).numpy()]
    write_pictures(tmp_path, "validation", 2 * picture, [0, 1])
    assert fails(faces, tmp_path, "two photos of one of them") == 1
    write_pictures(tmp_path / "few", "validation", 3 * picture, [0, 0, 1])
    assert fails(faces, tmp_path / "few", "the part report is empty", part="report") == 1


@pytest.fixture
def command(album: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module, "load_judge", lambda *_: grey_judge())
    monkeypatch.setattr(module, "load_face_judge", Colours)
    return ["evaluate", str(face_weights), "--data", str(album), "--device", "cpu"]


def test_the_command(command: list[str], faces: LoadedCheckpoint, album: Path) -> None:
    options = ["--identity", "--no-likelihood", "--part", "report", "--people", "3"]
    options += ["--portraits", "2", "--top-p", "0.9", "--seed", "3", "--candidates", "2"]
    printed = CliRunner().invoke(app, [*command, *options, "--json"])
    assert printed.exit_code == 0, printed.output
    values = json.loads(printed.stdout)
    assert values["conditional"] is values["quality"] is None
    assert values["images"] == sum(PHOTOS)
    expected = measured(
        faces, album, part="report", people=3, portraits=2, top_p=0.9, seed=3, candidates=2
    )
    assert values["identity"] == json.loads(json.dumps(asdict(expected)))


def test_the_tables(command: list[str]) -> None:
    text = CliRunner().invoke(app, [*command, "--identity", "--portraits", "2"])
    assert text.exit_code == 0, text.output
    lines = text.stdout.splitlines()
    assert "bits/code" in lines[1]
    place = next(i for i, line in enumerate(lines) if line.startswith("11 people, 2 portraits"))
    tables = lines[place + 1 :]
    assert f"{sum(PHOTOS) - HEADS + 1} other photos of 12 people" in lines[place]
    for first, heads in ((0, ["AUC", "rank-1"]), (5, ["AUC", "rank-1"]), (10, ["KID", "copies"])):
        assert tables[first + 1].split() == [*heads, "diversity"]
        rows = tables[first + 2 : first + 5]
        assert [row.split()[0] for row in rows] == ["photo", "reconstructed", "portraits"]
        assert {len(row) for row in rows} == {len(tables[first + 1])}
    assert tables[0] == "judged by colours, which is not used in training"
    assert tables[-1].startswith("copies: nearest to their source among 78 photos")


def test_options_that_belong_to_identity(command: list[str]) -> None:
    for option, what in (("--portraits", "--identity"), ("--people", "--identity")):
        done = CliRunner().invoke(app, [*command, option, "2"])
        assert isinstance(done.exception, UsageError)
        assert done.exception.message == f"{option} requires {what}"
    done = CliRunner().invoke(app, [*command, "--identity", "--samples-per-class", "2"])
    assert isinstance(done.exception, PixelgenError)
    assert done.exception.message == "--samples-per-class requires --quality"
    done = CliRunner().invoke(app, [*command, "--identity", "--quality"])
    assert isinstance(done.exception, PixelgenError)
    assert isinstance(done.exception, UsageError)
    plain = CliRunner().invoke(app, [*command, "--json"])
    assert json.loads(plain.stdout)["identity"] is None
