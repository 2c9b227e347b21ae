"""Typed results and their JSON: what was published stays readable, anything else is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pixelgen.evaluation.results import (
    BitsPerDim,
    Evaluation,
    EvaluationReport,
    PortraitSamplingSettings,
)

WEIGHTS = Path(__file__).parents[2] / "weights"


def published() -> Iterator[Any]:
    for file in sorted(WEIGHTS.glob("*/config.json")):
        training = json.loads(file.read_text(encoding="utf-8"))["training"]
        yield pytest.param(training["evaluation"], id=file.parent.name)


def example() -> dict[str, Any]:
    (first, *_) = (p.values[0] for p in published() if p.id == "faces64")
    return deepcopy(first)


@pytest.mark.parametrize("values", list(published()))
def test_published_figures_survive_a_round_trip(values: dict[str, Any]) -> None:
    report = EvaluationReport.from_dict(values)
    again = json.loads(json.dumps(report.to_dict()))
    assert measured(again) == measured(values)
    assert EvaluationReport.from_dict(again) == report


def measured(values: Any) -> Any:
    """Without figures that are None: later reports have more of them."""
    if isinstance(values, dict):
        return {key: measured(value) for key, value in values.items() if value is not None}
    return [measured(value) for value in values] if isinstance(values, list) else values


def test_the_main_likelihood_stands_beside_the_others() -> None:
    result = Evaluation(3, unconditional=BitsPerDim(2.5, None))
    report = EvaluationReport(weights="w", revision="r", data="d", split="s", result=result)
    values = report.to_dict()
    assert (values["bits_per_dim"], values["standard_error"]) == (2.5, None)
    assert values["unconditional"] == {"bits_per_dim": 2.5, "standard_error": None}
    assert EvaluationReport.from_dict(values) == report
    assert "bits_per_dim" not in EvaluationReport("d", "s", Evaluation(3)).to_dict()


def test_earlier_portraits_had_one_candidate() -> None:
    values = example()
    del values["identity"]["sampling"]["candidates"]
    report = EvaluationReport.from_dict(values)
    assert report.identity is not None
    assert isinstance(report.identity.sampling, PortraitSamplingSettings)
    assert report.identity.sampling.candidates == 1


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("images", None, "images must be of type int, not None"),
        ("images", True, "images must be of type int, not True"),
        ("split", ..., "split is missing"),
        ("accuracy", 1, "unknown key accuracy"),
        ("conditional.bits_per_dim", "2", "conditional.bits_per_dim must be of type float"),
        ("conditional.bits_per_dim", ..., "conditional.bits_per_dim is missing"),
        ("conditional.bits", 2, "unknown key .*conditional.bits"),
        ("conditional", 2.1, "conditional must be an object, not 2.1"),
        ("autoencoders", [], "autoencoders must be an object"),
        ("identity.part", "half", "identity.part must be one of all, tune, report, not 'half'"),
        ("identity.portraits.kid.mean", None, "identity.portraits.kid.mean must be of type float"),
    ],
)
def test_other_json_is_refused(path: str, value: object, says: str) -> None:
    values = example()
    *parents, last = path.split(".")
    table = values
    for parent in parents:
        table = table[parent]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    with pytest.raises(ValueError, match=says):
        EvaluationReport.from_dict(values)


def test_an_evaluation_is_an_object() -> None:
    with pytest.raises(ValueError, match="must be an object"):
        EvaluationReport.from_dict([])
