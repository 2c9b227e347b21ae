"""Groups of options become the options of a command."""

from __future__ import annotations

import inspect
from typing import Annotated

import pytest
import typer

from pixelgen.cli.option_groups import (
    ClassSamplingGroup,
    PreviewGroup,
    PrintingGroup,
    with_option_groups,
)
from pixelgen.jobs.preview import Preview


def test_groups_are_expanded_in_place_and_collected_again() -> None:
    seen: list[object] = []

    @with_option_groups
    def command(
        *,
        photo: Annotated[str, typer.Argument()],
        sampling: ClassSamplingGroup,
        n: int = 1,
        preview: PreviewGroup,
        printing: PrintingGroup,
    ) -> None:
        """Draw."""
        seen.extend((photo, sampling, n, preview, printing))

    assert list(inspect.signature(command).parameters) == [
        *("photo", "seed", "pick", "temperature", "top_p", "guidance", "guidance_schedule"),
        *("vector_temperature", "n"),
        *("live", "watch", "animate", "as_json", "quiet"),
    ]
    assert command.__doc__ == "Draw."
    app = typer.Typer()
    app.command()(command)
    with pytest.raises(SystemExit) as ended:
        app(["a.jpg", "--seed", "5", "--no-live", "--watch", "w.png", "-q"])
    assert ended.value.code == 0
    photo, sampling, n, preview, printing = seen
    assert (photo, n) == ("a.jpg", 1)
    assert sampling == ClassSamplingGroup(seed=5)
    assert isinstance(preview, PreviewGroup)
    assert (preview.live, preview.files()) == (False, Preview(watch="w.png"))
    assert printing == PrintingGroup(quiet=True)
