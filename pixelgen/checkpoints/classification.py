"""How far classes that are ranked by their likelihood can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassificationScores:
    """How often p(class | picture) of a model, by Bayes' rule with equal priors, is right for
    pictures of the classes that the model knows, and how to temper it.

    A generative model is far too sure: thousands of values, of which each pulls a little towards a
    class, are added up as if their errors were independent. So the log-likelihoods are divided by a
    temperature, fitted to labelled pictures (Guo et al. 2017, "On Calibration of Modern Neural
    Networks", section 4.2). The order of the classes stays.
    """

    pictures: int
    """Labelled pictures that were ranked, of a split that the training did not see."""
    classes: int
    """Classes to choose among."""
    top1: float
    """Share with the right class first."""
    top5: float
    """Share with the right class among the first five."""
    temperature: float
    """Of p(class | picture) ∝ p(picture | class)^(1 / temperature)."""
    bits: float
    """-log2 p(right class | picture), the mean, each half of the pictures at the temperature that
    fits the other half; guessing has log2(classes)."""

    def __post_init__(self) -> None:
        if not (0 <= self.top1 <= self.top5 <= 1 and 1e-3 < self.temperature < 1e7):
            raise ValueError("shares must be 0 … 1, and the temperature between 0.001 and 1e7")

    @classmethod
    def from_training(cls, training: Mapping[str, object]) -> ClassificationScores | None:
        """Those of the evaluation in the "training" of a `config.json`, whose keys are free; None
        where there are none, or none that make sense."""
        values: object = training
        for key in ("evaluation", "classification"):
            values = values.get(key) if isinstance(values, Mapping) else None
        if not isinstance(values, Mapping):
            return None
        try:
            return cls(
                pictures=int(values["pictures"]),
                classes=int(values["classes"]),
                **{name: float(values[name]) for name in ("top1", "top5", "temperature", "bits")},
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
