"""Between tensors and PIL images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

    from pixelgen.models.config import GridConfig
    from pixelgen.models.tokenizer import Tokenizer


T = TypeVar("T")
PictureCallback = Callable[[int, int], None]
"""Called with the number of pictures that are done, and of all."""


def to_images(x: Tensor, levels: int) -> list[Image.Image]:
    """Values [B, C, H, W], 0 … levels - 1, as RGB or grey pictures of 0 … 255."""
    import torch

    scaled = x if levels == 256 else (x * 255 / (levels - 1)).round()
    arrays = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(a[..., 0] if a.shape[-1] == 1 else a) for a in arrays]


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size as uint8 [N, 3, H, W]."""
    import numpy as np
    import torch

    arrays = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous()


def encode_images(
    tokenizer: Tokenizer, images: Sequence[Image.Image], progress: PictureCallback | None = None
) -> Tensor:
    """RGB pictures of the tokenizer's size → codes int64 [N, C, h, w], one picture after the other:
    the codes of a picture do not depend on the others."""
    import torch

    from pixelgen.models.likelihood import to_signed

    device = next(tokenizer.parameters()).device
    with torch.inference_mode():
        codes = [
            tokenizer.encode(to_signed(to_tensor([image]).to(device), 256)).cpu()
            for image in _counted(images, progress)
        ]
    return torch.cat(codes).clone()


def decode_images(
    tokenizer: Tokenizer, codes: Tensor, progress: PictureCallback | None = None
) -> list[Image.Image]:
    """Codes [N, C, h, w] → pictures, one after the other: a picture does not depend on the others,
    not even in how sums are rounded."""
    import torch

    from pixelgen.models.tokenizer import to_bytes

    device = next(tokenizer.parameters()).device
    with torch.inference_mode():
        pictures = [
            to_bytes(tokenizer.decode(one[None].to(device)))
            for one in _counted(list(codes), progress)
        ]
    return to_images(torch.cat(pictures), 256)


def _counted(items: Sequence[T], progress: PictureCallback | None) -> Iterator[T]:
    for done, item in enumerate(items):
        if progress is not None:
            progress(done, len(items))
        yield item


def to_grids(
    images: Sequence[Image.Image], config: GridConfig, tokenizer: Tokenizer | None
) -> Tensor:
    """RGB pictures of the right size as the grids int64 [N, C, H, W] that a model of `config`
    reads: codes where there is a tokenizer, else pixels, grey ones for one channel."""
    if tokenizer is not None:
        return encode_images(tokenizer, images)
    if config.channels == 1:
        return to_tensor([image.convert("L") for image in images])[:, :1].long()
    return to_tensor(images).long()
