"""`from_pretrained`, which all pipelines share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pixelgen.checkpoints import LoadedCheckpoint, Source, load_checkpoint
from pixelgen.pipelines.devices import pick_device

if TYPE_CHECKING:
    import torch

_P = TypeVar("_P", bound="Pretrained")


class Pretrained(ABC):
    """Carries out requests with the networks of one checkpoint, on one device."""

    @abstractmethod
    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        """Raises PixelgenError for weights of another kind."""

    @classmethod
    def from_pretrained(
        cls: type[_P],
        ref: str | Path | Source,
        device: str = "auto",
        *,
        token: str | None = None,
    ) -> _P:
        """Weights by bundled name, folder or Hub id `owner/name[@revision]`, on `device` (auto,
        cpu, cuda, cuda:N, mps). `token` is the Hub's; by default that of HF_TOKEN or `hf auth
        login`. Raises PixelgenError where weights or device are unavailable, and for weights of
        another kind."""
        target = pick_device(device)
        return cls(load_checkpoint(ref, token=token), target)
