"""A training run, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelgen.checkpoints.instantiate import network_for
from pixelgen.errors import PixelgenError
from pixelgen.training.holdout_leakage import holdout_may_leak
from pixelgen.training.recipe import Recipe, recipe_from_dict, recipe_text
from pixelgen.training.state import RunState, load_weights, part_of, read_state
from pixelgen.training.tasks import kind_of_task

if TYPE_CHECKING:
    from pixelgen.models import AnyNetwork


@dataclass(frozen=True)
class TrainedRun:
    """A run, read from its folder."""

    folder: Path
    recipe: Recipe
    state: RunState
    model: AnyNetwork
    """With the averaged weights."""

    @staticmethod
    def read(folder: Path) -> TrainedRun:
        """Raises PixelgenError for a folder without a usable state."""
        state, tensors = read_state(folder)
        try:
            recipe = recipe_from_dict(state.recipe)
        except ValueError as error:
            raise PixelgenError(f"the recipe saved in {folder} does not fit: {error}") from error
        weights = part_of(tensors, "ema")
        try:
            model = network_for(recipe.model, [tuple(t.shape) for t in weights.values()])
        except ValueError as error:
            raise PixelgenError(
                f"the recipe saved in {folder} does not fit its weights: {error}"
            ) from error
        load_weights(model, weights, str(folder))
        return TrainedRun(folder, recipe, state, model)

    def facts(self) -> dict[str, Any]:
        """What config.json says of the training."""
        counters = self.state.counters
        # Omit a figure of earlier weights, or on images that were trained on before.
        stale = counters.held_out_step not in (None, counters.step)
        valid = not stale and not holdout_may_leak(
            self.recipe, self.state.history, self.state.pictures
        )
        facts: dict[str, Any] = {
            "steps": counters.step,
            "images": counters.images,
            "minutes": round(counters.seconds / 60, 1),
            f"held_out_{kind_of_task(self.recipe).figure}": counters.held_out if valid else None,
            "held_out_pictures": counters.held_out_pictures if valid else None,
            "class_dropout": self.recipe.data.class_dropout,
            "recipe": recipe_text(self.recipe),
        }
        if self.state.pictures:
            facts["pictures"] = self.state.pictures
        if self.state.started_from:
            facts["started_from"] = self.state.started_from
            facts["before"] = self.state.history
        return facts
