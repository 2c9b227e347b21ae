"""A task: what a kind of network needs in order to be trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pixelgen.checkpoints import LoadedCheckpoint
from pixelgen.data import ImageData
from pixelgen.errors import PixelgenError
from pixelgen.models.conditioning import Condition
from pixelgen.models.config_base import Config
from pixelgen.training.recipe import Recipe
from pixelgen.training.training_data import TrainingData


@dataclass(frozen=True)
class RunContext:
    """What a run offers while its data are prepared."""

    folder: Path
    """The run's folder, for what is computed once."""
    note: Callable[[str], None]
    """Takes a line for the user."""
    device: torch.device
    """Where networks that look at all images run."""
    resumed: bool = False
    """The run resumes: results in the folder are reused whatever became of their sources."""


@dataclass(frozen=True)
class WarmStart:
    """The weights that a run starts from."""

    weights: dict[str, Tensor]
    """All tensors of the network by name, float32."""
    history: dict[str, Any]
    """How they were trained ("training" of a configuration), but for new parts."""
    unchanged: bool
    """The weights are those of the checkpoint: nothing was added or replaced."""


@dataclass(frozen=True)
class CardText:
    """What a model card says of a kind of network where the recipe does not say it."""

    summary: str
    """What the model does, in a sentence."""
    sheet: str
    """What `Task.show` draws."""
    usage: str
    """A command that uses the weights."""


class Task(ABC):
    """What one kind of network minimises, prepares, measures and shows, and how it starts from the
    weights of another run."""

    config_type: ClassVar[type[Config]]
    """The configuration of its networks."""
    loss: ClassVar[str]
    """Name of the loss in the logs."""
    loss_unit: ClassVar[str]
    """Unit of the loss, for messages."""
    figure: ClassVar[str]
    """Name of the held-out figure in the logs, and in `held_out_…` of a configuration."""
    figure_unit: ClassVar[str]
    """Unit of the held-out figure, for messages and cards."""
    figure_is_bound: ClassVar[bool] = False
    """Whether the held-out figure is an upper bound of the bits per dimension of pictures."""
    critic: nn.Module | None = None
    """A network that is trained beside the model and not exported."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @classmethod
    def fits(cls, recipe: Recipe) -> bool:
        """Whether this is the task of a recipe."""
        return isinstance(recipe.model, cls.config_type)

    @classmethod  # noqa: B027
    def check_cold_start(cls, recipe: Recipe) -> None:
        """Raises UsageError for a recipe that must start from other weights."""

    @classmethod
    @abstractmethod
    def card_text(
        cls, recipes: Sequence[Recipe], name: str, size: str, classes: Sequence[int | str]
    ) -> CardText:
        """For the weights `name`, trained by `recipes`, for images of `size`, of `classes`: their
        names, or their numbers where they are those of ILSVRC."""

    @classmethod
    def held_out_condition(cls, recipe: Recipe) -> str:
        """What the held-out figure is conditioned on, for a card; empty without a condition."""
        return ""

    @abstractmethod
    def prepare(self, data: ImageData, run: RunContext) -> TrainingData:
        """What is trained on. Raises PixelgenError for images that do not fit the network."""

    @abstractmethod
    def objective(self, model: nn.Module) -> nn.Module:
        """A module: what `Batch.inputs` returns → the loss."""

    @abstractmethod
    def held_out(self, model: nn.Module, images: Tensor, condition: Condition | None) -> Tensor:
        """The figure of each held-out image, float64 [N], of uint8 [N, C, H, W]; or of all, [1]."""

    @abstractmethod
    def show(self, model: nn.Module, held: Tensor, condition: Condition | None, path: Path) -> None:
        """Writes a sheet of images for the user; `held` uint8 [N, C, H, W] are the held-out images
        and `condition` is theirs."""

    @abstractmethod
    def warm_start(
        self, checkpoint: LoadedCheckpoint, model: nn.Module, data: TrainingData
    ) -> WarmStart:
        """The weights of a checkpoint, or of a part of it, in the shape of `model`, with what
        `model` has beyond them. Raises PixelgenError for a checkpoint without such a part."""

    def check_network(
        self, checkpoint: LoadedCheckpoint, network: nn.Module, model: nn.Module
    ) -> None:
        """Raises PixelgenError if a run of `model` cannot start from `network`."""
        if not isinstance(network, type(model)):
            raise PixelgenError(
                f"{checkpoint.name} is {checkpoint.config.kind_with_article}: "
                f"a {self.recipe.model.model} cannot start from it"
            )


def float_weights(network: nn.Module) -> dict[str, Tensor]:
    """All tensors of a network by name, float32."""
    return {name: tensor.float() for name, tensor in network.state_dict().items()}


def shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """By name: networks of equal shapes are of one build."""
    return {name: tensor.shape for name, tensor in weights.items()}


def check_image_size(data: ImageData, recipe: Recipe, kind: str) -> None:
    """Raises PixelgenError for images that are not of the size of the network, which messages call
    `kind`."""
    config = recipe.model
    shape, expected = image_shape(data, recipe), (config.channels, config.height, config.width)
    if shape != expected:
        raise PixelgenError(
            f"the data is {shape}, the {kind} takes {expected} (channels, rows, columns)",
            "set data.size, data.crop and model.size to one size",
        )


def image_shape(data: ImageData, recipe: Recipe) -> tuple[int, int, int]:
    """Channels, rows and columns of the crop of the images that is trained on."""
    channels, height, width = data.images.shape[1:]
    return channels, recipe.data.crop or height, recipe.data.crop or width
