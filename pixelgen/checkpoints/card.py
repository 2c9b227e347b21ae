"""The model card: a README.md with the metadata that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from pixelgen.errors import UsageError

UNKNOWN_LICENSE = "unknown"
"""What the Hub calls a licence that nobody has said."""

_LICENSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}")


def check_license(license: str) -> None:
    """Raises UsageError for what no licence id is; which ids there are, the Hub knows."""
    if license and not _LICENSE_ID.fullmatch(license):
        raise UsageError(
            f"{license[:100]!r} is not a licence id", "an id of the Hub, such as cc-by-4.0"
        )


@dataclass(frozen=True)
class Figure:
    """One measured number, and how to reproduce it."""

    what: str
    """What was measured, with its unit and split."""
    value: str
    """The number."""
    command: str = ""
    """The command that prints it."""


@dataclass(frozen=True)
class ModelCard:
    """The content of a model card; empty sections are left out."""

    name: str
    """Title of the card."""
    summary: str
    """What the model does, in a sentence or two."""
    license: str = UNKNOWN_LICENSE
    """A licence id of the Hub (`mit`, `apache-2.0`, `cc-by-nc-4.0`, `other`, …)."""
    license_name: str = ""
    """Name of the licence where `license` is `other`."""
    license_text: str = ""
    """What the licence means for a user, and why."""
    tags: tuple[str, ...] = ("pixelcnn", "autoregressive", "image-generation")
    """Tags on the Hub."""
    datasets: tuple[str, ...] = ()
    """Hub ids of the training data."""
    data: str = ""
    """What the training data are."""
    recipe: str = ""
    """How the model was trained: recipe, steps, time."""
    figures: tuple[Figure, ...] = ()
    """Measured numbers."""
    usage: str = ""
    """Shell commands that use the model."""
    samples: tuple[tuple[str, str], ...] = ()
    """Caption and file name of sample sheets beside the card."""
    limits: tuple[str, ...] = ()
    """What the model cannot do, or should not be used for."""

    def __str__(self) -> str:
        """The whole file, front matter first."""
        parts = [self._front_matter(), f"# {self.name}", self.summary]
        if self.usage:
            parts.append(f"## Use\n\n```sh\n{self.usage}\n```")
        parts += [f"![{caption}]({file})\n\n{caption}" for caption, file in self.samples]
        if self.figures:
            parts.append("## Figures\n\n" + self._table())
        for title, text in (("Data", self.data), ("Training", self.recipe)):
            if text:
                parts.append(f"## {title}\n\n{text}")
        if self.limits:
            parts.append("## Limits\n\n" + "\n".join(f"- {limit}" for limit in self.limits))
        if self.license_text:
            parts.append(f"## Licence\n\n{self.license_text}")
        return "\n\n".join(parts) + "\n"

    def _front_matter(self) -> str:
        fields: dict[str, str | list[str]] = {
            "license": self.license,
            "license_name": self.license_name,
            "library_name": "pixelgen",
            "pipeline_tag": "unconditional-image-generation",
            "tags": list(self.tags),
            "datasets": list(self.datasets),
        }
        # Every JSON value is a YAML value.
        lines = [f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in fields.items() if v]
        return "\n".join(("---", *lines, "---"))

    def _table(self) -> str:
        rows = ["| figure | value | command |", "|---|---|---|"]
        rows += [
            f"| {f.what} | {f.value} | {f'`{f.command}`' if f.command else ''} |"
            for f in self.figures
        ]
        return "\n".join(rows)
