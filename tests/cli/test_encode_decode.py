"""`pixelgen encode` and `pixelgen decode`, on a random tokenizer."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pixelgen.checkpoints import save_checkpoint
from pixelgen.imaging import enlarge, png_text, read_image
from pixelgen.models import build_model
from pixelgen.models.config import TokenizerConfig
from pixelgen.pipelines import CodecPipeline

from .conftest import Pipe, Run


def random_tokenizer(folder: Path, seed: int, levels: int = 5) -> Path:
    """A checkpoint folder of a random tokenizer of 16×16 pictures."""
    torch.manual_seed(seed)
    config = TokenizerConfig(
        size=16,
        patch=2,
        wide_features=8,
        deep_features=8,
        wide_blocks=1,
        deep_blocks=1,
        output_features=4,
        code_size=4,
        code_channels=2,
        levels=levels,
    )
    return save_checkpoint(folder, build_model(config))


@pytest.fixture(scope="module")
def tok(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in another folder than that in which commands run, which no file of codes names."""
    return random_tokenizer(tmp_path_factory.mktemp("weights") / "tok", 0)


@pytest.fixture
def near(run: Run, tok: Path) -> Path:
    """The same weights in the folder in which commands run."""
    return Path(shutil.copytree(tok, "tok"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three pictures of different sizes."""
    draw = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{name}.png" for name in "abc"]
    for path, size in zip(paths, ((16, 16), (20, 31), (3, 5)), strict=True):
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def expected(tok: Path, photos: Sequence[Path]) -> list[bytes]:
    """What is left of the pictures, without any file in between."""
    pipe = CodecPipeline.from_pretrained(tok, "cpu")
    return [image.tobytes() for image in pipe.reconstruct([read_image(path) for path in photos])]


def test_through_files_is_as_in_memory(
    run: Run, near: Path, photos: Sequence[Path], expected: list[bytes]
) -> None:
    outcome = run("encode", *photos, "--weights", near, "-o", "abc.safetensors")
    assert (outcome.code, outcome.out) == (0, "abc.safetensors\n")
    assert outcome.err.startswith("3 pictures as 2×4×4 codes of 5 levels in ")
    outcome = run("decode", "abc.safetensors", "--separate", "-o", "x.png")
    assert (outcome.code, outcome.out) == (0, "x-1.png\nx-2.png\nx-3.png\n")
    assert outcome.err.startswith("3 pictures in ")
    assert [Image.open(f"x-{i}.png").tobytes() for i in (1, 2, 3)] == expected


def test_codes_are_improved_where_asked(run: Run, near: Path, photos: Sequence[Path]) -> None:
    words = ["encode", photos[1], "--weights", near, "-o"]
    assert run(*words, "plain.safetensors").code == 0
    assert run(*words, "better.safetensors", "--code-steps", 5).code == 0
    plain, better = (load_file(f"{name}.safetensors")["codes"] for name in ("plain", "better"))
    expected = CodecPipeline.from_pretrained(near, "cpu").encode([photos[1]], code_steps=5)
    assert torch.equal(better.long(), expected)
    assert plain.shape == better.shape
    assert run(*words, "none.safetensors", "--code-steps", -1).code == 2


def test_one_by_one_is_as_together(
    run: Run, near: Path, photos: Sequence[Path], expected: list[bytes]
) -> None:
    run("encode", *photos, "--weights", near, "-o", "all.safetensors")
    run("encode", *photos, "--weights", near, "-o", "again.safetensors")
    assert Path("all.safetensors").read_bytes() == Path("again.safetensors").read_bytes()
    parts = []
    for number, photo in enumerate(photos):
        run("encode", photo, "--weights", near, "-o", f"{number}.safetensors")
        parts.append(load_file(f"{number}.safetensors")["codes"])
        run("decode", f"{number}.safetensors")
        assert Image.open(f"{number}.png").tobytes() == expected[number]
    whole = load_file("all.safetensors")["codes"]
    assert whole.dtype == torch.uint8
    assert torch.equal(torch.cat(parts), whole)


def test_stdin_and_stdout(
    pipe: Pipe, near: Path, photos: Sequence[Path], expected: list[bytes]
) -> None:
    words = ["-", "-q", "-o", "-"]
    encoded = pipe("encode", *words, "--weights", near, stdin=photos[0].read_bytes())
    assert (encoded.code, encoded.err) == (0, "")
    decoded = pipe("decode", *words, stdin=encoded.out)
    assert (decoded.code, decoded.err) == (0, "")
    assert Image.open(io.BytesIO(decoded.out)).tobytes() == expected[0]


def test_what_killed_processes_have_left_is_deleted(
    pipe: Pipe, tok: Path, photos: Sequence[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes of the input stream are put into a temporary file."""
    monkeypatch.setattr("tempfile.tempdir", str(Path.cwd()))
    for name in ("pixelgen-codes-0123abcd", "pixelgen-codes-of-mine"):
        Path(name).mkdir()
        (Path(name) / "codes.safetensors").touch()
        os.utime(name, (1, 1))
    Path("pixelgen-codes-young_12").mkdir()
    words = ["-", "-q", "-o", "-"]
    codes = pipe("encode", *words, "--weights", tok, stdin=photos[0].read_bytes()).out
    assert pipe("decode", *words, "--weights", tok, stdin=codes).code == 0
    left = {path.name for path in Path().iterdir()}
    assert left == {"pixelgen-codes-of-mine", "pixelgen-codes-young_12"}


def test_grid_and_scale(run: Run, near: Path, photos: Sequence[Path]) -> None:
    run("encode", *photos, "--weights", near, "-o", "c.safetensors")
    assert run("decode", "c.safetensors").out == "c.png\n"
    assert run("decode", "c.safetensors", "--scale", 2).out == "c-2.png\n"
    Path("folder").mkdir()
    assert run("decode", "c.safetensors", "-o", "folder").out == "folder/c.png\n"
    small, large = Image.open("c.png"), Image.open("c-2.png")
    assert small.size == (34, 34)
    assert large.size == (68, 68)
    assert large.resize(small.size, Image.Resampling.NEAREST).tobytes() == small.tobytes()
    text = png_text(Path("c-2.png"))
    assert text["weights"] == "tok"
    assert text["revision"].startswith("sha256:")
    facts = json.loads(text["parameters"])
    assert facts.pop("codes").startswith("sha256:")
    assert facts == {"grid": True, "scale": 2}
    words = ["decode", "c.safetensors", "-o", "one.png", "--pick", 1, "--scale", 2]
    assert run(*words, "--resample", "learned").code == 0
    assert run("decode", "c.safetensors", "--resample", "learned").code == 2
    facts = json.loads(png_text(Path("one.png"))["parameters"])
    del facts["codes"]
    assert facts == {"grid": True, "scale": 2, "resample": "learned"}
    assert run("decode", "c.safetensors", "-o", "same.png", "--pick", 1).code == 0
    with Image.open("same.png") as small, Image.open("one.png") as large:
        assert large.tobytes() == enlarge(small, 2, "learned").tobytes()


def test_fit(run: Run, tok: Path, photos: Sequence[Path]) -> None:
    for fit in ("crop", "stretch"):
        run("encode", photos[1], "--weights", tok, "--fit", fit, "-o", f"{fit}.safetensors")
    crop, stretch = (load_file(f"{fit}.safetensors")["codes"] for fit in ("crop", "stretch"))
    assert not torch.equal(crop, stretch)


def test_json(run: Run, near: Path, photos: Sequence[Path]) -> None:
    outcome = run("encode", *photos[:2], "--weights", near, "-o", "c.safetensors", "--json")
    facts = json.loads(outcome.out)
    assert outcome.err == ""
    assert facts["file"] == "c.safetensors"
    assert facts["pictures"] == ["a.png", "b.png"]
    assert (facts["shape"], facts["levels"], facts["weights"]) == ([2, 2, 4, 4], 5, "tok")
    outcome = run("decode", "c.safetensors", "--json", "--separate")
    back = json.loads(outcome.out)
    assert outcome.err == ""
    assert back["files"] == ["c-1.png", "c-2.png"]
    assert back["pictures"] == ["a.png", "b.png"]
    assert back["revision"] == back["codes_revision"] == facts["revision"]


def test_nothing_is_overwritten_without_force(run: Run, near: Path, photos: Sequence[Path]) -> None:
    words = ["--weights", near, "-o", "c.safetensors"]
    assert run("encode", photos[0], *words).code == 0
    before = Path("c.safetensors").read_bytes()
    outcome = run("encode", photos[1], *words)
    assert (outcome.code, outcome.err) == (2, "error: c.safetensors exists (--force replaces it)\n")
    assert Path("c.safetensors").read_bytes() == before
    assert run("decode", "c.safetensors", "-o", "c.png").code == 0
    first = Path("c.png").read_bytes()
    assert run("encode", photos[1], *words, "--force").code == 0
    assert Path("c.safetensors").read_bytes() != before
    outcome = run("decode", "c.safetensors", "-o", "c.png")
    assert (outcome.code, outcome.err) == (2, "error: c.png exists (--force replaces it)\n")
    assert Path("c.png").read_bytes() == first
    assert run("decode", "c.safetensors", "-o", "c.png", "--force").code == 0
    assert Path("c.png").read_bytes() != first


def test_other_weights_are_noted(
    run: Run, near: Path, photos: Sequence[Path], tmp_path: Path
) -> None:
    other = random_tokenizer(tmp_path / "other", 1)
    run("encode", photos[0], "--weights", near, "-o", "c.safetensors")
    outcome = run("decode", "c.safetensors", "--weights", other)
    assert (outcome.code, outcome.out) == (0, "c.png\n")
    assert outcome.err.startswith(f"note: c.safetensors was made by {near} of revision sha256:")
    assert outcome.err.count("\n") == 2
    assert run("decode", "c.safetensors", "--weights", other, "--quiet").err == ""

    more = random_tokenizer(tmp_path / "more", 1, levels=6)
    outcome = run("decode", "c.safetensors", "--weights", more)
    assert (outcome.code, outcome.err) == (
        3,
        "error: codes of 5 levels do not fit more, which has 6\n",
    )


def test_the_bundled_tokenizer_of_any_picture_is_the_default(
    run: Run, photos: Sequence[Path]
) -> None:
    assert run("encode", photos[0], "-o", "c.safetensors").code == 0
    assert run("decode", "c.safetensors", "-q").err == ""
    assert png_text(Path("c.png"))["weights"] == "imagenet64"


def test_codes_of_weights_that_are_gone(run: Run, near: Path, photos: Sequence[Path]) -> None:
    copy = near.rename("./copy")
    run("encode", photos[0], "--weights", "./copy", "-o", "c.safetensors")
    copy.rename("moved")
    outcome = run("decode", "c.safetensors")
    assert outcome.code == 2
    assert "names its weights, but no weights folder ./copy (--weights NAME)" in outcome.err
    assert run("decode", "c.safetensors", "--weights", "moved").code == 0


def test_no_file_holds_the_place_of_weights_elsewhere(
    run: Run, tok: Path, photos: Sequence[Path]
) -> None:
    outcome = run("encode", photos[0], "--weights", tok, "-o", "c.safetensors")
    assert (outcome.code, "note: the codes do not record their weights" in outcome.err) == (0, True)
    assert os.fsencode(tok.parent) not in Path("c.safetensors").read_bytes()
    outcome = run("decode", "c.safetensors")
    assert (outcome.code, "does not say of which weights it is" in outcome.err) == (2, True)
    assert run("decode", "c.safetensors", "--weights", tok).code == 0
    assert os.fsencode(tok.parent) not in Path("c.png").read_bytes()


BAD_ENCODE = [
    (["missing.png"], 3, "cannot read missing.png: No such file or directory"),
    (["PHOTO", "missing.png"], 3, "cannot read missing.png: No such file or directory"),
    (["."], 3, "cannot read .: it is a folder"),
    (["/dev/null"], 3, "cannot read /dev/null: it is empty"),
    ([__file__], 3, "it is not a picture in a known format"),
    (["-"], 3, "cannot read stdin: it is empty"),
    (["-", "-"], 2, "stdin holds one picture"),
    ([], 2, "Missing argument"),
    (["PHOTO", "-o", "c.png"], 2, "c.png is not a .safetensors file"),
    (["PHOTO", "-o", "-", "--json"], 2, "stdout cannot take both codes and --json"),
    (["PHOTO", "-o", "no/c.safetensors"], 2, "no folder no"),
    (["PHOTO", "--weights", "nowhere"], 2, "no weights called nowhere"),
    (["PHOTO", "--weights", "TINY"], 2, "tiny has no tokenizer"),
    (["PHOTO", "--device", "gpu"], 2, "no device 'gpu'"),
    (["PHOTO", "--fit", "pad"], 2, "--fit"),
]


@pytest.mark.parametrize(
    ("words", "code", "says"), BAD_ENCODE, ids=[" ".join(b[0])[-30:] for b in BAD_ENCODE]
)
def test_bad_input_of_encode_is_one_line_and_writes_nothing(
    run: Run,
    tok: Path,
    weights: Path,
    photos: Sequence[Path],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO()))
    words = [{"PHOTO": str(photos[0]), "TINY": str(weights)}.get(word, word) for word in words]
    words += [] if "--weights" in words else ["--weights", str(tok)]
    words += [] if "-o" in words else ["-o", "c.safetensors"]
    outcome = run("encode", *words)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert list(Path().iterdir()) == []


def test_stdin_that_is_closed(run: Run, tok: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    outcome = run("encode", "-", "--weights", tok, "-o", "c.safetensors")
    assert (outcome.code, outcome.err) == (3, "error: cannot read stdin: it is closed\n")


def codes_of(*shape: int, dtype: torch.dtype = torch.uint8, value: int = 0) -> torch.Tensor:
    return torch.full(shape, value, dtype=dtype)


BAD_FILES = {
    "empty": (b"", "cannot read c.safetensors: not a readable safetensors file"),
    "text": (b"no codes at all", "cannot read c.safetensors: not a safetensors file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a safetensors file"),
    "pickle": (b"\x80\x02cos\nsystem\n(S'true'\ntR.", "not a safetensors file"),
    "huge header": (struct.pack("<Q", 2**62) + b"{}", "far too large a header"),
    "header beyond the end": (struct.pack("<Q", 1000) + b"{}", "not a readable safetensors file"),
    "data beyond the end": (
        struct.pack("<Q", 72)
        + b'{"codes":{"dtype":"U8","shape":[9,2,4,4],"data_offsets":[0,288]}}'.ljust(72),
        "not a readable safetensors file",
    ),
    "other tensor": ({"code": codes_of(1, 2, 4, 4)}, "it holds no tensor called codes"),
    "floating": ({"codes": codes_of(1, 2, 4, 4, dtype=torch.float32)}, "of type F32"),
    "boolean": ({"codes": codes_of(1, 2, 4, 4, dtype=torch.bool)}, "of type BOOL"),
    "flat": ({"codes": codes_of(32)}, "its codes have shape [32]"),
    "no pictures": ({"codes": codes_of(0, 2, 4, 4)}, "its codes have shape [0, 2, 4, 4]"),
    "other shape": ({"codes": codes_of(1, 2, 4, 5)}, "codes [1, 2, 4, 5] do not fit tok"),
    "too large": ({"codes": codes_of(1, 2, 4, 4, value=5)}, "codes of 5 … 5 do not fit tok"),
    "negative": (
        {"codes": codes_of(1, 2, 4, 4, dtype=torch.int64, value=-1)},
        "codes of -1 … -1 do not fit tok",
    ),
}


@pytest.mark.parametrize(("content", "says"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_hostile_file_is_one_line_and_writes_nothing(
    run: Run, tok: Path, content: bytes | dict[str, torch.Tensor], says: str
) -> None:
    if isinstance(content, bytes):
        Path("c.safetensors").write_bytes(content)
    else:
        save_file(content, "c.safetensors")
    outcome = run("decode", "c.safetensors", "--weights", tok)
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (3, "")
    assert [path.name for path in Path().iterdir()] == ["c.safetensors"]


BAD_DECODE = [
    (["missing.safetensors"], 3, "cannot read missing.safetensors: No such file or directory"),
    (["."], 3, "cannot read .: it is a folder"),
    ([], 2, "Missing argument"),
    (["CODES"], 2, "c.safetensors does not say of which weights it is (--weights NAME)"),
    (["CODES", "--weights", "nowhere"], 2, "no weights called nowhere"),
    (["CODES", "--weights", "TINY"], 2, "tiny has no tokenizer"),
    (["CODES", "-o", "x.bmp", "--weights", "TOK"], 2, "neither a folder nor a .png file"),
    (["CODES", "-o", "no/x.png", "--weights", "TOK"], 2, "no folder no"),
    (["CODES", "-o", "-", "--separate", "--weights", "TOK"], 2, "stdout takes one picture"),
    (["CODES", "-o", "-", "--json"], 2, "stdout cannot take both"),
    (["CODES", "--scale", "0"], 2, "--scale"),
    (["CODES", "--device", "gpu"], 2, "no device 'gpu'"),
    (["MANY", "--scale", "64", "--weights", "TOK"], 2, "99 pictures of 1024×1024 pixels"),
]


@pytest.mark.parametrize(
    ("words", "code", "says"), BAD_DECODE, ids=[" ".join(b[0])[:30] for b in BAD_DECODE]
)
def test_bad_input_of_decode_is_one_line_and_writes_nothing(
    run: Run, tok: Path, weights: Path, words: list[str], code: int, says: str
) -> None:
    save_file({"codes": codes_of(2, 2, 4, 4)}, "c.safetensors")
    save_file({"codes": codes_of(99, 2, 4, 4)}, "many.safetensors")
    named = {
        "CODES": "c.safetensors",
        "MANY": "many.safetensors",
        "TINY": str(weights),
        "TOK": str(tok),
    }
    outcome = run("decode", *(named.get(word, word) for word in words))
    assert says in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert (outcome.code, outcome.out) == (code, "")
    assert sorted(path.name for path in Path().iterdir()) == ["c.safetensors", "many.safetensors"]
