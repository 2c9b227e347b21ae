"""Encodes pictures as grids of codes, and decodes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.errors import InputError
from pixelgen.imaging import Fit, Photo, load_photo, square
from pixelgen.pipelines.codes_file import CodesFile
from pixelgen.pipelines.conversion import PictureCallback, decode_images, encode_images
from pixelgen.pipelines.drawing import check_whole
from pixelgen.pipelines.pretrained import Pretrained
from pixelgen.pipelines.reconstruct_request import default_code_steps

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class CodecPipeline(Pretrained):
    """Encodes pictures by the tokenizer of the weights, and decodes codes."""

    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        self.checkpoint = checkpoint
        self.device = device
        self.codec = checkpoint.codec.to(device)

    def encode(
        self,
        images: Sequence[Photo],
        fit: Fit = "crop",
        progress: PictureCallback | None = None,
        code_steps: int = 0,
    ) -> Tensor:
        """Pictures or paths, of any size and mode, made square as `fit` says → codes int64
        [N, C, h, w] of 0 … levels - 1, improved in `code_steps` steps (`optimise_codes`). Those of
        a picture do not depend on the others. `progress(done, total)` is called before every
        picture. Raises UsageError for a negative number of steps."""
        import torch

        code_steps = check_whole("code_steps", code_steps, 0)
        if not images:
            return torch.empty((0, *self.codec.config.code_shape), dtype=torch.int64)
        size = self.codec.config.size
        squares = [square(load_photo(image), size, fit) for image in images]
        return encode_images(self.codec, squares, progress, code_steps)

    def encode_file(
        self,
        images: Sequence[Photo],
        fit: Fit = "crop",
        *,
        weights: str = "",
        files: Sequence[str] = (),
        progress: PictureCallback | None = None,
        code_steps: int = 0,
    ) -> CodesFile:
        """What `encode` returns, with the metadata of a file of codes: the names of the pictures'
        `files`, and the reference `weights` by which the tokenizer is loaded again."""
        return CodesFile(
            codes=self.encode(images, fit, progress, code_steps),
            levels=self.codec.config.levels,
            weights=weights,
            revision=self.checkpoint.revision,
            files=tuple(files),
        )

    def decode(
        self, codes: Tensor | CodesFile, progress: PictureCallback | None = None
    ) -> list[Image.Image]:
        """Codes, whole numbers [N, C, h, w] → RGB pictures of the tokenizer's size. One does not
        depend on the others. `progress(done, total)` is called before every picture. Raises
        InputError for codes of another tokenizer."""
        if isinstance(codes, CodesFile):
            self._check_levels(codes)
            codes = codes.codes
        whole = self._checked(codes)
        return decode_images(self.codec, whole, progress) if len(whole) else []

    def reconstruct(
        self, images: Sequence[Photo], fit: Fit = "crop", code_steps: int | None = None
    ) -> list[Image.Image]:
        """Pictures encoded and decoded again; `code_steps` None: `default_code_steps`."""
        if code_steps is None:
            code_steps = default_code_steps(self.checkpoint.config)
        return self.decode(self.encode(images, fit, code_steps=code_steps))

    def _check_levels(self, stored: CodesFile) -> None:
        levels, name = self.codec.config.levels, self.checkpoint.name
        if stored.levels not in (None, levels):
            raise InputError(
                f"codes of {stored.levels} levels do not fit {name}, which has {levels}",
            )

    def _checked(self, codes: object) -> Tensor:
        """`codes` as int64. Raises InputError unless they are this tokenizer's."""
        import torch

        config, name = self.codec.config, self.checkpoint.name
        if not isinstance(codes, torch.Tensor):
            kind = type(codes).__name__
            raise InputError(f"codes are a tensor, not {kind}")
        if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
            raise InputError(f"codes are whole numbers, not {codes.dtype}")
        if codes.ndim != 4 or tuple(codes.shape[1:]) != config.code_shape:
            needed = ", ".join(map(str, config.code_shape))
            raise InputError(
                f"codes {list(codes.shape)} do not fit {name}, which takes [N, {needed}]",
            )
        codes = codes.to(torch.int64)
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < config.levels:
            raise InputError(
                f"codes of {int(codes.min())} … {int(codes.max())} do not fit {name}, "
                f"whose codes are 0 … {config.levels - 1}",
            )
        return codes
