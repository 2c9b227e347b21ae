"""Enlarging pictures by a small network.

`upscaler.safetensors` has its weights, most of them as whole numbers of -127 … 127 with a scale for
each output channel; NOTICE.md says where they come from.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pixelgen.imaging.bundled_network import load_bundled_network
from pixelgen.models.upscaler import REACH, SCALE, Upscaler
from pixelgen.sampling.threads import threads

_WEIGHTS = Path(__file__).with_name("upscaler.safetensors")
_TILE = 256
"""Pixels of the side of what is enlarged at a time: a large picture would take gigabytes."""


def upscale(image: Image.Image, scale: int) -> Image.Image:
    """`image` enlarged `scale` times: four times by the network, and resized to any other scale
    (Lanczos). It runs on one core, so that pixels do not depend on the number of threads.

    Raises PixelgenError if the weights are missing or broken.
    """
    network = _load_network()
    with torch.inference_mode(), threads(1):
        picture = Image.fromarray(_enlarge(network, np.asarray(image.convert("RGB"))))
    if scale != SCALE:
        size = image.width * scale, image.height * scale
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture if image.mode == "RGB" else picture.convert(image.mode)


def _enlarge(network: Upscaler, pixels: np.ndarray) -> np.ndarray:
    """Pixels uint8 [H, W, 3] → [4 H, 4 W, 3], tile by tile, each with all around it that can change
    it."""
    height, width, channels = pixels.shape
    enlarged = np.empty((SCALE * height, SCALE * width, channels), np.uint8)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            above, before = max(top - REACH, 0), max(left - REACH, 0)
            bottom, right = min(top + _TILE, height), min(left + _TILE, width)
            seen = torch.tensor(pixels[above : bottom + REACH, before : right + REACH])
            output = network(seen.permute(2, 0, 1)[None].float() / 255)[0]  # [3, 4 h, 4 w]
            values = (output.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            enlarged[SCALE * top : SCALE * bottom, SCALE * left : SCALE * right] = values[
                SCALE * (top - above) : SCALE * (bottom - above),
                SCALE * (left - before) : SCALE * (right - before),
            ]
    return enlarged


@lru_cache(maxsize=1)
def _load_network() -> Upscaler:
    return load_bundled_network(_WEIGHTS, Upscaler, "the upscaler")
