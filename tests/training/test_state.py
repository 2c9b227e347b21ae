"""The header of a state keeps its keys: runs of earlier versions resume."""

from __future__ import annotations

import json
import math
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from pixelgen.errors import PixelgenError
from pixelgen.training.state import STATE, Counters, RunState, read_state, save_state

KEYS = {
    "format",
    "recipe",
    "labels",
    "counters",
    "averaged",
    "origin",
    "before",
    "pictures",
    "class_names",
    "data_digest",
}


def test_the_header_keeps_its_keys(tmp_path: Path) -> None:
    run = RunState(
        recipe={"seed": 1},
        labels=[3, 5],
        counters=Counters(step=2, held_out=1.5),
        ema_updates=7,
        started_from="weights",
        history={"steps": 4},
        pictures=9,
    )
    model = nn.Linear(2, 1)
    ema = nn.Linear(2, 1)
    save_state(tmp_path, run, model, ema, torch.optim.AdamW(model.parameters()))
    with safe_open(tmp_path / STATE, framework="pt") as file:
        header = json.loads(file.metadata()["run"])
    assert header.keys() == KEYS
    assert (header["averaged"], header["origin"], header["before"]) == (7, "weights", {"steps": 4})
    assert header["counters"].keys() == {f.name for f in fields(Counters)}
    assert read_state(tmp_path)[0] == run


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_state_has_the_permissions_of_other_files(tmp_path: Path) -> None:
    model, ema = nn.Linear(2, 1), nn.Linear(2, 1)
    save_state(tmp_path, RUN, model, ema, torch.optim.AdamW(model.parameters()))
    (tmp_path / "other").touch()
    assert (tmp_path / STATE).stat().st_mode == (tmp_path / "other").stat().st_mode


RUN = RunState(recipe={"seed": 1}, labels=[], counters=Counters(), ema_updates=0)
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("", "JSON|Expecting"),
        (DEEP, "nested too deeply"),
        ("[]", "does not describe a run"),
        ("null", "does not describe a run"),
        ({"format": 99}, "another version"),
        ({"recipe": None}, "invalid 'recipe'"),
        ({"recipe": []}, "invalid 'recipe'"),
        ({"labels": ["x"]}, "invalid 'labels'"),
        ({"labels": [True]}, "invalid 'labels'"),
        ({"averaged": 1.5}, "invalid 'averaged'"),
        ({"origin": 5}, "invalid 'origin'"),
        ({"before": [1]}, "invalid 'before'"),
        ({"other": 1}, "invalid 'other'"),
        ({"counters": {"step": "x"}}, "invalid 'counters.step'"),
        ({"counters": {"step": None}}, "invalid 'counters.step'"),
        ({"counters": {"step": -1}}, "invalid 'counters.step'"),
        ({"counters": {"seconds": math.nan}}, "invalid 'counters.seconds'"),
        ({"counters": {"held_out": {}}}, "invalid 'counters.held_out'"),
        ({"counters": {"other": 1}}, "invalid 'counters.other'"),
    ],
)
def test_foreign_headers(change: str | dict[str, Any], says: str, tmp_path: Path) -> None:
    header = {"format": 1, **RUN.to_dict()}
    text = change if isinstance(change, str) else json.dumps(header | change)
    save_file({"model.x": torch.zeros(1)}, tmp_path / STATE, metadata={"run": text})
    with pytest.raises(PixelgenError, match=f"is damaged: .*({says})"):
        read_state(tmp_path)


def test_a_header_without_a_run(tmp_path: Path) -> None:
    save_file({"model.x": torch.zeros(1)}, tmp_path / STATE)
    with pytest.raises(PixelgenError, match="does not describe a run"):
        read_state(tmp_path)
    save_file({"model.x": torch.zeros(1)}, tmp_path / STATE, metadata={"run": '{"format": 1}'})
    with pytest.raises(PixelgenError, match="its header is incomplete"):
        read_state(tmp_path)


def test_a_figure_that_is_not_finite_is_read_again(tmp_path: Path) -> None:
    header = {"format": 1, **RUN.to_dict(), "counters": {"step": 3, "held_out": math.nan}}
    metadata = {"run": json.dumps(header)}
    save_file({"model.x": torch.zeros(1)}, tmp_path / STATE, metadata=metadata)
    counters = read_state(tmp_path)[0].counters
    assert counters.step == 3
    assert counters.held_out is not None
    assert math.isnan(counters.held_out)
