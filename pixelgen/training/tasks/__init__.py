"""What there is to train: a file for every kind of network, and the registry of them."""

from __future__ import annotations

from pixelgen.training.recipe import Recipe
from pixelgen.training.tasks.autoencoder import AutoencoderTask, EncoderTask
from pixelgen.training.tasks.base import CardText, RunContext, Task, WarmStart
from pixelgen.training.tasks.face_embedder import FaceEmbedderTask
from pixelgen.training.tasks.likelihood import CodesLikelihoodTask, LikelihoodTask
from pixelgen.training.tasks.pixelvae import PixelVAETask
from pixelgen.training.tasks.tokenizer import TokenizerTask

__all__ = ["TASKS", "CardText", "RunContext", "Task", "WarmStart", "kind_of_task", "task_of"]

TASKS: tuple[type[Task], ...] = (
    LikelihoodTask,
    CodesLikelihoodTask,
    TokenizerTask,
    FaceEmbedderTask,
    AutoencoderTask,
    EncoderTask,
    PixelVAETask,
)
"""Each recipe fits exactly one of them."""


def kind_of_task(recipe: Recipe) -> type[Task]:
    """The task that fits a recipe."""
    (kind,) = (task for task in TASKS if task.fits(recipe))
    return kind


def task_of(recipe: Recipe) -> Task:
    """The task of a recipe, ready to be prepared."""
    return kind_of_task(recipe)(recipe)
