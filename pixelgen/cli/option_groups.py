"""Options that several commands share, as one parameter: `view: ViewGroup`."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any

import typer

from pixelgen.cli import options
from pixelgen.jobs.job import ClassSampling, Sampling
from pixelgen.jobs.preview import Preview
from pixelgen.jobs.view import View


@dataclass(frozen=True, kw_only=True)
class SamplingGroup(Sampling):
    """How pictures are drawn."""

    seed: Annotated[
        int | None, typer.Option(help="Seed of the random numbers. Default: a random one.")
    ] = None
    pick: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draw only picture N (from 1) of those that the same command draws without "
            "--pick, unchanged. Needs the same --seed and all other options.",
        ),
    ] = None
    temperature: Annotated[
        float | None, typer.Option(help="Below 1: likelier pictures. Default: the weights' own.")
    ] = None
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Draw among the likeliest values that together have this share of the probability "
            "(nucleus sampling). Default: the weights' own."
        ),
    ] = None
    guidance: Annotated[
        float | None,
        typer.Option(
            help="Above 1: more like the class, person or picture that is asked for. Default: the "
            "weights' own."
        ),
    ] = None
    guidance_schedule: Annotated[
        str | None,
        typer.Option(
            metavar="constant|linear|a:b",
            help="Where guidance applies: everywhere, rising from none to full, or between two "
            "shares (0 to 1) of the picture. Default: the weights' own.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ClassSamplingGroup(SamplingGroup, ClassSampling):
    """How pictures of classes are drawn."""

    vector_temperature: Annotated[
        float | None,
        typer.Option(
            help="Below 1: more typical pictures of a class. For weights that draw a vector of the "
            "class first. Default: the weights' own."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ViewGroup(View):
    """How pictures are laid out."""

    grid: options.Grid = True
    scale: options.Scale = 1
    resample: options.Resampling = "nearest"


@dataclass(frozen=True, kw_only=True)
class PreviewGroup(Preview):
    """Where pictures are shown while they are drawn."""

    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--no-live",
            help="Show the pictures in the terminal while they are drawn, and leave the finished "
            "ones there. Default: on, if the terminal has colours.",
            show_default=False,
        ),
    ] = None
    watch: Annotated[
        str | None,
        typer.Option(
            "--watch",
            metavar="FILE.png",
            help="Rewrite this file while pictures are drawn, for a viewer that reloads it.",
        ),
    ] = None
    animate: Annotated[
        str | None,
        typer.Option(
            "--animate",
            metavar="FILE.gif",
            help="Record the drawing: a .gif, .webp or .png animation.",
        ),
    ] = None

    def files(self) -> Preview:
        """The options that are not about the terminal."""
        return Preview(watch=self.watch, animate=self.animate)


@dataclass(frozen=True, kw_only=True)
class PrintingGroup:
    """What is printed."""

    as_json: options.Json = False
    quiet: options.Quiet = False


GROUPS = (ClassSamplingGroup, SamplingGroup, ViewGroup, PreviewGroup, PrintingGroup)


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command, all of whose parameters are keywords, with every parameter that is one of
    `GROUPS` replaced by the options in it, as Typer reads them off the signature."""
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.annotation in GROUPS:
            groups[parameter.name] = parameter.annotation
            parameters += _options(parameter.annotation)
        else:
            parameters.append(parameter)

    @functools.wraps(command)
    def expanded(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{one.name: values.pop(one.name) for one in fields(group)})
        command(**values)

    del expanded.__wrapped__
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {one.name: one.annotation for one in parameters}
    return expanded


def _options(group: Any) -> list[inspect.Parameter]:
    """The fields of a group as parameters, in the order of its annotations."""
    hints = typing.get_type_hints(group, include_extras=True)
    defaults = {one.name: one.default for one in fields(group)}
    classes = [kind for kind in reversed(group.__mro__) if issubclass(kind, GROUPS)]
    names = dict.fromkeys(name for kind in classes for name in kind.__annotations__)
    assert MISSING not in defaults.values(), "every option of a group has a default"
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults[name],
            annotation=hints[name],
        )
        for name in names
    ]
