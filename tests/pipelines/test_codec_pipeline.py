"""The Python API for codes, and their file."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from pixelgen.checkpoints import load_checkpoint, save_checkpoint
from pixelgen.errors import InputError, PixelgenError
from pixelgen.imaging import square
from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.models.config import TokenizerConfig
from pixelgen.pipelines import CodecPipeline, CodesFile
from pixelgen.pipelines.codes_file import check_amount

DRAW = np.random.default_rng(0)
PHOTOS = [
    Image.fromarray(DRAW.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((16, 16), (20, 31), (3, 5))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder `tok`: a random tokenizer of 16×16 pictures."""
    torch.manual_seed(0)
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
        levels=5,
    )
    return save_checkpoint(tmp_path_factory.mktemp("weights") / "tok", build_model(config))


@pytest.fixture(scope="module")
def pipe(folder: Path) -> CodecPipeline:
    return CodecPipeline.from_pretrained(folder, device="cpu")


def raw(images: list[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_pictures_become_codes_and_pictures_again(pipe: CodecPipeline) -> None:
    codes = pipe.encode(PHOTOS)
    assert (codes.dtype, codes.shape) == (torch.int64, (3, 2, 4, 4))
    assert 0 <= int(codes.min()) < int(codes.max()) < 5
    images = pipe.decode(codes)
    assert [(image.mode, image.size) for image in images] == [("RGB", (16, 16))] * 3
    assert len(set(raw(images))) == 3
    assert raw(pipe.reconstruct(PHOTOS)) == raw(images)


def test_a_picture_does_not_depend_on_the_others(pipe: CodecPipeline) -> None:
    together = pipe.encode(PHOTOS)
    assert torch.equal(torch.cat([pipe.encode([photo]) for photo in PHOTOS]), together)
    alone = [pipe.decode(codes[None])[0] for codes in together]
    assert raw(alone) == raw(pipe.decode(together.to(torch.uint8)))
    assert pipe.decode(pipe.encode([])) == []


def test_pictures_are_made_square(pipe: CodecPipeline) -> None:
    for fit in ("crop", "stretch"):
        squares = [square(photo, 16, fit) for photo in PHOTOS]
        assert torch.equal(pipe.encode(PHOTOS, fit), pipe.encode(squares))
    assert not torch.equal(pipe.encode(PHOTOS, "crop"), pipe.encode(PHOTOS, "stretch"))


def test_the_tokenizer_of_a_model_of_codes(pipe: CodecPipeline, tmp_path: Path) -> None:
    prior = build_model(
        GatedPixelCNNConfig(
            channels=2, height=4, width=4, levels=5, layers=0, features=8, output_features=8
        )
    )
    save_checkpoint(tmp_path / "both", prior, tokenizer=pipe.codec, dtype="float32")
    both = CodecPipeline.from_pretrained(tmp_path / "both", device="cpu")
    assert raw(both.reconstruct(PHOTOS)) == raw(pipe.reconstruct(PHOTOS))


def test_weights_without_a_tokenizer(weights: Path) -> None:
    with pytest.raises(PixelgenError, match="tiny has no tokenizer"):
        CodecPipeline.from_pretrained(weights)
    with pytest.raises(PixelgenError, match="tiny has no tokenizer"):
        CodecPipeline(load_checkpoint(weights))


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        (torch.zeros(1, 2, 4, 4), "whole numbers, not torch.float32"),
        (torch.zeros(1, 2, 4, 4, dtype=torch.bool), "whole numbers, not torch.bool"),
        (torch.zeros(2, 4, 4, dtype=torch.int64), r"\[2, 4, 4\] do not fit tok"),
        (torch.zeros(1, 2, 4, 5, dtype=torch.uint8), r"which takes \[N, 2, 4, 4\]"),
        (torch.full((1, 2, 4, 4), 5), "codes of 5 … 5 do not fit tok, whose codes are 0 … 4"),
        (torch.full((1, 2, 4, 4), -1), "codes of -1 … -1"),
    ],
)
def test_codes_that_do_not_fit(pipe: CodecPipeline, codes: torch.Tensor, says: str) -> None:
    with pytest.raises(PixelgenError, match=says) as caught:
        pipe.decode(codes)
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(("levels", "dtype"), [(5, torch.uint8), (300, torch.int64)])
def test_a_file_of_codes_comes_back(tmp_path: Path, levels: int, dtype: torch.dtype) -> None:
    codes = torch.arange(24).reshape(2, 3, 2, 2) * 5 % levels
    files = ("größe\n.png", "-")
    made = CodesFile(codes, levels, "owner/name@main", "sha256:0", files)
    for name in ("a", "b"):
        made.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = CodesFile.load(tmp_path / "a")
    assert back.codes.dtype == dtype
    assert torch.equal(back.codes.long(), codes)
    assert (back.levels, back.weights, back.revision, back.files) == (
        levels,
        "owner/name@main",
        "sha256:0",
        files,
    )
    with safe_open(tmp_path / "a", framework="pt") as file:
        assert [*file.keys()] == ["codes"]
        assert file.metadata()["levels"] == str(levels)
        assert json.loads(file.metadata()["files"]) == list(files)
    with pytest.raises(PixelgenError, match="exists"):
        made.save(tmp_path / "a")
    CodesFile(codes[:1], levels).save(tmp_path / "a", replace=True)
    assert len(CodesFile.load(tmp_path / "a").codes) == 1


def test_a_file_without_metadata(tmp_path: Path) -> None:
    save_file({"codes": torch.ones(1, 2, 4, 4, dtype=torch.int64)}, tmp_path / "a")
    back = CodesFile.load(tmp_path / "a")
    assert (back.levels, back.weights, back.revision, back.files) == (None, "", "", ())


GOOD = torch.zeros(2, 2, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"weights": "a\x1b[2Jb"}, "metadata weights is not plain text"),
        ({"revision": "a\nb"}, "metadata revision is not plain text"),
        ({"levels": "many"}, "metadata levels is 'many', not a number"),
        ({"levels": "9" * 5000}, "metadata levels"),
        ({"files": "["}, "metadata files is not a list of names"),
        ({"files": "[" * 100_000}, "metadata files is not a list of names"),
        ({"files": '{"a": 1}'}, "metadata files is not a list of names"),
        ({"files": "[1, 2]"}, "metadata files is not a list of names"),
        ({"files": '["a"]'}, "names 1 files of 2 pictures"),
    ],
)
def test_metadata_that_is_nonsense(tmp_path: Path, metadata: dict[str, str], says: str) -> None:
    save_file({"codes": GOOD}, tmp_path / "a", metadata=metadata)
    with pytest.raises(PixelgenError, match=says) as caught:
        CodesFile.load(tmp_path / "a")
    assert isinstance(caught.value, InputError)


def test_a_file_that_claims_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a"
    header = b'{"codes":{"dtype":"U8","shape":[1000000,10,10,10],"data_offsets":[0,1000000000]}}'
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 10**9)  # sparse: it takes no room on disk
    with pytest.raises(PixelgenError, match="holds 1000000000 codes"):
        CodesFile.load(path)
    with pytest.raises(PixelgenError, match="100 pictures of 2000×2000 pixels are too many"):
        check_amount(100, (3, 2000, 2000))
    check_amount(25, (3, 2000, 2000))
    with pytest.raises(PixelgenError, match="50 pictures of 4000×2000 pixels are too many"):
        check_amount(50, (3, 500, 1000), scale=4)
