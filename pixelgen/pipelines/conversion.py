"""Between tensors and PIL images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from PIL import Image

from pixelgen.errors import UsageError
from pixelgen.imaging import Photo

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pixelgen.models.config import GridConfig
    from pixelgen.models.tokenizer import Tokenizer


T = TypeVar("T")
Picture: TypeAlias = "Photo | Tensor | np.ndarray"
"""A photo, a tensor [C, H, W] or an array [H, W] or [H, W, C] of whole numbers 0 … 255."""
Pictures: TypeAlias = "Picture | Iterable[Picture]"
"""One or several; a tensor [N, C, H, W] or an array [N, H, W, C] is several."""
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


def pictures_of(pictures: Pictures) -> list[Photo]:
    """One or several photos, tensors or arrays as a list of photos; what is neither stays as it is.

    Raises UsageError for tensors and arrays of another shape, and for values that are not whole
    numbers 0 … 255.
    """
    import numpy as np
    import torch

    if isinstance(pictures, torch.Tensor):
        if pictures.is_floating_point():  # some, such as bfloat16, are unknown to NumPy
            raise _type_error("a tensor", str(pictures.dtype).removeprefix("torch."))
        array = pictures.detach().cpu().numpy()
        if array.ndim not in (3, 4):
            raise _shape_error("a tensor", "[C, H, W] or [N, C, H, W]", array)
        return _images_of("a tensor", np.moveaxis(array, -3, -1))
    if isinstance(pictures, np.ndarray):
        if pictures.ndim not in (2, 3, 4):
            raise _shape_error("an array", "[H, W], [H, W, C] or [N, H, W, C]", pictures)
        return _images_of("an array", pictures[..., None] if pictures.ndim == 2 else pictures)
    if isinstance(pictures, str) or not isinstance(pictures, Iterable):
        return [pictures]
    return [photo for each in pictures for photo in pictures_of(each)]


def one_picture(picture: Picture) -> Photo:
    """A photo, tensor or array as a photo. Raises what `pictures_of` raises, and UsageError for a
    batch."""
    pictures = pictures_of(picture)
    if len(pictures) != 1:
        raise UsageError(f"one photo is needed, not {len(pictures)}")
    return pictures[0]


def _images_of(what: str, array: np.ndarray) -> list[Photo]:
    """[H, W, C] or [N, H, W, C] → pictures."""
    import numpy as np

    array = array if array.ndim == 4 else array[None]
    if array.shape[-1] not in (1, 3) or 0 in array.shape[1:]:
        raise UsageError(f"{what} must have 1 or 3 channels and some pixels, not {array.shape[-1]} "
                         f"channels of {array.shape[2]}×{array.shape[1]} pixels")  # fmt: skip
    if not np.issubdtype(array.dtype, np.integer):
        raise _type_error(what, str(array.dtype))
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        raise UsageError(
            f"{what} must hold whole numbers 0 … 255, not {array.min()} … {array.max()}"
        )
    narrow = np.ascontiguousarray(array.astype(np.uint8))
    return [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in narrow]


def _type_error(what: str, kind: str) -> UsageError:
    return UsageError(
        f"{what} must hold whole numbers 0 … 255, not {kind}",
        "multiply values 0 … 1 by 255, round them, and convert them to uint8",
    )


def _shape_error(what: str, shapes: str, array: np.ndarray) -> UsageError:
    return UsageError(f"{what} of pictures must have the shape {shapes}, not {array.shape}")


def encode_images(
    tokenizer: Tokenizer,
    images: Sequence[Image.Image],
    progress: PictureCallback | None = None,
    code_steps: int = 0,
) -> Tensor:
    """RGB pictures of the tokenizer's size → codes int64 [N, C, h, w], one picture after the other:
    the codes of a picture do not depend on the others. They are improved in `code_steps` steps
    (`optimise_codes`)."""
    import torch

    from pixelgen.models.likelihood import to_signed
    from pixelgen.pipelines.optimised_codes import optimise_codes
    from pixelgen.sampling.threads import threads

    device = next(tokenizer.parameters()).device
    codes = []
    # The gradients of one picture: more threads gain little, and rounding depends on their number.
    with threads(1) if code_steps else nullcontext():
        for image in _counted(images, progress):
            picture = to_signed(to_tensor([image]).to(device), 256)
            codes.append(optimise_codes(tokenizer, picture, code_steps).cpu())
    return torch.cat(codes)


def decode_images(
    tokenizer: Tokenizer,
    codes: Tensor,
    progress: PictureCallback | None = None,
    smooth: bool = True,
) -> list[Image.Image]:
    """Codes [N, C, h, w] → pictures, one after the other: a picture does not depend on the others,
    not even in how sums are rounded. `smooth` is that of `Tokenizer.decode`."""
    import torch

    from pixelgen.models.tokenizer import to_bytes

    device = next(tokenizer.parameters()).device
    with torch.inference_mode():
        pictures = [
            to_bytes(tokenizer.decode(one[None].to(device), smooth))
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
