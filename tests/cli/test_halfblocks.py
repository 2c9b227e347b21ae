"""Pictures as half blocks."""

from __future__ import annotations

import io

from PIL import Image
from rich.console import Console

from pixelgen.cli.halfblocks import HalfBlocks, _style


def printed(image: Image.Image) -> str:
    _style.cache_clear()  # a style keeps the codes of the first console that prints it
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="truecolor", width=20)
    console.print(HalfBlocks(image))
    return file.getvalue()


def test_two_pixels_a_cell() -> None:
    image = Image.new("RGB", (2, 2))
    for place, colour in enumerate([(1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)]):
        image.putpixel((place % 2, place // 2), colour)
    assert printed(image) == (
        "\x1b[38;2;1;2;3;48;2;7;8;9m▀\x1b[0m\x1b[38;2;4;5;6;48;2;10;11;12m▀\x1b[0m\n"
    )


def test_an_odd_row_has_nothing_behind_it() -> None:
    assert printed(Image.new("L", (3, 1), 5)) == "\x1b[38;2;5;5;5m▀▀▀\x1b[0m\n"


def test_equal_cells_are_one_run() -> None:
    lines = printed(Image.new("RGB", (9, 4), "red")).splitlines()
    assert lines == ["\x1b[38;2;255;0;0;48;2;255;0;0m▀▀▀▀▀▀▀▀▀\x1b[0m"] * 2
