"""How close enlarged pictures come to the real ones: nearest, Lanczos and the learned upscaler.

    python benchmarks/upscaling.py PHOTO|FOLDER ... [--tokenizer WEIGHTS] [--small FOLDER]
        [--also NAME=FOLDER ...] [--json]

The middle square of each photo of at least 256×256 pixels is resized to 256×256, the truth, and
that to 64×64. The latter is enlarged four times and compared with the truth, and both again at
128×128. `--tokenizer` has the small pictures encoded and decoded first, as pictures of codes are;
`--small` writes them to a folder, for other programs, whose results `--also` reads from a folder
under the same names. The perceptual distance needs the extra `train`.
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


def timed(small: Pictures, method: Resample) -> tuple[Pictures, float]:
    """The pictures enlarged, and the seconds for each."""
    enlarge(small[0], SCALE, method)  # loads the network
    start = time.perf_counter()
    result = [enlarge(one, SCALE, method) for one in small]
    return result, (time.perf_counter() - start) / len(result)


def report(rows: dict[str, dict[str, float | None]]) -> None:
    """One line for each method."""
    names = list(next(iter(rows.values())))
    print("".join(f"{name:>15}" for name in ["", *names]))
    for method, row in rows.items():
        cells = ["–" if row[name] is None else f"{row[name]:.4g}" for name in names]
        print("".join(f"{cell:>15}" for cell in [method, *cells]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--tokenizer", metavar="WEIGHTS")
    parser.add_argument("--small", type=Path, metavar="FOLDER")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

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
    if arguments.json:
        print(json.dumps({"pictures": len(real), "methods": rows}, indent=1))
    else:
        report(rows)


if __name__ == "__main__":
    main()
