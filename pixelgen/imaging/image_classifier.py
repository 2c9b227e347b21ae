"""How likely pictures are of ImageNet's classes, by a small classifier.

`image_classifier.safetensors` has its weights, most of them as whole numbers of -127 … 127 with a
scale for each output channel; NOTICE.md says where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pixelgen.imaging.bundled_network import load_bundled_network
from pixelgen.models.efficientnet import EfficientNetLite0, enlarged
from pixelgen.sampling.threads import threads

_WEIGHTS = Path(__file__).with_name("image_classifier.safetensors")
_SIDE = 128
"""Pictures are enlarged to it: the network was trained on larger ones."""


def class_log_probs(
    images: Sequence[Image.Image], labels: Sequence[int], among: Sequence[int] = ()
) -> list[float]:
    """log p(label | picture) in nats of each picture and its label, an ILSVRC class index, where
    the class is known to be one of `among`; empty: of all 1000. A picture is seen alone and on one
    core, so that the figure depends on nothing else.

    Raises PixelgenError if the weights are missing or broken.
    """
    network = load_image_classifier()
    known = torch.tensor(among or range(network.classify.out_features))
    scores = []
    with torch.inference_mode(), threads(1):
        for image, label in zip(images, labels, strict=True):
            pixels = torch.tensor(np.asarray(image.convert("RGB")))  # [H, W, 3]
            logits = network(enlarged(pixels.permute(2, 0, 1)[None], _SIDE))  # [1, 1000]
            scores.append(float(logits[0, label] - logits[0, known].logsumexp(0)))
    return scores


@lru_cache(maxsize=1)
def load_image_classifier() -> EfficientNetLite0:
    """The network, on the processor. Raises PixelgenError if its weights are missing or broken."""
    with torch.inference_mode(False):  # gradients pass through it, whoever loads it first
        network = load_bundled_network(_WEIGHTS, EfficientNetLite0, "the classifier of candidates")
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
