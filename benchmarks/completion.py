"""How well weights fill a hole of a quarter of a photo that they have not seen.

    python benchmarks/completion.py --data PATH_OR_HUB_ID [--weights NAME]... [--crop 64] [--json]

The hole is the middle of each picture, half as wide and as high, and is filled as by `pixelgen
complete` without a class. All figures are of the whole picture at its own size:

- class kept: share with the class of the original among those of the data, both as EfficientNet-
  lite2 says, which no training uses; for data with the classes of ILSVRC.
- KID: kernel distance to the originals as a set, in the features of the same network.
- perceptual: mean distance to the original, and its standard error, in features of EfficientNet-
  lite0, which the bundled tokenizers were trained with.

The row `grey` fills the hole with grey.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from PIL import Image
from torch import Tensor

import pixelgen
from pixelgen.data import ImageData, cut, load_images
from pixelgen.imaging import cut_around_hole
from pixelgen.metrics.judge import Judge, best_labels, load_judge
from pixelgen.metrics.kid import kernel_distance
from pixelgen.metrics.perceptual import PerceptualDistance, load_perceptual
from pixelgen.models.likelihood import to_signed
from pixelgen.pipelines import CompletePipeline, CompletionRequest
from pixelgen.pipelines.conversion import to_images, to_tensor
from pixelgen.pipelines.image_sampler import KnownValues

BATCH = 100


def fill(name: str, photos: list[Image.Image], seed: int) -> list[Image.Image]:
    """Each photo with its middle drawn by the weights, all side by side, or grey."""
    boxes = [(w // 4, h // 4, w // 2, h // 2) for w, h in (photo.size for photo in photos)]
    if name == "grey":
        filled = [photo.copy() for photo in photos]
        for photo, (x, y, width, height) in zip(filled, boxes, strict=True):
            photo.paste((127, 127, 127), (x, y, x + width, y + height))
        return filled
    checkpoint = pixelgen.load(name, "cpu").checkpoint
    count, size = len(photos), checkpoint.config.image_shape[1]
    request = CompletionRequest.from_options(
        checkpoint.config, name, n=count, seed=seed, batch_size=count
    )
    pipe = CompletePipeline(checkpoint)
    holes = [cut_around_hole(p, size, box=box) for p, box in zip(photos, boxes, strict=True)]
    each = [pipe.known_values(hole) for hole in holes]
    known = KnownValues(torch.stack([k.values for k in each]), torch.stack([k.mask for k in each]))
    ((grids, _),) = pipe.sampler.sample_grids(count, None, request.sample.drawing, known=known)
    drawn = zip(holes, pipe.sampler.show(grids), strict=True)
    return [hole.full.fill(image) for hole, image in drawn if hole.full is not None]


def measure(
    images: Tensor,
    filled: Tensor,
    classes: list[int],
    judge: Judge,
    perceptual: PerceptualDistance,
) -> dict[str, float | None]:
    """The figures of filled pictures uint8 [N, 3, H, W] beside the originals."""
    logits, features = judge.see(filled)
    real_logits, real_features = judge.see(images)
    kid = kernel_distance(real_features, features)
    with torch.inference_mode():
        pairs = zip(filled.split(BATCH), images.split(BATCH), strict=True)
        distance = torch.cat([perceptual(to_signed(a, 256), to_signed(b, 256)) for a, b in pairs])
    kept = None
    if classes:
        same = best_labels(logits, classes, 1) == best_labels(real_logits, classes, 1)
        kept = float(same.double().mean())
    return {
        "class_kept": kept,
        "kid": None if kid is None else kid.mean,
        "perceptual": float(distance.mean()),
        "standard_error": float(distance.std()) / len(distance) ** 0.5,
    }


def load(arguments: argparse.Namespace) -> tuple[ImageData, list[int]]:
    """The pictures, and their classes where they are those of ILSVRC."""
    data = load_images(arguments.data, arguments.split, limit=arguments.pictures)
    return data, data.occurring_labels() if data.ilsvrc else []


def main() -> int:
    """Prints a table or JSON."""
    parser = argparse.ArgumentParser(description="Measure completions of held-out pictures.")
    parser.add_argument("--data", required=True, help="a folder, or a Hub data set owner/name")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--weights", action="append", help="weights (may be repeated)")
    parser.add_argument("--pictures", type=int, default=200, help="evenly spread over the split")
    parser.add_argument("--crop", type=int, help="use the central pixels of each picture only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    data, classes = load(arguments)
    images = cut(data.images, arguments.crop).contiguous() if arguments.crop else data.images
    photos = to_images(images, 256)
    judge, perceptual = load_judge(), load_perceptual(scale=2)
    if classes and data.labels is not None:
        judge.calibrate(images, data.labels, classes)
    results = []
    for name in ("grey", *(arguments.weights or ("imagenet32", "imagenet64"))):
        start = time.perf_counter()
        filled = to_tensor(fill(name, photos, arguments.seed))
        seconds = (time.perf_counter() - start) / len(photos)
        figures = measure(images, filled, classes, judge, perceptual)
        results.append({"weights": name, **figures, "seconds": seconds})
        if not arguments.json:
            known = {**figures, "seconds": seconds}.items()
            row = (f"{key} {value:.4f}" for key, value in known if value is not None)
            print(f"{name}:", ", ".join(row), flush=True)
    if arguments.json:
        print(json.dumps({"pictures": len(photos), "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
