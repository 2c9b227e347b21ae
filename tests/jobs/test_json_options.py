"""A JSON job takes what the command takes, by the same names."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from pixelgen.cli import global_options
from pixelgen.cli.app import COMMANDS, app
from pixelgen.jobs.json_options import _WHOLE_BATCH, build, options_of, read_options
from pixelgen.jobs.registry import JOBS, job_type

# An option that names a file must either be kept inside the folder of results or only be read.
READ = {"mask"}
REQUIRED: dict[str, dict[str, Any]] = {
    "portrait": {"photos": ["a"]},
    "reconstruct": {"images": ["a"]},
    "complete": {"image": "a"},
    "score": {"images": ["a"]},
    "encode": {"images": ["a"], "output": "a.safetensors"},
    "decode": {"codes": "a"},
    "faces": {"photos": ["a"]},
}


def parameters(name: str) -> list[Any]:
    """The options and arguments of a command."""
    group: Any = typer.main.get_command(app)
    found: list[Any] = group.get_command(None, name).params
    return found


def long(names: list[str]) -> str:
    """The first long name of an option, else a short one, else nothing."""
    return next(iter(sorted(names, key=lambda name: not name.startswith("--"))), "").lstrip("-")


def test_every_job_is_a_command() -> None:
    assert set(JOBS) <= set(COMMANDS)


@pytest.mark.parametrize("name", JOBS)
def test_keys_are_the_names_of_the_command(name: str) -> None:
    keys = set()
    for parameter in parameters(name):
        if parameter.param_type_name == "argument":
            keys.add(parameter.name.replace("_", "-"))
        elif parameter.name not in global_options.NAMES:
            keys |= {long(parameter.opts), long(parameter.secondary_opts)} - {""}
    keys -= {"align", "help"} if "align" not in options_of(job_type(name)) else {"help"}
    assert keys - _WHOLE_BATCH == set(options_of(job_type(name))) - _WHOLE_BATCH


@pytest.mark.parametrize("name", JOBS)
def test_defaults_are_those_of_the_command(name: str) -> None:
    job = build(job_type(name), REQUIRED.get(name, {}))
    values = dict(vars(job))
    for group in (values.get(group) for group in ("sampling", "view", "preview")):
        values |= {} if group is None else vars(group)
    options = options_of(job_type(name))
    for parameter in parameters(name):
        key = long(parameter.opts) if parameter.param_type_name == "option" else parameter.name
        if key in options and key not in REQUIRED.get(name, {}):
            assert not parameter.required, key
            assert (parameter.default or None) == (values[options[key].name] or None), key


@pytest.mark.parametrize("name", JOBS)
def test_every_option_that_names_a_file_is_known(name: str) -> None:
    options = options_of(job_type(name))
    for parameter in parameters(name):
        metavar = (parameter.metavar or "").replace(".", "|").split("|")
        if parameter.param_type_name == "option" and {"FILE", "DIR"} & set(metavar):
            key = long(parameter.opts)
            known = key == "watch" or key in READ or options[key].endings is not None
            assert known, f"{name} {key}"


def test_values_get_the_types_of_the_fields() -> None:
    said = {"class": [207, "hen"], "n": "2", "temperature": 1, "separate": True, "seed": 2**60 + 1}
    found = read_options("sample", job_type("sample"), said, "a")
    assert found.values == {
        "classes": ["207", "hen"],
        "n": 2,
        "temperature": 1.0,
        "grid": False,
        "seed": 2**60 + 1,
    }
    assert found.places == {"output": "a.png"}
    said = {"images": "a.png", "bottleneck": [2, "5"], "out": "x/", "animate": "b.gif"}
    found = read_options("reconstruct", job_type("reconstruct"), said, "a")
    assert found.values == {"images": ["a.png"], "bottlenecks": [2, 5]}
    assert found.places == {"output": "x/a.png", "animate": "b.gif"}
