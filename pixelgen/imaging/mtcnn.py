"""A face detector: a cascade of three small networks (MTCNN).

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
2016. The weights are the ONNX files of the package `mtcnn-runtime`. Its code is not used: it
requires an OpenCV that does not load without graphics libraries, uses every core, prints to stdout,
and fails for pictures without a face.
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
_MAX_SIDE = 1024
"""Pictures with a longer side are shrunk to this before the search, pixels."""
_MIN_SIDE = 128
"""Pictures with a shorter side are enlarged to this, so that 20 pixels can hold a face."""
_SMALLEST_FACE = 20
"""Pixels, after that resizing."""
_WINDOW, _STRIDE = 12, 2  # of the first network, pixels
_PYRAMID_FACTOR = math.sqrt(0.5)  # from one level of the image pyramid to the next
# Least score after each network. The last one is strict: upright faces nearly always score above
# 0.97; other objects, and faces upside down with wrong landmarks, mostly about 0.8.
_THRESHOLDS = (0.7, 0.7, 0.9)
_OVERLAPS = (0.6, 0.7, 0.8)  # greatest overlap after each network
_OVERLAP_IN_ONE_LEVEL = 0.5
_BATCH_SIZE = 256


class MtcnnDetector:
    """Finds faces of at least about 20 pixels; in photos of more than 1024 pixels, of at least a
    fiftieth of their longer side. Runs on one core.

    Raises PixelgenError if its packages are missing or broken.
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
        boxes, scores = self._propose(picture)
        boxes = _square_boxes(boxes)

        offsets, probabilities = _run(self._refinement, _crop(picture, boxes, 24))
        (boxes, offsets), scores = _above(_THRESHOLDS[1], probabilities[:, 1], boxes, offsets)
        keep = _suppress_overlaps(boxes, scores, _OVERLAPS[1])
        boxes, scores = _square_boxes(_regress(boxes[keep], offsets[keep])), scores[keep]

        points, offsets, probabilities = _run(self._output, _crop(picture, boxes, 48))
        (boxes, offsets, points), scores = _above(
            _THRESHOLDS[2], probabilities[:, 1], boxes, offsets, points
        )
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
            offsets, probabilities = _run(self._proposal, _scaled(np.asarray(smaller)[None]))
            rows, columns = np.nonzero(probabilities[0, 1] > _THRESHOLDS[0])
            corner = _STRIDE * np.stack([columns, rows], axis=1) + 1.0
            boxes = np.concatenate([corner, corner + _WINDOW], axis=1) / scale
            scores = probabilities[0, 1, rows, columns]
            keep = _suppress_overlaps(boxes, scores, _OVERLAP_IN_ONE_LEVEL)
            all_boxes.append(_regress(boxes, offsets[0, :, rows, columns])[keep])
            all_scores.append(scores[keep])
            scale *= _PYRAMID_FACTOR
        boxes, scores = np.concatenate(all_boxes), np.concatenate(all_scores)
        keep = _suppress_overlaps(boxes, scores, _OVERLAPS[0])
        return boxes[keep], scores[keep]


def _sessions(*names: str) -> list[Any]:
    """The networks, each on one thread: they are too small to gain from more."""
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Importing the package would import OpenCV.
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
    except Exception as error:  # onnxruntime has exceptions of its own for broken files
        raise PixelgenError(f"the face detector does not load: {error}", _HINT) from error


def _searched_size(width: int, height: int) -> tuple[int, int]:
    """The size to which a picture of width×height is resized before the search."""
    scale = min(_MAX_SIDE / max(width, height), max(_MIN_SIDE / min(width, height), 1))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _run(session: Any, batch: np.ndarray) -> list[np.ndarray]:
    """A network's outputs for pictures [N, 3, H, W]."""
    if len(batch) == 0:  # the networks do not accept empty batches
        return [np.empty((0, *output.shape[1:]), np.float32) for output in session.get_outputs()]
    (network_input,) = session.get_inputs()
    batches = [batch[i : i + _BATCH_SIZE] for i in range(0, len(batch), _BATCH_SIZE)]
    results = [session.run(None, {network_input.name: part}) for part in batches]
    return [np.concatenate(output) for output in zip(*results, strict=True)]


def _scaled(pixels: np.ndarray) -> np.ndarray:
    """0 … 255 [N, H, W, 3] → −1 … 1 [N, 3, H, W]."""
    return (pixels.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128


def _crop(picture: Image.Image, boxes: np.ndarray, size: int) -> np.ndarray:
    """`picture` cropped to square `boxes` and resized, black outside: [N, 3, size, size]."""
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    for crop, box in zip(crops, boxes.astype(int).tolist(), strict=True):
        crop[:] = np.asarray(picture.crop(box).resize((size, size), Image.Resampling.BOX))
    return _scaled(crops)


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
    those that overlap it by more than `most`, as a share of their union or of the smaller box."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.argsort(-scores, kind="stable")
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
