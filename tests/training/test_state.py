"""The header of a state keeps its keys: runs of earlier versions resume."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

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
