"""Pictures as escape sequences: what a terminal decodes is the picture."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pixelgen.cli import graphics, progress, terminal
from pixelgen.cli.graphics import Encoder, encoder_of, iterm2, kitty, sixel

NOISE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8), "RGB"
)


def same(data: bytes, image: Image.Image) -> bool:
    with Image.open(BytesIO(data)) as decoded:
        return decoded.format == "PNG" and decoded.tobytes() == image.tobytes()


def decoded_sixel(sequence: str) -> np.ndarray:
    """The picture [H, W, 3] that a sequence draws, colours as percentages."""
    match = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)((?:#\d+;2;\d+;\d+;\d+)*)(.*)\x1b\\', sequence)
    assert match is not None
    width, height = int(match[1]), int(match[2])
    colours = {
        int(number): [int(value) for value in rgb.split(";")]
        for number, rgb in re.findall(r"#(\d+);2;(\d+;\d+;\d+)", match[3])
    }
    drawn = np.full((height + 6, width, 3), -1)
    for band, text in enumerate(match[4].split("-")):
        for line in filter(None, text.split("$")):
            head = re.match(r"#(\d+)", line)
            assert head is not None
            column = 0
            for count, letter in re.findall(r"(?:!(\d+))?([?-~])", line[head.end() :]):
                for _ in range(int(count or 1)):
                    for bit in range(6):
                        if (ord(letter) - 63) >> bit & 1:
                            drawn[6 * band + bit, column] = colours[int(head[1])]
                    column += 1
            assert column == width
    assert (drawn[height:] == -1).all()
    return drawn[:height]


def test_kitty_gets_a_png_in_chunks() -> None:
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", kitty(NOISE))
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts) == kitty(NOISE)
    assert [keys for keys, _ in parts] == ["a=T,f=100,q=2,m=1", *["m=1"] * (len(parts) - 2), "m=0"]
    assert len(parts) > 2
    assert max(len(data) for _, data in parts) == 4096
    assert same(b64decode("".join(data for _, data in parts)), NOISE)
    assert kitty(Image.new("L", (1, 1))).startswith("\x1b_Ga=T,f=100,q=2,m=0;")


def test_iterm2_gets_a_png_with_its_size() -> None:
    match = re.fullmatch(r"\x1b]1337;File=inline=1;width=90px;height=70px:(.*)\x07", iterm2(NOISE))
    assert match is not None
    assert same(b64decode(match[1]), NOISE)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 6), (9, 7), (40, 13)])
def test_sixel_draws_every_pixel(width: int, height: int) -> None:
    draw = np.random.default_rng(height)
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 51], [51, 102, 204]], dtype=np.uint8)
    values = colours[draw.integers(0, 4, (height, width))]
    values[:, width // 2 :] = colours[1]  # a run
    drawn = decoded_sixel(sixel(Image.fromarray(values)))
    assert (drawn == np.round(values * (100 / 255)).astype(int)).all()


def test_sixel_of_many_colours_is_close() -> None:
    ramp = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    drawn = decoded_sixel(sixel(ramp))
    assert np.abs(drawn - np.asarray(ramp) * (100 / 255)).max() < 2


@pytest.mark.parametrize(
    ("environment", "encoder"),
    [
        ({"TERM": "xterm-kitty"}, kitty),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, kitty),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, iterm2),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, iterm2),
        ({"TERM": "foot-extra"}, sixel),
        ({"WT_SESSION": "1"}, sixel),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "WT_SESSION": "1"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm", "ZELLIJ": "0"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "NVIM": "/tmp/nvim"}, None),
        ({}, None),
    ],
)
def test_what_a_terminal_says_of_itself(
    environment: Mapping[str, str], encoder: Encoder | None
) -> None:
    assert encoder_of(environment) is encoder


@pytest.mark.parametrize(
    ("size", "scale", "cell", "shown"),
    [
        ((32, 32), 1, (8, 16), (128, 128)),  # four times
        ((64, 64), 2, (8, 16), (128, 128)),  # four times with what is enlarged already
        ((300, 100), 1, (8, 16), (600, 200)),  # twice: the terminal is 640 pixels wide
        ((1280, 64), 1, (8, 16), (640, 32)),  # shrunk
        ((32, 32), 8, (8, 16), (32, 32)),  # as asked for
        ((300, 100), 1, (16, 32), (1200, 400)),
    ],
)
def test_a_picture_is_four_times_as_large_where_there_is_room(
    size: tuple[int, int],
    scale: int,
    cell: tuple[int, int],
    shown: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"TERM": "xterm-kitty", "COLUMNS": "80", "LINES": "48"}.items():
        monkeypatch.setenv(name, value)
    for name in graphics._INNER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "cell_size", lambda: cell)
    progress.show_picture(Image.new("RGB", size, "red"), scale)
    told = capsys.readouterr().err
    assert told.endswith("\x1b\\\n")
    data = "".join(re.findall(r";([^;\x1b]*)\x1b\\", told))
    assert Image.open(BytesIO(b64decode(data))).size == shown


def test_other_terminals_get_half_blocks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "encoder_of", lambda environment: None)
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "70", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    progress.show_picture(Image.new("RGB", (20, 10), "red"), 1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.count("▀") for line in lines] == [60] * 15  # three times: four need 80 columns


def test_cells_have_a_usual_size_where_the_terminal_does_not_say() -> None:
    assert terminal.cell_size() == (8, 16)
