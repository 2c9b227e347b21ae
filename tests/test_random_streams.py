"""The random streams keep their numbers: saved runs and published figures depend on them."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import torch

import pixelgen
from pixelgen import random_streams
from pixelgen.random_streams import RandomStream, mix, stream_generator

NUMBERS = {
    "HOLDOUT": 0,
    "INITIAL_WEIGHTS": 0,
    "EPOCH": 1,
    "AUXILIARY_WEIGHTS": 1,
    "STEP": 2,
    "NETWORK": 3,
    "SHIFT": 4,
    "VIEW": 5,
    "PEOPLE": 6,
    "VECTOR": 7,
    "HOLDOUT_PEOPLE": 8,
    "SAMPLE_SHEET": 9,
    "SAMPLE_SHEET_VECTORS": 10,
    "SOURCE_PHOTOS": 10,
    "LATENT": 11,
}


def test_numbers_never_change() -> None:
    assert {name: int(stream) for name, stream in RandomStream.__members__.items()} == NUMBERS


def test_names_are_unique_and_shared_numbers_are_documented() -> None:
    (definition,) = ast.parse(inspect.getsource(RandomStream)).body
    assert isinstance(definition, ast.ClassDef)
    names = [n.targets[0].id for n in definition.body if isinstance(n, ast.Assign)]  # type: ignore[attr-defined]
    assert len(names) == len(set(names)) == len(NUMBERS)
    source = Path(random_streams.__file__).read_text(encoding="utf-8")
    for name, stream in RandomStream.__members__.items():
        if stream.name != name:  # an alias says whose number it shares
            assert re.search(rf"{name} = \d+\n.*?the number of\s+`{stream.name}`", source, re.S)


def test_every_use_names_its_stream() -> None:
    call = re.compile(r"(?<![\w.])(?:mix|stream_generator)\(([^()]*)")
    for file in Path(pixelgen.__file__).parent.rglob("*.py"):
        if file.name == "random_streams.py":
            continue
        for arguments in call.findall(file.read_text(encoding="utf-8")):
            assert "RandomStream." in arguments, (file, arguments)


def test_seeds_are_those_of_earlier_versions() -> None:
    assert mix(0, RandomStream.HOLDOUT) == 6017775124710473527
    assert mix(7, RandomStream.SOURCE_PHOTOS, -3) == 1355861226374559514
    drawn = torch.rand(2, generator=stream_generator(3, RandomStream.STEP, 5))
    again = torch.rand(2, generator=torch.Generator().manual_seed(mix(3, RandomStream.STEP, 5)))
    assert torch.equal(drawn, again)


def test_seeds_differ_by_stream_and_counter() -> None:
    seeds = {
        mix(seed, stream, n)
        for seed in range(3)
        for stream in [*RandomStream][:4]
        for n in range(50)
    }
    assert len(seeds) == 600
    assert all(0 <= s < 2**63 for s in seeds)
