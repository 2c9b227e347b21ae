"""Every option and argument of every command with values that nobody should give."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .commands import HOSTILE, Leaf, Sensible, hostile, leaves, parameters, said
from .sandbox import Sandbox

LEAVES = leaves()
# A run of these takes longer than the others; what they share with them is tried there.
_SLOW = {"evaluate": 2, "train": 2, "export": 2, "doctor": 1}
_EACH = 2
_SEED = 20160616


def values_of(leaf: Leaf, param: object, number: int) -> list[str]:
    """Some of the values that a parameter is tried with: others for each."""
    pool = hostile(param)
    count = min(_SLOW.get(leaf[0] if leaf else "", _EACH), len(pool))
    start = (number * _EACH) % len(pool)
    return [*itertools.islice(itertools.cycle(pool), start, start + count)]


@pytest.mark.parametrize("leaf", LEAVES, ids=" ".join)
def test_one_at_a_time(leaf: Leaf, box: Sandbox, sensible: Sensible) -> None:
    command = LEAVES[leaf]
    number = sorted(LEAVES).index(leaf)
    for param in parameters(command):
        for value in values_of(leaf, param, number):
            box.attempt(*sensible.line(leaf, command, param, value))
        number += 1


@pytest.mark.parametrize("leaf", LEAVES, ids=" ".join)
def test_as_it_is_meant_and_without_anything(leaf: Leaf, box: Sandbox, sensible: Sensible) -> None:
    command = LEAVES[leaf]
    box.attempt(*sensible.line(leaf, command))
    box.attempt(*sensible.line(leaf, command), "--json")
    box.attempt(*leaf)
    box.attempt(*leaf, "--help", codes=(0,))
    box.attempt(*leaf, "--no-such-option", codes=(2,))
    box.attempt(*leaf, *["x"] * 500)


_QUICK = [leaf for leaf in LEAVES if not leaf or leaf[0] not in _SLOW]


@st.composite
def lines(draw: st.DrawFn) -> tuple[Leaf, list[tuple[int, str]]]:
    """A command, and values for some of what it takes, by number."""
    leaf = draw(st.sampled_from(_QUICK))
    taken = parameters(LEAVES[leaf])
    chosen = draw(st.lists(st.integers(0, len(taken) - 1), min_size=2, max_size=5))
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
    parts = []
    for number in chosen:
        pool = st.sampled_from(hostile(taken[number]))
        # A text of any kind may name any file.
        parts.append((number, draw(pool | text.filter(lambda t: "/" not in t))))
    return leaf, parts


@settings(
    max_examples=80,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
@given(lines())
def test_several_at_once(
    box: Sandbox, sensible: Sensible, line: tuple[Leaf, list[tuple[int, str]]]
) -> None:
    leaf, parts = line
    taken = parameters(LEAVES[leaf])
    words = sensible.line(leaf, LEAVES[leaf])
    box.attempt(*words, *(word for number, value in parts for word in said(taken[number], value)))


def test_words_at_random(box: Sandbox) -> None:
    rng = random.Random(_SEED)
    names = [word for leaf in LEAVES for word in leaf if leaf[0] not in _SLOW]
    options = [
        name
        for leaf in _QUICK
        for param in parameters(LEAVES[leaf])
        for name in (param.opts if param.param_type_name == "option" else [])
    ]
    for _ in range(60):
        pool = (names, options, HOSTILE)
        words = [rng.choice(rng.choice(pool)) for _ in range(rng.randint(1, 6))]
        box.attempt(rng.choice(names), *words)
