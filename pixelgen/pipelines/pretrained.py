"""`from_pretrained`, which all pipelines share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pixelgen.checkpoints import LoadedCheckpoint, Source, load_checkpoint
from pixelgen.errors import UsageError
from pixelgen.pipelines.devices import pick_device

if TYPE_CHECKING:
    import torch

_P = TypeVar("_P", bound="Pretrained")


class Pretrained(ABC):
    """What is made of weights, and works on a device."""

    default_weights: ClassVar[str] = ""
    """Bundled weights that are taken where none are named; empty: there are none for this."""

    @abstractmethod
    def __init__(self, checkpoint: LoadedCheckpoint, device: torch.device | str = "cpu") -> None:
        """Raises PixelgenError for weights of another kind."""

    @classmethod
    def from_pretrained(
        cls: type[_P],
        ref: str | Path | Source | None = None,
        device: str = "auto",
        *,
        token: str | None = None,
    ) -> _P:
        """Weights by bundled name, folder or Hub id `owner/name[@revision]`, else the default ones,
        on `device` (auto, cpu, cuda, cuda:N, mps). `token` is one of the Hub's, else that of
        HF_TOKEN or `hf auth login` is used. Raises PixelgenError where either is not to be had, and
        for weights that cannot do what this is for."""
        target = pick_device(device)
        if ref is None:
            ref = cls.default_weights
            if not ref:
                raise UsageError(f"{cls.__name__} needs the name of weights", "such as imagenet64")
        return cls(load_checkpoint(ref, token=token), target)
