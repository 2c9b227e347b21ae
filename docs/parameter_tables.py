"""Tables of parameters and fields in the Python reference; mkdocstrings loads this file.

A function has its parameters from its signature, and what they mean from `MEANINGS`. A dataclass
has its fields with the text below them in the source, instead of a heading for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
FUNCTIONS = {
    "pixelgen.pipelines.weights": ("load", "Weights"),
    "pixelgen.evaluation.batches": ("evaluate",),
    "pixelgen.publishing.networks": ("save",),
    "pixelgen.publishing.push": ("push_to_hub",),
    "pixelgen.jobs.batch": ("run_jobs",),
}
"""Functions that have a table, and classes whose methods have one, by module."""
SHARED = ("pixelgen.pipelines.drawing.DrawingArguments",)
"""TypedDicts of further parameters, `**drawing`, whose fields are listed where they are used."""
OVERRIDES = {
    "pixelgen.sampling.options.SamplingOverrides": "pixelgen.sampling.options.SamplingOptions"
}
"""TypedDicts whose fields are described in a class that has them too."""

MEANINGS = {
    "aligned": "the photos are cut-out, aligned faces already",
    "batch_size": "pictures worked on side by side; the results do not depend on it",
    "bottleneck": "latent dimensions to interpolate; by default the largest of the weights",
    "bottlenecks": "latent dimensions to reconstruct from; by default all of the weights",
    "box": "fill x, y, width, height, in pixels of the photo",
    "class_names": "names of the classes, row by row of the class table",
    "classes": "number, WordNet id, name or range, one or several; without: of no class",
    "classify": "also rank the classes that explain each photo best",
    "codes": "what `encode` returned, a tensor [N, C, h, w], or a file",
    "cut": 'how photos are fitted to the network: "crop", "stretch" or "patches"',
    "device": '"auto", "cpu", "cuda", "cuda:1" or "mps"',
    "dtype": '"float16" halves the files, "int8" halves them again',
    "embedder": "computes the condition vector of a model of faces",
    "face": "number of the face in every photo, from 1, the largest first",
    "fail_fast": "raise the error of the first job that fails",
    "fit": 'how photos become square: "crop" (their middle) or "stretch"',
    "folder": "where files are written",
    "force": "run jobs again that are done",
    "jobs": "a file with a JSON object on every line, or such objects as dicts",
    "keep": "weights that stay in memory; of `complete`: the part of the photo that stays, "
    '"top:50%"',
    "keep_card": "upload the README.md beside the weights as it is",
    "label": "the class that is given; without: of no class",
    "labels": "numbers of the classes, row by row of the class table",
    "license": "a licence id of the Hub for the model card",
    "loader": "batches of whole numbers [B, C, H, W], or pairs of these and classes [B]",
    "longest": 'longer side of photos in "patches", in pixels; by default 256',
    "mask": "a picture as large as the photo: fill what is white, erased or painted in it",
    "message": "of the commit on the Hub",
    "model": "a network of `pixelgen.models`, or one that fulfils `AutoregressiveModel`",
    "n": "pictures: in all, of each class, or of each bottleneck",
    "name": "what errors and results call it",
    "network": "a network that fulfils `AutoregressiveModel`",
    "on_result": "called after every job",
    "on_step": "called with a `SamplingProgress` for every position of the grid",
    "overwrite": "replace weights in the folder",
    "photo": "a path, a PIL picture, a tensor or an array",
    "photos": "paths, PIL pictures, tensors or arrays; one or several",
    "private": "make a new repository private",
    "progress": "called with the numbers of passes done and in all",
    "raw": "the small picture that the weights draw, not the photo at its own size",
    "ref": "bundled name, folder, or Hub id `owner/name[@revision]`",
    "refine": "candidates, of which one is chosen by the known pixels after the part",
    "repo": "`owner/name[@branch]` on the Hub",
    "sampling": 'defaults for sampling, such as `{"temperature": 0.9}`',
    "slerp": "follow the sphere of embeddings, not straight lines",
    "steps": "pictures on the path, both ends included",
    "tell": "called with notes on the progress",
    "token": "of the Hub; by default that of HF_TOKEN or `hf auth login`",
    "tokenizer": "decodes what a model of codes samples",
    "unconditional": "leave the classes out",
    "weights": "bundled name or folder",
}


class ParameterTables(griffe.Extension):
    """Adds the tables when a package is loaded."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called once for `pixelgen`."""
        every = list(objects(pkg))
        for short, full in OVERRIDES.items():
            _describe(_found(every, short), _found(every, full))
        shared = [row for path in SHARED for row in _field_rows(_found(every, path))]
        drawn: list[griffe.Class] = []
        for each in every:
            if isinstance(each, griffe.Function) and has_table(each):
                _append(each, _table("parameter", _parameter_rows(each, shared)))
            elif isinstance(each, griffe.Class) and "dataclass" in each.labels:
                _append(each, _table("field", _field_rows(each)))
                drawn.append(each)
        # Only now, since classes inherit fields from others.
        for each in drawn:
            for name in [name for name, member in each.members.items() if _is_field(member)]:
                del each.members[name]


def has_table(function: griffe.Function) -> bool:
    """Whether it, or its class, is in `FUNCTIONS`."""
    names = FUNCTIONS.get(function.module.path, ())
    inside = function.path.removeprefix(f"{function.module.path}.").split(".")[0]
    return inside in names and not function.name.startswith("_")


def objects(module: griffe.Object) -> Iterator[griffe.Object]:
    """All modules, classes and functions below `module`."""
    for member in list(module.members.values()):
        if isinstance(member, griffe.Object):
            yield member
            yield from objects(member)


def _found(every: Iterable[griffe.Object], path: str) -> griffe.Class:
    (found,) = (each for each in every if each.path == path)
    assert isinstance(found, griffe.Class)
    return found


def _describe(overrides: griffe.Class, described: griffe.Class) -> None:
    """Give the fields of `overrides` the text of the fields of the same names."""
    for name, member in overrides.members.items():
        if member.docstring is None and name in described.members:
            member.docstring = described.members[name].docstring


def _parameter_rows(function: griffe.Function, shared: list[list[str]]) -> Iterator[list[str]]:
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.var_keyword:
            yield from shared
            continue
        required = parameter.default is None
        default = "required" if required else _code(parameter.default)
        meaning = MEANINGS.get(parameter.name, "see above")
        yield [f"`{parameter.name}`", _code(parameter.annotation), default, meaning]


def _is_field(member: object) -> bool:
    return (
        isinstance(member, griffe.Attribute)
        and "property" not in member.labels
        and not member.name.startswith("_")
        and member.annotation is not None
        and "ClassVar" not in str(member.annotation)
    )


def _field_rows(described: griffe.Class) -> Iterator[list[str]]:
    """Fields with a docstring, those of base classes first."""
    classes = [*reversed(described.mro()), described]
    fields = {
        member.name: member
        for each in classes
        for member in each.members.values()
        if _is_field(member)
    }
    for field in fields.values():
        assert isinstance(field, griffe.Attribute)
        if field.docstring is None:
            continue
        text = re.sub(r"\n\s*\n", "<br>", field.docstring.value.strip()).replace("\n", " ")
        yield [f"`{field.name}`", _code(field.annotation), _default(field), _safe(text)]


def _default(field: griffe.Attribute) -> str:
    value = "" if field.value is None else str(field.value)
    call = re.fullmatch(r"\w*field\((.*)\)", value, re.DOTALL)
    if call:
        inner = re.search(r"default(?:_factory)?=([^,()]+)", call[1])
        return _code(inner[1].replace("dict", "{}").replace("list", "[]")) if inner else "required"
    if not value:
        return "" if "TypedDict" in map(str, field.parent.bases) else "required"  # type: ignore[union-attr]
    return _code(value)


def _code(value: object) -> str:
    text = "" if value is None else str(value)
    return f"<code>{text.replace('<', '&lt;').replace('|', '&#124;')}</code>" if text else ""


def _safe(text: str) -> str:
    """Text for a cell: a bar outside of code would end it."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("|", "&#124;") for i, part in enumerate(parts))


def _table(first: str, rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    head = [f"| {first} | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *lines]) if lines else ""


def _append(described: griffe.Object, table: str) -> None:
    if not table:
        return
    if described.docstring is None:
        described.docstring = griffe.Docstring(table, parent=described)
    else:
        described.docstring.value = f"{described.docstring.value.rstrip()}\n\n{table}"
