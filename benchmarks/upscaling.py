"""How close enlarged pictures come to the real ones: nearest, Lanczos and the learned upscaler.

    python benchmarks/upscaling.py PHOTO|FOLDER ... [--tokenizer WEIGHTS] [--small FOLDER]
        [--also NAME=FOLDER]... [--json]
    python benchmarks/upscaling.py --data PATH_OR_HUB_ID [--pictures N] [--json]

The middle square of each photo of at least 256×256 pixels is resized to 256×256, the truth, and
that to 64×64. The latter is enlarged four times and compared with the truth, and both again at
128×128. `--tokenizer` has the small pictures encoded and decoded first, as pictures of codes are;
`--small` writes them to a folder, for other programs, whose results `--also` reads from a folder
under the same names. The perceptual distance needs the extra `train`.

With `--data`, N square pictures of a data set, at least 64×64, take the place of photos: they are
resized to 64×64, the truth, and that to 32×32, which is enlarged four times and halved again. The
figure is the distance of all of them to the truth as a set, KID. It needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelgen.imaging import PICTURES, Resample, enlarge, load_photo, square
from pixelgen.metrics.reconstruction import measure_reconstruction

SMALL, LARGE, SCALE = 64, 256, 4
METHODS: tuple[Resample, ...] = ("nearest", "lanczos", "learned")

Pictures = list[Image.Image]


def photos(places: Sequence[Path]) -> list[Path]:
    """The files, and those of the folders, in the order of their names."""
    files: list[Path] = []
    for place in places:
        found = sorted(place.iterdir()) if place.is_dir() else [place]
        files += [file for file in found if file.suffix.lower() in PICTURES]
    return files


def tensor(images: Pictures, side: int) -> Tensor:
    """The pictures at side×side, uint8 [N, 3, side, side]."""
    arrays = [np.asarray(image.resize((side, side), Image.Resampling.BOX)) for image in images]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def measure(real: Pictures, enlarged: Pictures) -> dict[str, float | None]:
    """PSNR, SSIM and perceptual distance at 256 and at 128 pixels."""
    row: dict[str, float | None] = {}
    for side in (LARGE, LARGE // 2):
        a, b = tensor(real, side), tensor(enlarged, side)
        scores = measure_reconstruction(a, b, torch.device("cpu"), 16)
        row |= {f"{name}{side}": value for name, value in vars(scores).items()}
    return row


def set_distances(path: str, count: int) -> dict[str, dict[str, float | None]]:
    """KID and its standard error of each method, on `count` pictures of a data set."""
    from pixelgen.data import load_images
    from pixelgen.metrics.judge import SIDES, load_judge
    from pixelgen.metrics.kid import kernel_distance
    from pixelgen.pipelines.conversion import to_images

    truth = load_images(path, "validation", size=SMALL, limit=count).images
    small = (SMALL // 2, SMALL // 2)
    half = [image.resize(small, Image.Resampling.BOX) for image in to_images(truth, 256)]
    judge = load_judge()
    judge.size = SIDES[-1]
    features = judge.see(truth)[1]
    rows: dict[str, dict[str, float | None]] = {}
    for method in METHODS:
        enlarged = tensor([enlarge(one, SCALE, method) for one in half], SMALL)
        kid = kernel_distance(features, judge.see(enlarged)[1])
        if kid is None:
            raise SystemExit("error: too few pictures for KID, raise --pictures")
        rows[method] = {"kid": kid.mean, "standard_error": kid.standard_error}
    return rows


def timed(small: Pictures, method: Resample) -> tuple[Pictures, float]:
    """The pictures enlarged, and the seconds for each."""
    enlarge(small[0], SCALE, method)  # loads the network
    start = time.perf_counter()
    result = [enlarge(one, SCALE, method) for one in small]
    return result, (time.perf_counter() - start) / len(result)


def show(rows: dict[str, dict[str, float | None]], pictures: int, as_json: bool) -> None:
    """Prints one line for each method, or JSON."""
    if as_json:
        print(json.dumps({"pictures": pictures, "methods": rows}, indent=1))
        return
    names = list(next(iter(rows.values())))
    print("".join(f"{name:>15}" for name in ["", *names]))
    for method, row in rows.items():
        cells = ["–" if row[name] is None else f"{row[name]:.4g}" for name in names]
        print("".join(f"{cell:>15}" for cell in [method, *cells]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--data", metavar="PATH_OR_HUB_ID")
    parser.add_argument("--pictures", type=int, default=1000, metavar="N")
    parser.add_argument("--tokenizer", metavar="WEIGHTS")
    parser.add_argument("--small", type=Path, metavar="FOLDER")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if bool(arguments.photos) == bool(arguments.data):
        parser.error("give photos, or --data")
    if arguments.data:
        if arguments.tokenizer or arguments.small or arguments.also:
            parser.error("--tokenizer, --small and --also are for photos, not for --data")
        show(set_distances(arguments.data, arguments.pictures), arguments.pictures, arguments.json)
        return

    real: Pictures = []
    names: list[str] = []
    for file in photos(arguments.photos):
        photo = load_photo(file)
        if min(photo.size) >= LARGE:
            real.append(square(photo, LARGE))
            names.append(f"{len(names):04d}-{file.stem}.png")
    if not real:
        parser.error(f"none of the photos has {LARGE}×{LARGE} pixels")
    small = [image.resize((SMALL, SMALL), Image.Resampling.BOX) for image in real]
    if arguments.tokenizer:
        from pixelgen import load

        weights = load(arguments.tokenizer)
        small = weights.decode(weights.encode(small))
    if arguments.small:
        arguments.small.mkdir(parents=True, exist_ok=True)
        for name, image in zip(names, small, strict=True):
            image.save(arguments.small / name)

    rows: dict[str, dict[str, float | None]] = {}
    for method in METHODS:
        result, seconds = timed(small, method)
        rows[method] = measure(real, result) | {"seconds": seconds}
    for other in arguments.also:
        name, _, folder = other.partition("=")
        result = [load_photo(Path(folder) / file) for file in names]
        rows[name] = measure(real, result) | {"seconds": None}
    show(rows, len(real), arguments.json)


if __name__ == "__main__":
    main()
