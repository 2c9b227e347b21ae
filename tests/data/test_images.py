"""Decoding and averaging are exact, and errors say what is wrong."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixelgen import files
from pixelgen.data import average_down, images, load_images
from pixelgen.data.row_reader import RowReader, pictures_up_to
from pixelgen.errors import PixelgenError
from pixelgen.imaging import read_image, square
from pixelgen.labels import ClassCatalogue

from ..conftest import WritePictures
from ..imaging.profiles import grey_profile, profile


def noise(n: int, height: int = 4, width: int = 4, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(n)]


def test_pictures_and_labels_are_those_that_were_stored(
    tmp_path: Path, write_pictures: WritePictures
) -> None:
    pictures = noise(7)
    write_pictures(tmp_path, "train", pictures, [3, 1, 3, 9, 1, 1, 3])
    write_pictures(tmp_path, "validation", pictures[:2], [1, 9])
    data = load_images(tmp_path, "train")
    assert data.images.dtype == torch.uint8
    assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), np.stack(pictures))
    assert data.labels is not None
    assert data.labels.tolist() == [3, 1, 3, 9, 1, 1, 3]
    assert data.occurring_labels() == [1, 3, 9]
    assert data.label_names[9] == "9"
    assert data.rows([1, 3, 9]).tolist() == [1, 0, 1, 2, 0, 0, 1]
    assert data.rows([9, 1, 4, 3]).tolist() == [3, 1, 3, 0, 1, 1, 3]
    assert len(load_images(tmp_path, "validation")) == 2


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_averages_are_rounded_half_up(factor: int) -> None:
    draw = np.random.default_rng(factor)
    x = draw.integers(0, 256, (2, 3, 12, 24), dtype=np.uint8)
    x[0, 0] = 255
    squares = x.reshape(2, 3, 12 // factor, factor, 24 // factor, factor).astype(float)
    expected = np.floor(squares.mean((3, 5)) + 0.5)
    assert np.array_equal(average_down(torch.from_numpy(x), factor).numpy(), expected)


def test_averages_do_not_depend_on_how_many_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.from_numpy(np.stack(noise(2, 15, 9))).permute(0, 3, 1, 2).contiguous()
    whole = average_down(x, 3)
    monkeypatch.setattr(images, "_CHUNK_VALUES", 100)
    assert torch.equal(average_down(x, 3), whole)


def test_a_half_goes_up() -> None:
    x = torch.tensor([[[[1, 2], [1, 2]]]], dtype=torch.uint8)
    assert average_down(x, 2).item() == 2


def test_size_averages_every_picture(tmp_path: Path, write_pictures: WritePictures) -> None:
    pictures = noise(3)
    write_pictures(tmp_path, "train", pictures)
    data = load_images(tmp_path, "train", size=2)
    whole = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    assert torch.equal(data.images, average_down(whole, 2))
    assert data.labels is None


def odd_pictures() -> dict[str, tuple[Image.Image, dict[str, Any]]]:
    """Pictures that need more than their pixels, 12×12, and how they are stored."""
    photo = Image.fromarray(noise(1, 12, 12, seed=3)[0])
    grey, exif = photo.convert("L"), Image.Exif()
    exif[0x0112] = 6
    clear = photo.copy()
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "turned.png": (photo, {"exif": exif}),
        "turned.jpg": (photo, {"exif": exif}),
        "turned.tif": (photo, {"exif": exif}),
        "16-bit.png": (deep, {}),
        "16-bit.tif": (deep, {}),
        "32-bit.tif": (deep.convert("I"), {}),
        "clear.png": (clear, {}),
        "clear.webp": (clear, {"lossless": True}),
        "clear.tif": (clear, {}),
        "grey.png": (grey, {}),
        "grey-clear.png": (clear.convert("LA"), {}),
        "palette.png": (photo.quantize(9), {"transparency": 3}),
        "palette.gif": (photo.quantize(9), {"transparency": 3}),
        "one-bit.png": (grey.convert("1"), {}),
        "one-colour.png": (photo, {"transparency": photo.getpixel((2, 3))}),
        "print.jpg": (photo.convert("CMYK"), {}),
        "lab.tif": (photo.convert("LAB"), {}),
        "plain.bmp": (photo, {}),
        "plain.ppm": (photo, {}),
        "plain.jp2": (photo, {}),
        "wide-gamut.png": (photo, {"icc_profile": profile("Display P3")}),
        "wide-gamut.jpg": (photo, {"icc_profile": profile("ProPhoto")}),
        "grey-gamma.png": (grey, {"icc_profile": grey_profile(1.8)}),
    }


@pytest.mark.parametrize("in_parquet", [False, True], ids=["file", "parquet"])
def test_pictures_are_read_as_photos_are(in_parquet: bool, tmp_path: Path) -> None:
    """One reader: what `score` measures of a photo, `evaluate` measures of a data set."""
    import datasets

    folder = tmp_path / "validation"
    folder.mkdir()
    for name, (image, options) in odd_pictures().items():
        image.save(folder / name, **options)
    files = sorted(folder.iterdir())
    photos = [read_image(file) for file in files]
    if in_parquet:
        rows = {"image": [{"bytes": file.read_bytes(), "path": None} for file in files]}
        for file in files:
            file.unlink()
        datasets.Dataset.from_dict(
            rows, features=datasets.Features({"image": datasets.Image()})
        ).to_parquet(folder / "validation.parquet")
    for size in (None, 4):
        data = load_images(tmp_path, "validation", size=size).images.permute(0, 2, 3, 1).numpy()
        assert len(data) == len(files)
        for file, photo, pixels in zip(files, photos, data, strict=True):
            expected = photo if size is None else square(photo, size)
            assert np.array_equal(pixels, np.asarray(expected)), file.name


def test_values_of_a_part_of_their_range_are_noted_every_time(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for i in range(3):
        ten_bits = noise(1, seed=i)[0][..., 0].astype(np.uint16) * (4 if i else 256)
        Image.fromarray(ten_bits).save(tmp_path / "train" / f"{i}.png")
    for _ in range(2):
        notes: list[str] = []
        load_images(tmp_path, "train", note=notes.append)
        (text,) = notes
        assert text.startswith("row 1 of ")
        assert "almost black" in text
        assert text.endswith("(2 such rows)")


def save_in_folders(folder: Path, counts: dict[str, int]) -> None:
    """Pictures in class folders, or in `folder` itself for an empty name."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, pixels in enumerate(noise(count)):
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def test_one_class_folder_is_one_label(tmp_path: Path) -> None:
    save_in_folders(tmp_path / "one", {"train/cat": 3})
    data = load_images(tmp_path / "one", "train")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 0]
    assert (data.occurring_labels(), data.label_names) == ([0], ("cat",))
    save_in_folders(tmp_path / "flat", {"cat": 2})
    assert load_images(tmp_path / "flat", "train").label_names == ("cat",)
    save_in_folders(tmp_path / "two", {"train/cat": 2, "train/dog": 1})
    data = load_images(tmp_path / "two", "train")
    assert (data.occurring_labels(), data.label_names) == ([0, 1], ("cat", "dog"))


@pytest.mark.parametrize("folder", ["", "train", "data/train"])
def test_without_class_folders_there_are_no_labels(folder: str, tmp_path: Path) -> None:
    save_in_folders(tmp_path, {folder: 2})
    assert load_images(tmp_path, "train").labels is None


def test_folders_of_splits_are_not_classes(tmp_path: Path) -> None:
    save_in_folders(tmp_path, {"train": 3, "val": 2})
    for split, count in (("train", 3), ("validation", 2)):
        data = load_images(tmp_path, split)
        assert (len(data), data.labels) == (count, None)


def test_parts_of_names_are_not_splits(tmp_path: Path) -> None:
    save_in_folders(tmp_path / "a", {"steam train": 2, "bus": 3, "test-drive": 1})
    data = load_images(tmp_path / "a", "train")
    assert (len(data), data.label_names) == (6, ("bus", "steam train", "test-drive"))
    save_in_folders(tmp_path / "b", {"cat": 3})
    for name in ("train 1", "test", "0_val"):
        shutil.copy(tmp_path / "b" / "cat" / "0.png", tmp_path / "b" / "cat" / f"{name}.png")
        for caption in ("txt", "json"):
            (tmp_path / "b" / "cat" / f"{name}.{caption}").write_text("{}")
    assert len(load_images(tmp_path / "b", "train")) == 6
    save_in_folders(tmp_path / "c", {"train/steam train": 2, "val/steam train": 1})
    (tmp_path / "c" / "train_captions").mkdir()
    (tmp_path / "c" / "train_captions" / "0.txt").write_text("x")
    assert [len(load_images(tmp_path / "c", name)) for name in ("train", "validation")] == [2, 1]


def test_files_beside_the_pictures_are_ignored(tmp_path: Path) -> None:
    """`datasets` reads a folder as what most of its files are."""
    others = {
        "captions": ["0.txt", "1.txt", "2.txt"],
        "sidecars": ["0.png.json", "1.png.json", "0.png.txt"],
        "films": ["0.MOV", "1.MOV", "2.mp4"],
        "cat": ["0.xml", "1.xml"],
        "train": ["train_captions/0.txt", "train_captions/1.txt", "train.txt"],
    }
    for name, beside in others.items():
        save_in_folders(tmp_path / name, {name if name in ("cat", "train") else "": 2})
        for file in beside:
            inside = tmp_path / name / (f"cat/{file}" if name == "cat" else file)
            inside.parent.mkdir(exist_ok=True)
            inside.write_text("{}")
        data = load_images(tmp_path / name, "train")
        assert len(data) == 2, name
        assert data.label_names == (("cat",) if name == "cat" else ()), name
    # What `datasets` itself knows of pictures still counts.
    rows = [{"file_name": "0.png", "label": "pizza"}, {"file_name": "1.png", "label": "ramen"}]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "captions" / "metadata.jsonl").write_text(lines)
    assert load_images(tmp_path / "captions", "train").label_names == ("pizza", "ramen")


def test_a_folder_may_hold_a_list_for_each_split(tmp_path: Path) -> None:
    save_in_folders(tmp_path, {"pictures": 3})
    for split, numbers in (("train", (0, 1)), ("test", (2,))):
        lines = ["image", *(f"pictures/{number}.png" for number in numbers)]
        (tmp_path / f"{split}.csv").write_text("\n".join(lines))
        assert len(load_images(tmp_path, split)) == len(numbers)


def test_a_picture_beside_parquet_files_is_not_the_data(
    tmp_path: Path, write_pictures: WritePictures
) -> None:
    (file,) = (write_pictures(tmp_path / "written", "train", noise(3)) / "data").iterdir()
    save_in_folders(tmp_path / "data", {"": 1})
    for name in ("a.parquet", "b.parquet"):
        shutil.copy(file, tmp_path / "data" / name)
    assert len(load_images(tmp_path / "data", "train")) == 6


def test_paths_with_the_characters_of_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2023]*?"
    save_in_folders(folder, {"train/a [1]": 2, "train/b": 1, "test/b": 1})
    data = load_images(folder, "train")
    assert (len(data), data.label_names) == (3, ("a [1]", "b"))
    (folder / "list[1].csv").write_text("image\ntrain/b/0.png\n")
    assert len(load_images(folder / "list[1].csv", "train")) == 1


def test_a_file_that_must_not_be_read_is_one_picture_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_in_folders(tmp_path, {"": 3})
    open_anything = files._open_file

    def denied(path: str, flags: int) -> int:
        if path.endswith("1.png"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return open_anything(path, flags)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_open_file", denied)
        notes: list[str] = []
        assert len(load_images(tmp_path, "train", skip_unreadable=True, note=notes.append)) == 2
        assert notes[0].endswith("left out: 1.png; the first: Permission denied")
        with pytest.raises(PixelgenError, match=r"row 1 of .*: Permission denied"):
            load_images(tmp_path, "train")
    assert len(load_images(tmp_path, "train", skip_unreadable=True)) == 3


def test_a_limit_is_spread_over_the_split(tmp_path: Path, write_pictures: WritePictures) -> None:
    write_pictures(tmp_path, "train", noise(10), list(range(10)))
    data = load_images(tmp_path, "train", limit=4)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 2, 5, 7]
    assert len(load_images(tmp_path, "train", limit=99)) == 10


def test_decoding_happens_once(
    tmp_path: Path, write_pictures: WritePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path, "train", noise(3, seed=5))
    first = load_images(tmp_path, "train")
    monkeypatch.setattr(images, "_decode_all", None)
    assert torch.equal(load_images(tmp_path, "train").images, first.images)


def replaced(path: Path, content: bytes) -> None:
    """Write a file, with the modification time of the one that was there."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_picture_that_is_replaced_with_its_old_time_is_read(tmp_path: Path) -> None:
    save_in_folders(tmp_path / "validation", {"": 2})
    first, second = sorted((tmp_path / "validation").iterdir())
    before = load_images(tmp_path, "validation").images
    replaced(first, second.read_bytes())
    after = load_images(tmp_path, "validation").images
    assert not torch.equal(after[0], before[0])
    assert torch.equal(after[0], before[1])


def test_a_listed_picture_that_is_replaced_is_read(tmp_path: Path) -> None:
    for number, picture in enumerate(noise(2)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    (tmp_path / "list.csv").write_text("file\n0.png\n1.png\n", encoding="utf-8")
    before = load_images(tmp_path / "list.csv", "train", image_column="file").images
    replaced(tmp_path / "0.png", (tmp_path / "1.png").read_bytes())
    after = load_images(tmp_path / "list.csv", "train", image_column="file").images
    assert not torch.equal(after[0], before[0])
    assert torch.equal(after[0], before[1])


def test_texts_have_the_same_numbers_in_a_part_of_the_rows(tmp_path: Path) -> None:
    lines = ["file,kind"]
    for number, (picture, kind) in enumerate(zip(noise(4), "acbc", strict=True)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{kind}")
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    columns: dict[str, Any] = {"image_column": "file", "label_column": "kind"}
    data = load_images(tmp_path / "list.csv", "train", limit=2, **columns)  # a and b
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1]
    assert data.class_names() == ["a", "b"]
    data = load_images(tmp_path / "list.csv", "train", limit=1, **columns)
    assert data.label_names == ("a", "b", "c")


@pytest.mark.parametrize("side", [4, 200])  # of a file that is read as a whole, and of a large one
def test_a_parquet_file_that_is_replaced_with_its_old_time_is_read(
    tmp_path: Path, write_pictures: WritePictures, side: int
) -> None:
    def write(seed: int, folder: Path) -> Path:
        write_pictures(folder, "train", noise(2, side, side, seed))
        (file,) = (folder / "data").iterdir()
        return file

    file, other = write(1, tmp_path / "a"), write(2, tmp_path / "b")
    before = load_images(tmp_path / "a", "train").images
    replaced(file, other.read_bytes())
    after = load_images(tmp_path / "a", "train").images
    assert torch.equal(after, load_images(tmp_path / "b", "train").images)
    assert not torch.equal(after, before)


def test_a_cache_that_is_of_no_use_costs_a_second_decoding(
    tmp_path: Path, write_pictures: WritePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path, "train", noise(3, seed=8))
    cache = tmp_path / "cache"
    monkeypatch.setattr(images, "cache_folder", lambda: cache)
    first = load_images(tmp_path, "train")
    (kept,) = cache.iterdir()
    kept.write_bytes(b"")
    assert torch.equal(load_images(tmp_path, "train").images, first.images)
    assert kept.stat().st_size > 0
    monkeypatch.setattr(images, "cache_folder", lambda: kept / "under a file")
    assert torch.equal(load_images(tmp_path, "train").images, first.images)


def test_progress_ends_at_the_total(tmp_path: Path, write_pictures: WritePictures) -> None:
    write_pictures(tmp_path, "train", noise(3, seed=6))
    seen: list[tuple[int, int]] = []
    load_images(tmp_path, "train", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (3, 3)]


def test_errors_say_what_is_wrong(tmp_path: Path, write_pictures: WritePictures) -> None:
    write_pictures(tmp_path / "a", "train", noise(3, 6, 6), [0, 1, 2])
    write_pictures(tmp_path / "b", "train", [*noise(2), *noise(1, 8, 8)])
    (tmp_path / "empty").mkdir()
    cases: list[tuple[tuple[Any, str], str]] = [
        ((tmp_path / "nowhere", "train"), "no folder or file"),
        (("", "train"), "no data set is named"),
        ((tmp_path / "empty", "train"), "there are no pictures in"),
        ((tmp_path / "a", "test"), "train"),
        ((tmp_path / "b", "train"), "row 2"),
        (("someone/nothing", "train"), "someone/nothing"),
    ]
    for arguments, words in cases:
        with pytest.raises(PixelgenError, match=words) as caught:
            load_images(*arguments)
        assert "\n" not in caught.value.message
    with pytest.raises(PixelgenError, match="cannot be averaged down"):
        load_images(tmp_path / "a", "train", size=4)
    with pytest.raises(PixelgenError, match="no column 'photo'"):
        load_images(tmp_path / "a", "train", image_column="photo")
    with pytest.raises(PixelgenError, match="label 2"):
        load_images(tmp_path / "a", "train").rows([0, 1])
    with pytest.raises(PixelgenError, match="no labels"):
        load_images(tmp_path / "a", "train", label_column="none").rows([0, 1])


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    import datasets

    feature = datasets.Features(
        {"image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
    )
    rows = {"image": [{"bytes": b"no picture", "path": None}]}
    (tmp_path / "data").mkdir()
    broken = datasets.Dataset.from_dict(rows, features=feature).cast_column(
        "image", datasets.Image()
    )
    broken.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(PixelgenError, match=r"row 0 of .* is not a readable picture"):
        load_images(tmp_path, "train")


def test_names_of_ilsvrc_become_its_numbers(tmp_path: Path) -> None:
    save_in_folders(tmp_path / "wnids", {"train/n02099601": 2, "train/n01440764": 1})
    data = load_images(tmp_path / "wnids", "train")
    assert data.labels is not None
    assert (sorted(data.labels.tolist()), data.ilsvrc) == ([0, 207, 207], True)
    assert (data.label_names, data.class_names()) == ((), [])


def test_own_classes_are_known_by_their_names(tmp_path: Path) -> None:
    save_in_folders(tmp_path, {"train/cat": 2, "train/golden retriever": 1, "validation/cat": 1})
    save_in_folders(tmp_path, {"validation/golden retriever": 3, "validation/ape": 1})
    data = load_images(tmp_path, "train")
    assert (data.class_names(), data.ilsvrc) == (["cat", "golden retriever"], False)
    own = ClassCatalogue.named([7, 3], ["Golden_Retriever", "cat"])
    numbers = data.relabelled(own).labels
    assert numbers is not None
    assert sorted(numbers.tolist()) == [3, 3, 7]
    nobody = ClassCatalogue.named([0, 1], ["x", "y"])
    with pytest.raises(PixelgenError, match="class 'cat' of the data is not a class of the model"):
        data.relabelled(nobody)
    with pytest.raises(PixelgenError, match="class 'ape' of the data is not a class of the model"):
        load_images(tmp_path, "validation").relabelled(own)


def test_texts_are_names_of_classes(tmp_path: Path) -> None:
    import datasets

    columns = {"image": [Image.fromarray(p) for p in noise(3)], "kind": ["pizza", "cat", "pizza"]}
    features = datasets.Features({"image": datasets.Image(), "kind": datasets.Value("string")})
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(columns, features=features).to_parquet(
        tmp_path / "data" / "train-00000-of-00001.parquet"
    )
    data = load_images(tmp_path, "train", label_column="kind")
    assert data.labels is not None
    assert (data.labels.tolist(), data.label_names) == ([1, 0, 1], ("cat", "pizza"))


@pytest.mark.parametrize("blank", ["", " "])
def test_an_empty_text_is_no_name_of_a_class(blank: str, tmp_path: Path) -> None:
    Image.fromarray(noise(1)[0]).save(tmp_path / "a.png")
    rows = [{"image": "a.png", "label": label} for label in ("cat", blank)]
    (tmp_path / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(PixelgenError, match=r"'label' of .* holds an empty text for row 1"):
        load_images(tmp_path / "list.jsonl", "train")
    assert len(load_images(tmp_path / "list.jsonl", "train", label_column="")) == 2


@pytest.mark.parametrize(
    "labels", [[[1], [2]], [[1], [2, 3]], [[[1]], [[2]]], [True, False], [0.5, 1]]
)
def test_labels_are_one_whole_number_for_each_picture(labels: list[Any], tmp_path: Path) -> None:
    import datasets

    pictures = [Image.new("RGB", (4, 4))] * 2
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=None).cast_column(
        "image", datasets.Image()
    ).to_parquet(tmp_path / "data" / "train-0.parquet")
    with pytest.raises(PixelgenError, match="does not hold a number or text for each picture"):
        load_images(tmp_path, "train")


def save_paths(folder: Path, paths: list[str]) -> None:
    """A parquet file whose rows name pictures by their paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    rows = [{"bytes": None, "path": path} for path in paths]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    features = {"info": {"features": {"image": {"_type": "Image"}}}}
    table = pa.table({"image": pa.array(rows, kind)})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, folder / "train.parquet")


def test_paths_in_rows_lead_nowhere_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.fromarray(noise(1)[0]).save(secret)
    data = tmp_path / "data"
    for i, path in enumerate(
        (str(secret), f"{data}/../secret.png", "../secret.png", "~/secret.png", "/etc/passwd")
    ):
        save_paths(tmp_path / f"data{i}", [path.replace(str(data), f"{data}{i}")])
        with pytest.raises(PixelgenError, match=r"row 0 of .* outside of the data set") as caught:
            load_images(tmp_path / f"data{i}", "train")
        assert "secret" not in caught.value.message
    inside = tmp_path / "own" / "pictures" / "a.png"
    save_paths(tmp_path / "own", [str(inside)])
    inside.parent.mkdir()
    secret.rename(inside)
    assert len(load_images(tmp_path / "own", "train")) == 1


@pytest.mark.parametrize(
    ("name", "says"), [(None, "it is empty"), ("a\0.png", "embedded null byte")]
)
def test_lists_with_names_that_are_none(name: str | None, says: str, tmp_path: Path) -> None:
    Image.fromarray(noise(1)[0]).save(tmp_path / "a.png")
    rows = [{"image": "a.png"}, {"image": name}]
    (tmp_path / "list.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(PixelgenError, match=f"row 1 of .* is not a readable picture: {says}"):
        load_images(tmp_path / "list.jsonl", "train")
    notes: list[str] = []
    data = load_images(tmp_path / "list.jsonl", "train", skip_unreadable=True, note=notes.append)
    assert len(data) == 1
    assert notes[0].startswith("1 of 2 pictures cannot be read")


@pytest.mark.parametrize("text", ["", "image,label\n"])
def test_lists_without_rows(text: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    (tmp_path / "list.jsonl").touch()
    for file in ("list.csv", "list.jsonl") if text else ("list.jsonl",):
        with pytest.raises(PixelgenError, match="has no rows"):
            load_images(tmp_path / file, "train")
    for line in ("null", " 5", '"a.png"'):  # the first one ended the process
        (tmp_path / "list.jsonl").write_text(f"\n{line}\n")
        with pytest.raises(PixelgenError, match="it does not begin with an object of JSON"):
            load_images(tmp_path / "list.jsonl", "train")


@pytest.mark.skipif(sys.platform != "linux", reason="of a system whose names are bytes")
def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    Image.fromarray(noise(1)[0]).save(tmp_path / "a.png")
    os.link(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff.png")
    with pytest.raises(PixelgenError, match=r"the name '.*\.png' in it is not UTF-8"):
        load_images(tmp_path, "train")


def test_splits_of_what_datasets_saved(tmp_path: Path) -> None:
    import datasets

    pictures = [Image.fromarray(picture) for picture in noise(2)]
    one = datasets.Dataset.from_dict({"image": pictures})
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(str(tmp_path / "splits"))
    assert len(load_images(tmp_path / "splits", "test")) == 2
    with pytest.raises(PixelgenError, match=r"split 'validation' of .*: it has: train, test"):
        load_images(tmp_path / "splits", "validation")
    one.save_to_disk(str(tmp_path / "one"))
    pictures[0].save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("image\na.png\n")
    for name, says in (("one", "2 rows are"), ("list.csv", "1 row are")):
        notes: list[str] = []
        load_images(tmp_path / name, "train", note=notes.append)
        load_images(tmp_path / name, "test", note=notes.append)
        assert notes == [f"{tmp_path / name} has no splits: its {says} taken as 'test'"]


def test_pictures_in_archives(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(noise(1)[0]).save(png, "PNG")
    (tmp_path / "zipped").mkdir()
    archive = tmp_path / "zipped" / "train.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a/1.png", "b/2.png"):
            file.writestr(name, png.getvalue())
        file.writestr("bomb.png", bytes(2**20))
    damaged = tmp_path / "zipped" / "damaged.zip"
    content = archive.read_bytes()
    start = content.index(b"a/1.png") + len(b"a/1.png")
    damaged.write_bytes(content[:start] + b"\xff" * 9 + content[start + 9 :])
    reader = RowReader(tmp_path / "zipped")
    data = load_images(tmp_path / "zipped", "train", skip_unreadable=True)
    assert torch.equal(data.images[1], torch.from_numpy(noise(1)[0]).permute(2, 0, 1))
    assert len(data) == 2
    for path, why in {
        f"zip://c.png::{archive}": "no item named 'c.png'",
        f"zip://a/1.png::{damaged}": r"it cannot be read from damaged\.zip: Error -3 while",
        f"zip://a/1.png::{tmp_path}/other.zip": "outside of the data set",
        f"zip://a/1.png::{tmp_path}/zipped/none.zip": "No such file",
        "zip://a/1.png": "outside of the data set",
    }.items():
        with pytest.raises(PixelgenError, match=why):
            reader.read({"bytes": None, "path": path}, "row 0")


def test_pictures_of_a_hub_data_set_lie_in_its_cache() -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    for owner, readable in (("someone", True), ("another", False)):
        file = cache / f"datasets--{owner}--pets" / "snapshots" / "0" / "a.png"
        file.parent.mkdir(parents=True)
        Image.fromarray(noise(1)[0]).save(file)
        row = {"bytes": None, "path": str(file)}
        reader = RowReader("someone/pets")
        if readable:
            assert reader.read(row, "row 0").shape == (4, 4, 3)
        else:
            with pytest.raises(PixelgenError, match="outside of the data set"):
                reader.read(row, "row 0")


def test_no_library_writes_to_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_bytes(b"PAR1 no parquet PAR1")
    with pytest.raises(PixelgenError):
        load_images(tmp_path, "train")
    assert capfd.readouterr() == ("", "")


def test_large_pictures_are_in_memory_one_at_a_time(
    tmp_path: Path, write_pictures: WritePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = noise(5, 64, 64)
    write_pictures(tmp_path, "train", pictures)
    at_once = []
    stack = np.stack

    def counted(arrays: list[np.ndarray]) -> np.ndarray:
        at_once.append(len(arrays))
        return stack(arrays)

    monkeypatch.setattr(images.np, "stack", counted)
    monkeypatch.setattr(images, "_CHUNK_PIXELS", 2 * 64 * 64)
    data = load_images(tmp_path, "train", size=16)
    assert at_once == [1, 2, 2]
    whole = torch.from_numpy(stack(pictures)).permute(0, 3, 1, 2).contiguous()
    assert torch.equal(data.images, average_down(whole, 4))
    assert 12 * images._CHUNK_PIXELS <= 100_000_000  # four copies of three bytes


def test_folders_hold_all_kinds_of_pictures_that_are_read(tmp_path: Path) -> None:
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    known = [*ImageFolder.EXTENSIONS]
    for name, kind in (("a.png", "PNG"), ("b.QOI", "QOI"), ("c.jfif", "JPEG"), ("d.mpo", "JPEG")):
        Image.new("RGB", (4, 4)).save(tmp_path / name, kind)
    assert len(load_images(tmp_path, "train")) == 4
    # Those that no installed decoder takes are named, not skipped.
    (tmp_path / "e.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "f.jxl").write_bytes(b"\xff\x0a")
    (tmp_path / "g.AVIF").write_bytes(b"\0\0\0\x1cftypavif")
    notes: list[str] = []
    assert len(load_images(tmp_path, "train", skip_unreadable=True, note=notes.append)) == 4
    assert "3 of 7 pictures cannot be read" in notes[0]
    assert "; the first: it is a HEIC picture, which cannot be read here (`pip" in notes[0]
    assert known == ImageFolder.EXTENSIONS


def test_pictures_left_out_are_read_once_their_decoder_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_in_folders(tmp_path, {"": 2})
    known = images.known_formats()
    new = tmp_path / "new.jxl"
    Image.fromarray(noise(1)[0]).save(new, "QOI")
    monkeypatch.setattr(images, "known_formats", lambda: known)
    with monkeypatch.context() as patch:
        without = tuple(name for name in known if name != "QOI")
        patch.setattr(images, "known_formats", lambda: without)
        patch.setattr("pixelgen.imaging.read.known_formats", lambda: without)
        for _ in range(2):
            assert len(load_images(tmp_path, "train", skip_unreadable=True)) == 2
    assert len(load_images(tmp_path, "train", skip_unreadable=True)) == 3


def test_a_folder_of_nothing_but_such_pictures(tmp_path: Path) -> None:
    (tmp_path / "e.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(PixelgenError, match=r"row 0 of .*: it is a HEIC picture"):
        load_images(tmp_path, "train")


def test_pictures_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        Image.new("RGB", (30, 20)).save(tmp_path / f"{name}.png")
    with pictures_up_to(599), pytest.raises(PixelgenError, match="30×20 pixels") as caught:
        load_images(tmp_path, "train")
    assert caught.value.code == "too-many-pixels"
    assert len(load_images(tmp_path, "train")) == 2
    with pictures_up_to(599), pytest.raises(PixelgenError):
        load_images(tmp_path, "train")  # although they are in the cache
    with pictures_up_to(600):
        assert len(load_images(tmp_path, "train")) == 2
    monkeypatch.setattr(images, "memory_size", lambda: 2 * 2 * 3 * 30 * 20 - 1)
    monkeypatch.setattr(images, "load_cached_array", lambda path: None)
    with pytest.raises(PixelgenError, match=r"2 pictures of 30×20 pixels need 0\.0 GB of memory"):
        load_images(tmp_path, "train")
    assert load_images(tmp_path, "train", size=2, fit="crop").images.shape == (2, 3, 2, 2)
