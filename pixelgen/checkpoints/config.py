"""`config.json`: everything needed to rebuild a model and to use it. No torch here."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

from pixelgen._version import __version__
from pixelgen.checkpoints.classification import ClassificationScores
from pixelgen.errors import PixelgenError, UsageError, counted, install_hint
from pixelgen.files import read_file
from pixelgen.json_text import check_unicode, finite, parse_json
from pixelgen.labels import ClassCatalogue, imagenet, imagenet_catalogue
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
"""The version of `config.json` that is written, and the latest that is read."""
CONFIG_FILE = "config.json"
RUN_STATES = ("state.safetensors", "state.previous.safetensors")
"""Files of a training run, the newer one first; its folder is not one of weights."""
Kind = Literal[
    "pixelcnn", "coded-pixelcnn", "tokenizer", "face-embedder", "autoencoder", "pixelvae"
]
"""What a checkpoint holds; "coded-pixelcnn" is a model of grids of codes with its tokenizer."""
_NAMES = {"pixelcnn": "PixelCNN", "coded-pixelcnn": "PixelCNN of codes", "pixelvae": "PixelVAE"}
"""What messages call kinds that are spelt otherwise in `config.json`."""
LARGEST_CONFIG = 2**22
"""Bytes; a larger file is not read."""
LARGEST_IMAGE = 2**24
"""Values of an image, all channels."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CheckpointConfig:
    """The content of `config.json`."""

    model: AnyConfig
    """The network."""
    tokenizer: TokenizerConfig | None = None
    """Decodes the grids of codes that `model` samples; None: the model samples pixels."""
    embedder: FaceEmbedderConfig | None = None
    """Computes the model's condition vector from a face; None: the model has no such vector."""
    others: tuple[AutoencoderConfig, ...] = ()
    """Auto-encoders beside `model`, each of a larger bottleneck than the one before."""
    labels: tuple[int, ...] = ()
    """Class number of each row of the class condition; empty: no classes."""
    class_names: tuple[str, ...] = ()
    """The name of each of `labels`; empty: they are ILSVRC class indices."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    """Defaults for sampling."""
    data: dict[str, Any] = field(default_factory=dict)
    """What the weights were trained on; free keys."""
    training: dict[str, Any] = field(default_factory=dict)
    """How the weights were trained; free keys: recipe, steps, pictures, bits per dimension."""
    pixelgen_version: str = __version__
    """The version that wrote the file."""
    sha256: dict[str, str] = field(default_factory=dict)
    """The sha256 of each tensor file, in hexadecimal; files without one are not compared."""

    def __post_init__(self) -> None:
        if any(type(i) is not int or i < 0 for i in self.labels):
            raise ValueError("labels must be whole numbers from 0")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if self.class_names and len(self.class_names) != len(self.labels):
            raise ValueError(
                f"{counted(len(self.class_names), 'class name')} for "
                f"{counted(len(self.labels), 'label')}"
            )
        if any(type(name) is not str or not name.strip() for name in self.class_names):
            raise ValueError("class_names must be non-empty strings")
        if len(self.labels) != self.model.classes:
            raise ValueError(
                f"{counted(len(self.labels), 'label')} for a model of "
                f"{counted(self.model.classes, 'class', plural='classes')}"
            )
        channels, height, width = self.image_shape
        if channels * height * width > LARGEST_IMAGE:
            raise ValueError(f"images of {width}×{height} pixels are too large for a model")
        if self.others:
            self._check_others()
        if not all(isinstance(d, str) and _SHA256.fullmatch(d) for d in self.sha256.values()):
            raise ValueError("sha256 must hold 64 hexadecimal digits for every file")
        if self.tokenizer is not None:
            if not isinstance(self.model, GridConfig):
                raise ValueError(f"{self.kind_with_article} cannot have a tokenizer beside it")
            model, codes = self.model, self.tokenizer
            grid = (model.levels, model.channels, model.height, model.width)
            if grid != (codes.levels, *codes.code_shape):
                raise ValueError(
                    f"the model's grid is {grid} (levels, channels, rows, columns), "
                    f"the tokenizer's {(codes.levels, *codes.code_shape)}"
                )
        if self.embedder is not None:
            vector = self.model.vector
            if vector != self.embedder.embedding:
                raise ValueError(
                    f"embeddings of {self.embedder.embedding} dimensions do not fit a model whose "
                    f"condition vector has {vector}"
                )

    def _check_others(self) -> None:
        """Raises ValueError for auto-encoders that cannot share a folder."""
        if not isinstance(self.model, AutoencoderConfig) or self.has_prior:
            raise ValueError(f"{self.kind_with_article} cannot have auto-encoders beside it")
        if any(a >= b for a, b in pairwise(self.bottlenecks)):
            raise ValueError("the bottlenecks must increase from one auto-encoder to the next")
        if any(other.size != self.model.size for other in self.others):
            raise ValueError("auto-encoders of one folder must have the same image size")

    @property
    def classes(self) -> ClassCatalogue:
        """The classes that numbers and names refer to."""
        if self.class_names:
            return ClassCatalogue.named(self.labels, self.class_names)
        return imagenet_catalogue()

    @property
    def has_imagenet_classes(self) -> bool:
        """Whether the classes are classes of ILSVRC, which a classifier of these can judge."""
        known = len(imagenet())
        return bool(self.labels) and not self.class_names and max(self.labels) < known

    @property
    def classification(self) -> ClassificationScores | None:
        """How far a ranking of the classes by likelihood can be trusted; None if not measured."""
        return ClassificationScores.from_training(self.training)

    @property
    def kind(self) -> Kind:
        """What these weights are."""
        kind = self.model.kind
        coded = kind == "pixelcnn" and self.tokenizer is not None
        return "coded-pixelcnn" if coded else cast(Kind, kind)

    @property
    def kind_with_article(self) -> str:
        """The kind with its article, for messages: "an autoencoder"."""
        name = _NAMES.get(self.kind, self.kind)
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    @property
    def can_sample(self) -> bool:
        """Whether these weights sample pictures without an input picture."""
        return self.kind in ("pixelcnn", "coded-pixelcnn") or self.has_prior

    @property
    def has_prior(self) -> bool:
        """Whether these weights draw a latent h from a prior, then the picture given h: the
        likelihood of a picture then has only a bound."""
        return self.kind == "pixelvae"

    @property
    def can_encode(self) -> bool:
        """Whether these weights encode pictures as grids of codes, and decode them."""
        return self.kind in ("coded-pixelcnn", "tokenizer")

    def cannot_sample_error(self, name: str) -> UsageError:
        """The error for sampling from the weights `name`, which cannot (`can_sample`)."""
        if self.bottlenecks:
            return UsageError(
                f"{name} is {self.kind_with_article}: it samples only reconstructions of a picture",
                "use ReconstructPipeline",
                code="only-reconstructs",
            )
        return UsageError(f"{name} is {self.kind_with_article}: it cannot sample pictures")

    @property
    def bottlenecks(self) -> tuple[int, ...]:
        """Bottlenecks of the auto-encoders, the smallest first; empty for other weights."""
        return tuple(size for config in self._autoencoders() for size in config.bottlenecks)

    @property
    def likelihood_unit(self) -> str:
        """Unit of the model's likelihood, per value that it samples."""
        return "bits/dim" if self.tokenizer is None else "bits/code"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of an image."""
        config = self.tokenizer or self.model
        return config.channels, config.height, config.width

    @property
    def unconditional(self) -> bool:
        """Whether the model knows pictures without a class, a code or a vector: it has none, or was
        trained with some of them left out (`class_dropout` in `training`)."""
        if not (self.labels or self.bottlenecks or self.model.vector):
            return True
        return all(run.get("class_dropout", 1) != 0 for run in self._trainings())

    def training_of(self, bottleneck: int) -> dict[str, Any]:
        """How the auto-encoder of this bottleneck was trained, as far as `training` says."""
        for config, training in zip(self._autoencoders(), self._trainings(), strict=False):
            if bottleneck in config.bottlenecks:
                return training
        return {}

    def _autoencoders(self) -> list[AutoencoderConfig]:
        """The auto-encoders, the smallest bottleneck first; empty for other weights."""
        return [c for c in (self.model, *self.others) if isinstance(c, AutoencoderConfig)]

    def _trainings(self) -> list[dict[str, Any]]:
        """How the model and then each of the others was trained."""
        others = self.training.get("others")
        runs = others if isinstance(others, list) else []
        return [self.training, *(run if isinstance(run, dict) else {} for run in runs)]

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
            **({"class_names": list(self.class_names)} if self.class_names else {}),
            "data": self.data,
            "sampling": self.sampling.to_dict(),
            "training": self.training,
            **({"sha256": self.sha256} if self.sha256 else {}),
        }

    def to_json(self) -> bytes:
        """The content of `config.json`."""
        text = json.dumps(finite(self.to_dict()), indent=2, ensure_ascii=False) + "\n"
        # Names of files, which the history may hold, need not be valid text.
        return text.encode(errors="replace")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckpointConfig:
        """Inverse of `to_dict`. Raises ValueError that says what is wrong."""
        version = values.get("format")
        if type(version) is int and version > FORMAT:
            raise NewerFormatError(
                f"format {version} is newer than this pixelgen, which reads {FORMAT}"
            )
        if version != FORMAT:
            raise ValueError(f'"format" must be {FORMAT}, not {version!r}')
        for name, (json_type, description) in _JSON_TYPES.items():
            if not isinstance(values.get(name, json_type()), json_type):
                raise ValueError(f'"{name}" must be {description}')
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
            others=tuple(_autoencoder_config(other) for other in values.get("others", ())),
            labels=tuple(values.get("labels", ())),
            class_names=tuple(values.get("class_names", ())),
            sampling=SamplingOptions.from_dict(values.get("sampling", {})),
            data=values.get("data", {}),
            training=values.get("training", {}),
            pixelgen_version=values.get("pixelgen_version", ""),
            sha256=values.get("sha256", {}),
        )
        if values.get("kind") != config.kind:
            raise ValueError(f'"kind" must be "{config.kind}", not {values.get("kind")!r}')
        return config


def class_labels(
    classes: int, labels: Sequence[int] = (), names: Sequence[str] = ()
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """`labels` and `class_names` of a model of so many classes: where both are empty, its classes
    are 0, 1, … and called "class 0", "class 1" …; names without labels are those of 0, 1, …"""
    if not labels and (names or classes):
        labels = range(len(names) or classes)
        names = names or [f"class {label}" for label in labels]
    return tuple(labels), tuple(names)


class NewerFormatError(ValueError):
    """A `config.json` that a later version of pixelgen wrote."""


def _autoencoder_config(values: object) -> AutoencoderConfig:
    if not isinstance(values, dict):
        raise ValueError('"others" must hold objects')
    return AutoencoderConfig.from_dict(values)


_JSON_TYPES: dict[str, tuple[type, str]] = {
    "model": (dict, "an object"),
    "tokenizer": (dict, "an object"),
    "embedder": (dict, "an object"),
    "others": (list, "a list"),
    "labels": (list, "a list"),
    "class_names": (list, "a list"),
    "sampling": (dict, "an object"),
    "data": (dict, "an object"),
    "training": (dict, "an object"),
    "sha256": (dict, "an object"),
    "pixelgen_version": (str, "a string"),
}
"""The JSON type of every key, and its name in messages."""


def _library(values: Mapping[str, Any]) -> str:
    """The library that wrote a `config.json` without our format, or nothing if that is unclear."""
    if any(key in values for key in ("_class_name", "_diffusers_version")):
        return "diffusers"
    if "model_type" in values or "transformers_version" in values:
        return "transformers"
    return "timm" if "pretrained_cfg" in values else ""


def read_config(folder: Path, name: str) -> CheckpointConfig:
    """The configuration in `folder`, of the weights called `name`. Raises PixelgenError if it is
    missing or invalid."""
    path, hint = folder / CONFIG_FILE, ""
    try:
        values = parse_json(read_file(path, LARGEST_CONFIG))
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        if "format" not in values and (library := _library(values)):
            raise PixelgenError(
                f"weights {name}: {CONFIG_FILE} is of {library}, not of pixelgen",
                "only weights that pixelgen exported can be used",
            )
        check_unicode(values)
        return CheckpointConfig.from_dict(values)
    except json.JSONDecodeError as error:
        why = f"not valid JSON, line {error.lineno} column {error.colno}: {error.msg}"
    except FileNotFoundError:
        if any((folder / state).is_file() for state in RUN_STATES):
            raise PixelgenError(
                f"weights {name}: {folder} is the folder of a training run, not of weights",
                "export the run, and give the folder that it is exported to",
                code="run-as-weights",
            ) from None
        raise PixelgenError(
            f"weights {name}: no {CONFIG_FILE} in {folder}",
            f"a checkpoint folder holds {CONFIG_FILE} and model.safetensors",
        ) from None
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EFBIG:
            why = "larger than a configuration can be"
    except NewerFormatError as error:
        why, hint = str(error), f"`git pull`, then {install_hint()}"
    except (ValueError, TypeError) as error:
        why = str(error)
    raise PixelgenError(f"weights {name}: {CONFIG_FILE}: {why}", hint)
