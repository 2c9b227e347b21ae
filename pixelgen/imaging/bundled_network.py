"""Loading the small networks that the package brings along beside the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pixelgen.errors import REINSTALL_HINT, PixelgenError
from pixelgen.models.quantization import dequantize, scale_name

N = TypeVar("N", bound=nn.Module)


def load_bundled_network(path: Path, build: Callable[[], N], what: str) -> N:
    """The network that `build` makes with the tensors of `path`, some of which may be whole numbers
    with a scale, on the processor. Raises PixelgenError, which calls it `what`, if the file is
    missing or broken."""
    try:
        stored = load_file(path)
        scales = {name: stored[scale_name(name)] for name in stored if scale_name(name) in stored}
        tensors = {
            name: dequantize(tensor, scales[name]) if name in scales else tensor.float()
            for name, tensor in stored.items()
            if name not in map(scale_name, scales)
        }
        with torch.device("meta"):  # no random numbers are drawn
            network = build()
        network.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise PixelgenError(
            f"{what} does not load: {' '.join(str(error).split())}",
            REINSTALL_HINT,
        ) from error
    return network.requires_grad_(False).eval()
