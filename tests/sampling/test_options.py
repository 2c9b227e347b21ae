"""Sampling options: defaults, overrides, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from pixelgen.sampling import SamplingOptions, SamplingOverrides


def test_every_option_can_be_overridden() -> None:
    assert [*SamplingOverrides.__annotations__] == [f.name for f in fields(SamplingOptions)]


def test_overrides_take_the_place_of_defaults() -> None:
    defaults = SamplingOptions(temperature=0.9, guidance=2)
    assert defaults.with_overrides(temperature=None) == defaults
    changed = defaults.with_overrides(temperature=np.float32(0.5), candidates=np.int64(3))  # type: ignore[arg-type]
    assert changed == SamplingOptions(temperature=0.5, guidance=2, candidates=3)
    assert (type(changed.temperature), type(changed.candidates)) == (float, int)


def test_dictionaries() -> None:
    options = SamplingOptions(top_p=0.5)
    assert SamplingOptions.from_dict(options.to_dict()) == options
    names = ["temperature", "top_p", "guidance", "vector_temperature", "candidates"]
    assert list(options.to_dict()) == names
    assert list(options.to_dict(omit=["guidance", "candidates"])) == [*names[:2], names[3]]
    with pytest.raises(ValueError, match="unknown sampling option 'tempreture'"):
        SamplingOptions.from_dict({"tempreture": 1})


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"temperature": [1]}, r"temperature must be a number, not \[1\]"),
        ({"temperature": 10**400}, "temperature must be a number"),
        ({"temperature": 1e5}, "temperature must be at most 10000"),
        ({"guidance": -1e5}, "guidance must be at least -10000"),
        ({"vector_temperature": 0}, "vector_temperature must be above 0, not 0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, not 1.5"),
        ({"candidates": 1.5}, "candidates must be a whole number, not 1.5"),
        ({"candidates": 0}, "candidates must be a whole number above 0, not 0"),
        ({"candidates": 10**7}, "candidates must be at most 1048576"),
    ],
)
def test_bad_values(overrides: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SamplingOptions().with_overrides(**overrides)


def test_importing_brings_no_torch() -> None:
    code = "import sys, pixelgen.sampling; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_guidance_schedule_says_where_guidance_applies() -> None:
    constant = SamplingOptions(guidance=3.0)
    assert [constant.guidance_at(s) for s in (0.0, 0.5, 0.9)] == [3.0, 3.0, 3.0]
    linear = SamplingOptions(guidance=3.0, guidance_schedule="linear")
    assert [linear.guidance_at(s) for s in (0.0, 0.5, 0.75)] == [1.0, 2.0, 2.5]
    interval = SamplingOptions(guidance=3.0, guidance_schedule="0.25:0.5")
    assert [interval.guidance_at(s) for s in (0.2, 0.25, 0.49, 0.5)] == [1.0, 3.0, 3.0, 1.0]
    schedules = [one.effective_schedule for one in (constant, linear, interval)]
    assert schedules == [None, "linear", "0.25:0.5"]
    assert SamplingOptions(guidance_schedule="linear").effective_schedule is None
    assert "guidance_schedule" not in constant.to_dict()
    assert SamplingOptions.from_dict(interval.to_dict()) == interval
    assert constant.with_overrides(guidance_schedule="linear") == linear


@pytest.mark.parametrize(
    "wrong", ["", "up", "0.5", "0.5:0.5", "0.6:0.5", "-1:1", "0:2", "nan:1", 3]
)
def test_guidance_schedules_are_checked(wrong: Any) -> None:
    with pytest.raises(ValueError, match="guidance_schedule must be"):
        SamplingOptions(guidance_schedule=wrong)
