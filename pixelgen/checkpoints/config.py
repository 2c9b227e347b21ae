"""`config.json`: everything that is needed to rebuild a model and to use it. No torch here."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pixelgen._version import __version__
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import read_file
from pixelgen.models.config import (
    AnyConfig,
    AutoencoderConfig,
    FaceEmbedderConfig,
    GridConfig,
    TokenizerConfig,
    config_from_dict,
)
from pixelgen.sampling import SamplingOptions

FORMAT = 1
CONFIG_FILE = "config.json"
Kind = Literal["pixelcnn", "coded-pixelcnn", "tokenizer", "face-embedder", "autoencoder"]
LARGEST_CONFIG = 2**22
"""Bytes; a larger file is not read."""
LARGEST_PICTURE = 2**24
"""Values of a picture, all channels."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CheckpointConfig:
    """The content of `config.json`."""

    model: AnyConfig
    """The network."""
    tokenizer: TokenizerConfig | None = None
    """What makes pictures of the grids of codes that `model` draws; None: it draws pictures."""
    embedder: FaceEmbedderConfig | None = None
    """What makes the model's condition vector of a face; None: it has none, or it comes from
    elsewhere."""
    others: tuple[AutoencoderConfig, ...] = ()
    """Auto-encoders beside `model`, each of a larger bottleneck than the one before."""
    labels: tuple[int, ...] = ()
    """Class index (ILSVRC) that each row of the class condition stands for; empty: no classes."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    """How the weights are sampled where the user does not say."""
    data: dict[str, Any] = field(default_factory=dict)
    """What the weights were trained on, free."""
    training: dict[str, Any] = field(default_factory=dict)
    """How the weights were trained, free: recipe, steps, pictures, bits per dimension."""
    pixelgen_version: str = __version__
    """The version that wrote the file."""
    sha256: dict[str, str] = field(default_factory=dict)
    """The sha256 of each tensor file, in hexadecimal; files without one are not compared."""

    def __post_init__(self) -> None:
        if any(type(i) is not int or i < 0 for i in self.labels):
            raise ValueError("labels must be whole numbers from 0")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from one another")
        if len(self.labels) != self.model.classes:
            raise ValueError(
                f"{len(self.labels)} labels for a model of {self.model.classes} classes"
            )
        channels, height, width = self.picture
        if channels * height * width > LARGEST_PICTURE:
            raise ValueError(f"pictures of {width}×{height} pixels are larger than any model's")
        if self.others:
            self._check_others()
        if not all(isinstance(d, str) and _SHA256.fullmatch(d) for d in self.sha256.values()):
            raise ValueError("sha256 must hold 64 hexadecimal digits for every file")
        if self.tokenizer is not None:
            if not isinstance(self.model, GridConfig):
                raise ValueError(f"{self.called} has no tokenizer of its own")
            model, codes = self.model, self.tokenizer
            grid = (model.levels, model.channels, model.height, model.width)
            if grid != (codes.levels, *codes.code_shape):
                raise ValueError(
                    f"the model's grid is {grid} (levels, channels, rows, columns), "
                    f"the tokenizer's {(codes.levels, *codes.code_shape)}"
                )
        if self.embedder is not None:
            wanted = self.model.vector
            if wanted != self.embedder.embedding:
                raise ValueError(
                    f"embeddings of {self.embedder.embedding} numbers do not fit a model whose "
                    f"condition vector has {wanted}"
                )

    def _check_others(self) -> None:
        """Raises ValueError for auto-encoders that do not belong together."""
        if not isinstance(self.model, AutoencoderConfig):
            raise ValueError(f"{self.called} has no other auto-encoders beside it")
        if any(a >= b for a, b in pairwise(self.bottlenecks)):
            raise ValueError("the bottlenecks must grow from one auto-encoder to the next")
        if any(other.size != self.model.size for other in self.others):
            raise ValueError("auto-encoders of one folder must take in pictures of one size")

    @property
    def kind(self) -> Kind:
        """Of what these weights are."""
        if isinstance(self.model, AutoencoderConfig):
            return "autoencoder"
        if isinstance(self.model, TokenizerConfig):
            return "tokenizer"
        if isinstance(self.model, FaceEmbedderConfig):
            return "face-embedder"
        return "pixelcnn" if self.tokenizer is None else "coded-pixelcnn"

    @property
    def called(self) -> str:
        """The kind as messages call it."""
        return f"an {self.kind}" if self.kind == "autoencoder" else f"a {self.kind}"

    def refusal(self, name: str) -> PixelgenError:
        """The error where the weights `name`, which do not draw, are asked to."""
        if self.bottlenecks:
            why = "it draws from a picture alone"
            return UsageError(f"{name} is {self.called}: {why}", "pixelgen reconstruct")
        return UsageError(f"{name} is {self.called}: it draws nothing")

    @property
    def bottlenecks(self) -> tuple[int, ...]:
        """Of the auto-encoders, the smallest first; none for other weights."""
        every = (self.model, *self.others)
        return tuple(
            size for c in every if isinstance(c, AutoencoderConfig) for size in c.bottlenecks
        )

    @property
    def draws(self) -> bool:
        """Whether these weights draw without being shown a picture to draw anew."""
        return self.kind in ("pixelcnn", "coded-pixelcnn")

    @property
    def has_codec(self) -> bool:
        """Whether these weights turn pictures into codes and back."""
        return self.kind in ("coded-pixelcnn", "tokenizer")

    @property
    def unit(self) -> str:
        """Of the likelihood of what the model draws, per value."""
        return "bits/dim" if self.tokenizer is None else "bits/code"

    @property
    def picture(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a picture."""
        seen = self.tokenizer or self.model
        return seen.channels, seen.height, seen.width

    @property
    def unconditional(self) -> bool:
        """Whether the model can draw without a class or a code: it has none, or was trained with
        some of them left out (`class_dropout` in `training`)."""
        if not self.labels and not self.bottlenecks:
            return True
        return all(run.get("class_dropout", 1) != 0 for run in self._trainings())

    def training_of(self, bottleneck: int) -> dict[str, Any]:
        """How the auto-encoder of this bottleneck was trained, as far as `training` tells."""
        every = (self.model, *self.others)
        for config, told in zip(every, self._trainings(), strict=False):
            if isinstance(config, AutoencoderConfig) and bottleneck in config.bottlenecks:
                return told
        return {}

    def _trainings(self) -> list[dict[str, Any]]:
        """What `training` tells of the model and then of each of the others."""
        others = self.training.get("others")
        beside = others if isinstance(others, list) else []
        return [self.training, *(run if isinstance(run, dict) else {} for run in beside)]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary from which `from_dict` rebuilds this."""
        return {
            "format": FORMAT,
            "pixelgen_version": self.pixelgen_version,
            "kind": self.kind,
            "model": self.model.to_dict(),
            **({} if self.tokenizer is None else {"tokenizer": self.tokenizer.to_dict()}),
            **({} if self.embedder is None else {"embedder": self.embedder.to_dict()}),
            **({} if not self.others else {"others": [other.to_dict() for other in self.others]}),
            "labels": list(self.labels),
            "data": self.data,
            "sampling": self.sampling.to_dict(),
            "training": self.training,
            **({"sha256": self.sha256} if self.sha256 else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckpointConfig:
        """Inverse of `to_dict`. Raises ValueError that says what is wrong."""
        version = values.get("format")
        if type(version) is int and version > FORMAT:
            raise ValueError(f"format {version} is newer than this pixelgen, which reads {FORMAT}")
        if version != FORMAT:
            raise ValueError(f'"format" must be {FORMAT}, not {version!r}')
        for name, (kind, called) in _PARTS.items():
            if not isinstance(values.get(name, kind()), kind):
                raise ValueError(f'"{name}" must be {called}')
        if "model" not in values:
            raise ValueError('"model" is missing')
        config = cls(
            model=config_from_dict(values["model"]),
            tokenizer=(
                TokenizerConfig.from_dict(values["tokenizer"]) if "tokenizer" in values else None
            ),
            embedder=(
                FaceEmbedderConfig.from_dict(values["embedder"]) if "embedder" in values else None
            ),
            others=tuple(_other(other) for other in values.get("others", ())),
            labels=tuple(values.get("labels", ())),
            sampling=SamplingOptions.from_dict(values.get("sampling", {})),
            data=values.get("data", {}),
            training=values.get("training", {}),
            pixelgen_version=values.get("pixelgen_version", ""),
            sha256=values.get("sha256", {}),
        )
        if values.get("kind") != config.kind:
            raise ValueError(f'"kind" must be "{config.kind}", not {values.get("kind")!r}')
        return config


def _other(values: object) -> AutoencoderConfig:
    if not isinstance(values, dict):
        raise ValueError('"others" must hold objects')
    return AutoencoderConfig.from_dict(values)


_PARTS: dict[str, tuple[type, str]] = {
    "model": (dict, "an object"),
    "tokenizer": (dict, "an object"),
    "embedder": (dict, "an object"),
    "others": (list, "a list"),
    "labels": (list, "a list"),
    "sampling": (dict, "an object"),
    "data": (dict, "an object"),
    "training": (dict, "an object"),
    "sha256": (dict, "an object"),
    "pixelgen_version": (str, "a string"),
}


def read_config(folder: Path, name: str) -> CheckpointConfig:
    """The configuration of the weights called `name` in `folder`; PixelgenError if it is broken."""
    path = folder / CONFIG_FILE
    try:
        values = json.loads(read_file(path, LARGEST_CONFIG).decode("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        return CheckpointConfig.from_dict(values)
    except json.JSONDecodeError as error:
        why = f"not valid JSON, line {error.lineno} column {error.colno}: {error.msg}"
    except FileNotFoundError:
        raise PixelgenError(
            f"weights {name}: no {CONFIG_FILE} in {folder}",
            "a checkpoint folder holds config.json and model.safetensors",
        ) from None
    except UnicodeDecodeError:
        why = "not UTF-8 text"
    except RecursionError:
        why = "nested too deeply"
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EFBIG:
            why = "larger than a configuration can be"
    except (ValueError, TypeError) as error:
        why = str(error)
    hint = "pip install -U pixelgen" if "newer than this" in why else ""
    raise PixelgenError(f"weights {name}: {CONFIG_FILE}: {why}", hint)
