"""What a card tells of portraits."""

from __future__ import annotations

from typing import Any

from pixelgen.checkpoints import Figure
from pixelgen.publishing.figures import kid_figures


def identity_figures(identity: dict[str, Any], split: str, again: str) -> list[Figure]:
    """What `Identity` says, as the JSON of `pixelgen evaluate --identity` holds it."""
    part = "" if identity["part"] == "all" else f" ({identity['part']} half)"
    drawn, judge = identity["sampling"], identity["judge"]
    where = f"{drawn['people']} people{part} of the {split}"
    command = f"{again} --identity --no-likelihood --part {identity['part']}"
    for option, value in drawn.items():
        command += f" --{option.replace('_', '-')} {value}"
    figures = []
    for kind, called in (
        ("portraits", "portraits"),
        ("reconstructed", "reconstructions of photos"),
        ("sources", "real photos"),
    ):
        if (marks := identity[kind]) is None:
            continue
        if kind == "portraits" and (each := drawn.get("candidates", 1)) > 1:
            called = f"{called}, each the nearest of {each}"
        what = f"of {marks['pictures']} {called}, {where}"
        for eyes, name in (("independent", f"{judge}, never trained on"), ("embedder", "embedder")):
            seen = marks[eyes]
            value = f"{_number(seen['auc'])} / {_share(seen['rank1'])}"
            told = f"same person, AUC / rank-1 of {identity['gallery_people']} ({name}), {what}"
            figures.append(Figure(told, value, command))
        figures += kid_figures(marks["kid"], what, command)
        if (diversity := marks["independent"]["diversity"]) is not None:
            told = f"diversity within a person, real = 1 ({judge}), {what}"
            figures.append(Figure(told, _number(diversity), command))
        if kind == "portraits":
            told = f"copies of the photo, {what}"
            value = f"{_share(marks['copies'])}; {_share(identity['false_copies'])} of real photos"
            figures.append(Figure(told, value, command))
    return figures


def _number(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ± {figure['standard_error'] or 0:.3f}"


def _share(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.1%} ± {figure['standard_error'] or 0:.1%}"
