"""A face detector: a cascade of three small networks (MTCNN).

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
2016. `mtcnn.safetensors` has the weights; NOTICE.md says where they come from.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pixelgen.imaging.bundled_network import load_bundled_network
from pixelgen.imaging.face_detector import Face
from pixelgen.models.mtcnn import Mtcnn
from pixelgen.sampling.threads import threads

_WEIGHTS = Path(__file__).with_name("mtcnn.safetensors")
_MAX_SIDE = 1024
"""Pictures with a longer side are shrunk to this before the first search, pixels."""
_MAX_PIXELS = 4_000_000
"""Pictures without a face are searched again in this size, in which they take a few seconds."""
_MIN_SIDE = 128
"""Pictures with a shorter side are enlarged to this, so that 20 pixels can hold a face."""
_SMALLEST_FACE = 20
"""Pixels, after that resizing."""
_WINDOW, _STRIDE = 12, 2  # of the first network, pixels
_PYRAMID_FACTOR = math.sqrt(0.5)  # from one level of the image pyramid to the next
# Least score after each network. The last one is strict: upright faces nearly always score above
# 0.97; other objects, and faces upside down with wrong landmarks, mostly about 0.8.
_THRESHOLDS = (0.7, 0.7, 0.9)
_SMALL_FACE_THRESHOLD = 0.97
"""Of the second search: among many more windows, more are mistaken for faces."""
_OVERLAPS = (0.6, 0.7, 0.8)  # greatest overlap after each network
_OVERLAP_IN_ONE_LEVEL = 0.5
_MAX_BOXES = 2000
"""Photos have some hundreds; a picture that is made up of heads on their side has many thousands,
which would take minutes."""
_BATCH_SIZE = 256
_BAND = 128
"""Rows of windows of the first network that are computed at a time."""


class MtcnnDetector:
    """Finds faces of at least about 20 pixels; in photos with a longer side of more than 1024
    pixels, of at least a fiftieth of it. Where there are none, it searches for smaller ones: see
    `smallest_face`. Runs on one core.

    Raises PixelgenError if its weights are missing or broken.
    """

    def __init__(self) -> None:
        self._networks = _load_networks()

    def detect(self, image: Image.Image) -> list[Face]:
        """The faces in `image`, of any size and mode, largest first."""
        scale, larger = _scales(*image.size)
        faces = self._search(image, scale)
        if not faces and larger > scale:
            found = self._search(image, larger)
            faces = [face for face in found if face.score > _SMALL_FACE_THRESHOLD]
        return sorted(faces, key=lambda face: face.area, reverse=True)

    def smallest_face(self, width: int, height: int) -> float:
        """About how wide, in pixels, a face must be in a picture of width×height without others."""
        return _SMALLEST_FACE / max(_scales(width, height))

    def _search(self, image: Image.Image, scale: float) -> list[Face]:
        """The faces in `image`, which is resized by `scale` for the search."""
        width, height = image.size
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        picture = image if image.mode == "RGB" else image.convert("RGB")
        if size != image.size:
            picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        across, down = width / size[0], height / size[1]
        # The networks are too small to gain from more threads.
        with torch.inference_mode(), threads(1):
            boxes, scores, points = self._cascade(picture)
        boxes = boxes * (across, down, across, down)
        points = points * (across, down)
        return [
            Face(tuple(box), score, tuple((x, y) for x, y in five))
            for box, score, five in zip(
                boxes.tolist(), scores.tolist(), points.tolist(), strict=True
            )
        ]

    def _cascade(self, picture: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes [N, 4], scores [N] and landmarks [N, 5, 2] of the faces in `picture`."""
        boxes, scores = self._propose(picture)
        boxes = _square_boxes(boxes)

        scores, offsets = _run(self._networks.refinement, _crop(picture, boxes, 24))
        (boxes, offsets), scores = _above(_THRESHOLDS[1], scores, boxes, offsets)
        keep = _suppress_overlaps(boxes, scores, _OVERLAPS[1])
        boxes, scores = _square_boxes(_regress(boxes[keep], offsets[keep])), scores[keep]

        scores, offsets, points = _run(self._networks.output, _crop(picture, boxes, 48))
        (boxes, offsets, points), scores = _above(_THRESHOLDS[2], scores, boxes, offsets, points)
        sides = boxes[:, None, 2:] - boxes[:, None, :2]
        # x of all five, then y of all five: [N, 2·5] → [N, 5, 2].
        points = boxes[:, None, :2] + sides * points.reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes = _regress(boxes, offsets)
        keep = _suppress_overlaps(boxes, scores, _OVERLAPS[2], of_the_smaller=True)
        return boxes[keep], scores[keep], points[keep]

    def _propose(self, picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """Boxes [N, 4] and scores [N] of the first network over all levels of the image pyramid."""
        all_boxes, all_scores = [np.empty((0, 4))], [np.empty(0)]
        scale = _WINDOW / _SMALLEST_FACE
        while min(picture.size) * scale >= _WINDOW:
            width, height = (math.ceil(side * scale) for side in picture.size)
            smaller = picture.resize((width, height), Image.Resampling.BILINEAR)
            level_scores, offsets = self._propose_in_bands(np.asarray(smaller))
            rows, columns = np.nonzero(level_scores > _THRESHOLDS[0])
            corner = _STRIDE * np.stack([columns, rows], axis=1) + 1.0
            boxes = np.concatenate([corner, corner + _WINDOW], axis=1) / scale
            scores = level_scores[rows, columns]
            keep = _suppress_overlaps(boxes, scores, _OVERLAP_IN_ONE_LEVEL)
            all_boxes.append(_regress(boxes, offsets[:, rows, columns].T)[keep])
            all_scores.append(scores[keep])
            scale *= _PYRAMID_FACTOR
        boxes, scores = np.concatenate(all_boxes), np.concatenate(all_scores)
        keep = _suppress_overlaps(boxes, scores, _OVERLAPS[0])
        return boxes[keep], scores[keep]

    def _propose_in_bands(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores [H', W'] and offsets [4, H', W'] of the first network for pixels [H, W, 3], which
        it sees in bands of rows: a whole picture may take hundreds of megabytes."""
        step, shared = _STRIDE * _BAND, _WINDOW - _STRIDE  # neighbours share rows
        results = [
            self._networks.proposal(_scaled(pixels[None, top : top + step + shared]))
            for top in range(0, len(pixels) - shared, step)
        ]
        scores, offsets = zip(*results, strict=True)
        return torch.cat(scores, 1)[0].numpy(), torch.cat(offsets, 2)[0].numpy()


def _load_networks() -> Mtcnn:
    """The networks, on the processor."""
    networks = load_bundled_network(_WEIGHTS, Mtcnn, "the face detector")
    # Twice as fast as the order of channels, rows, columns.
    return networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _scales(width: int, height: int) -> tuple[float, float]:
    """By what a picture of width×height is resized for the first and the second search; the second
    is no larger where the first has seen all there is."""
    first = min(_MAX_SIDE / max(width, height), max(_MIN_SIDE / min(width, height), 1))
    return first, min(1, math.sqrt(_MAX_PIXELS / (width * height)))


def _run(network: nn.Module, pixels: np.ndarray) -> list[np.ndarray]:
    """A network's outputs for pictures of 0 … 255 [N, H, W, 3]."""
    starts = range(0, max(len(pixels), 1), _BATCH_SIZE)
    results = [network(_scaled(pixels[start : start + _BATCH_SIZE])) for start in starts]
    return [torch.cat(output).numpy() for output in zip(*results, strict=True)]


def _scaled(pixels: np.ndarray) -> Tensor:
    """0 … 255 [N, H, W, 3] → −1 … 1 [N, 3, H, W], in memory as before."""
    return (torch.tensor(pixels).permute(0, 3, 1, 2).float() - 127.5) / 128


def _crop(picture: Image.Image, boxes: np.ndarray, size: int) -> np.ndarray:
    """`picture` cropped to square `boxes` and resized, black outside: [N, size, size, 3]."""
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    for crop, box in zip(crops, boxes.astype(int).tolist(), strict=True):
        crop[:] = np.asarray(picture.crop(box).resize((size, size), Image.Resampling.BOX))
    return crops


def _above(
    threshold: float, scores: np.ndarray, *others: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """The rows of `others`, and of `scores`, where the score is above `threshold`."""
    keep = scores > threshold
    return [other[keep] for other in others], scores[keep]


def _regress(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Boxes with their edges moved by `offsets`, fractions of their width and height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.tile(sides, 2)


def _square_boxes(boxes: np.ndarray) -> np.ndarray:
    """Square boxes of whole pixels with the same centres, as wide as the longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True).round().clip(min=1)
    corner = (centre - side / 2).round()
    return np.concatenate([corner, corner + side], axis=1)


def _suppress_overlaps(
    boxes: np.ndarray, scores: np.ndarray, most: float, of_the_smaller: bool = False
) -> list[int]:
    """Non-maximum suppression: the indices of the boxes that remain when each, best first, removes
    those that overlap it by more than `most`, as a share of their union or of the smaller box. Only
    the best `_MAX_BOXES` remain in any case."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.argsort(-scores, kind="stable")[:_MAX_BOXES]
    keep = []
    while len(order) > 0:
        best, order = order[0], order[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = (high - low).clip(min=0).prod(axis=1)
        if of_the_smaller:
            share = common / np.minimum(areas[best], areas[order])
        else:
            share = common / (areas[best] + areas[order] - common)
        order = order[share <= most]
    return keep
