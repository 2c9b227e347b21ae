"""A face detector: three small networks that look ever closer (MTCNN).

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
2016. The weights are the ONNX files of the package `mtcnn-runtime`. Its code is not used: it needs
an OpenCV that does not load on machines without graphics libraries, takes every core, prints to
stdout, and fails where there is no face.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixelgen.errors import PixelgenError
from pixelgen.imaging.face_detector import Face

_HINT = "pip install onnxruntime mtcnn-runtime"
_LONGEST = 1024
"""Longer sides are shrunk to this before the search, pixels."""
_SHORTEST = 128
"""Shorter sides are enlarged to this, so that a picture of 20 pixels can hold a face."""
_SMALLEST_FACE = 20
"""Pixels of the picture that is searched."""
_WINDOW, _STRIDE = 12, 2  # what the first network sees of a picture, and its step
_FACTOR = math.sqrt(0.5)  # from one size of the picture to the next
# Least score after each network. The last one is strict: upright faces score more than 0.97
# nearly always; what is none, or is upside down and has wrong landmarks, mostly about 0.8.
_THRESHOLDS = (0.7, 0.7, 0.9)
_OVERLAPS = (0.6, 0.7, 0.8)  # most overlap after each network
_OVERLAP_IN_ONE_SIZE = 0.5
_MOST_AT_ONCE = 256


class MtcnnDetector:
    """Finds faces from about 20 pixels on, in photos of more than 1024 from a fiftieth of their
    longer side on; it needs one core.

    Raises PixelgenError where its packages are missing or broken.
    """

    def __init__(self) -> None:
        self._proposal, self._refinement, self._output = _sessions("pnet", "rnet", "onet")

    def detect(self, image: Image.Image) -> list[Face]:
        """The faces in `image`, of any size and mode, largest first."""
        size = _searched_size(*image.size)
        picture = image.convert("RGB")
        if size != image.size:
            picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        across, down = image.width / size[0], image.height / size[1]
        boxes, scores, points = self._cascade(picture)
        boxes = boxes * (across, down, across, down)
        points = points * (across, down)
        faces = [
            Face(tuple(box), score, tuple((x, y) for x, y in five))
            for box, score, five in zip(
                boxes.tolist(), scores.tolist(), points.tolist(), strict=True
            )
        ]
        return sorted(faces, key=lambda face: face.area, reverse=True)

    def _cascade(self, picture: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes [N, 4], scores [N] and landmarks [N, 5, 2] of the faces in `picture`."""
        boxes, scores = self._proposals(picture)
        boxes = _square(boxes)

        moves, chances = _run(self._refinement, _cut(picture, boxes, 24))
        (boxes, moves), scores = _likely(_THRESHOLDS[1], chances[:, 1], boxes, moves)
        kept = _without_overlaps(boxes, scores, _OVERLAPS[1])
        boxes, scores = _square(_moved(boxes[kept], moves[kept])), scores[kept]

        points, moves, chances = _run(self._output, _cut(picture, boxes, 48))
        (boxes, moves, points), scores = _likely(
            _THRESHOLDS[2], chances[:, 1], boxes, moves, points
        )
        sides = boxes[:, None, 2:] - boxes[:, None, :2]
        # x of all five, then y of all five: [N, 2·5] → [N, 5, 2].
        points = boxes[:, None, :2] + sides * points.reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes = _moved(boxes, moves)
        kept = _without_overlaps(boxes, scores, _OVERLAPS[2], of_the_smaller=True)
        return boxes[kept], scores[kept], points[kept]

    def _proposals(self, picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
        """Where the first network, which sees every window of every size, suspects a face."""
        found, sure = [np.empty((0, 4))], [np.empty(0)]
        scale = _WINDOW / _SMALLEST_FACE
        while min(picture.size) * scale >= _WINDOW:
            width, height = (math.ceil(side * scale) for side in picture.size)
            smaller = picture.resize((width, height), Image.Resampling.BILINEAR)
            moves, chances = _run(self._proposal, _scaled(np.asarray(smaller)[None]))
            rows, columns = np.nonzero(chances[0, 1] > _THRESHOLDS[0])
            corner = _STRIDE * np.stack([columns, rows], axis=1) + 1.0
            boxes = np.concatenate([corner, corner + _WINDOW], axis=1) / scale
            scores = chances[0, 1, rows, columns]
            kept = _without_overlaps(boxes, scores, _OVERLAP_IN_ONE_SIZE)
            found.append(_moved(boxes, moves[0, :, rows, columns])[kept])
            sure.append(scores[kept])
            scale *= _FACTOR
        boxes, scores = np.concatenate(found), np.concatenate(sure)
        kept = _without_overlaps(boxes, scores, _OVERLAPS[0])
        return boxes[kept], scores[kept]


def _sessions(*names: str) -> list[Any]:
    """The networks, each on one thread: they are so small that more only wait for each other."""
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Found, not imported, which would import OpenCV.
        package = find_spec("mtcnnruntime")
        if package is None or package.origin is None:
            raise ImportError("No module named 'mtcnnruntime'")
        folder = Path(package.origin).parent / "weights"
        return [
            onnxruntime.InferenceSession(
                folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in names
        ]
    except Exception as error:  # a broken file raises one of onnxruntime's own kinds
        raise PixelgenError(f"the face detector does not load: {error}", _HINT) from error


def _searched_size(width: int, height: int) -> tuple[int, int]:
    """The size at which a picture of width×height is searched."""
    scale = min(_LONGEST / max(width, height), max(_SHORTEST / min(width, height), 1))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _run(session: Any, batch: np.ndarray) -> list[np.ndarray]:
    """A network's outputs for pictures [N, 3, H, W]."""
    if len(batch) == 0:  # which the networks themselves cannot take
        return [np.empty((0, *made.shape[1:]), np.float32) for made in session.get_outputs()]
    (given,) = session.get_inputs()
    parts = [batch[i : i + _MOST_AT_ONCE] for i in range(0, len(batch), _MOST_AT_ONCE)]
    results = [session.run(None, {given.name: part}) for part in parts]
    return [np.concatenate(output) for output in zip(*results, strict=True)]


def _scaled(pixels: np.ndarray) -> np.ndarray:
    """0 … 255 [N, H, W, 3] → −1 … 1 [N, 3, H, W]."""
    return (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128


def _cut(picture: Image.Image, boxes: np.ndarray, size: int) -> np.ndarray:
    """What `picture` shows in square `boxes`, black outside of it: [N, 3, size, size]."""
    cuts = np.empty((len(boxes), size, size, 3), np.uint8)
    for cut, box in zip(cuts, boxes.astype(int).tolist(), strict=True):
        cut[:] = np.asarray(picture.crop(box).resize((size, size), Image.Resampling.BOX))
    return _scaled(cuts)


def _likely(
    threshold: float, scores: np.ndarray, *others: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """The rows of `others`, and of `scores`, where the score is above `threshold`."""
    kept = scores > threshold
    return [other[kept] for other in others], scores[kept]


def _moved(boxes: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Boxes whose edges are moved by fractions of their width and height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + moves * np.tile(sides, 2)


def _square(boxes: np.ndarray) -> np.ndarray:
    """Boxes of whole pixels around the same middles, as wide and high as the longer side."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True).round().clip(min=1)
    corner = (middle - side / 2).round()
    return np.concatenate([corner, corner + side], axis=1)


def _without_overlaps(
    boxes: np.ndarray, scores: np.ndarray, most: float, of_the_smaller: bool = False
) -> list[int]:
    """Numbers of the boxes that stay when each, best first, removes those that overlap it by more
    than `most`: a share of what both cover, or of the smaller one."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order) > 0:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = (high - low).clip(min=0).prod(axis=1)
        if of_the_smaller:
            share = common / np.minimum(areas[best], areas[order])
        else:
            share = common / (areas[best] + areas[order] - common)
        order = order[share <= most]
    return kept
