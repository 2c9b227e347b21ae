"""Pictures as escape sequences, for terminals that show pixels: the protocols of Kitty, iTerm2 and
Sixel.

Kitty: https://sw.kovidgoyal.net/kitty/graphics-protocol, iTerm2: https://iterm2.com/documentation-
images.html, Sixel: DEC, "VT330/VT340 Programmer Reference Manual", volume 2, chapter 14.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from io import BytesIO

from PIL import Image

Encoder = Callable[[Image.Image], str]
"""Makes a sequence that shows a picture at the cursor."""

_CHUNK = 4096  # characters that Kitty takes at a time
_ITERM2 = ("iTerm.app", "WezTerm", "mintty")
_INNER = ("TMUX", "STY", "ZELLIJ", "NVIM", "INSIDE_EMACS")
"""Variables of programs that show a terminal inside of another one: tmux, screen, Zellij, Neovim
and Emacs."""
_COLOURS = 256
_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)


def encoder_of(environment: Mapping[str, str]) -> Encoder | None:
    """How the terminal that set these variables shows pictures; None where it does not, or is not
    known to. Inside of tmux, screen and the like, which keep such sequences from it, none does."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term.startswith(("tmux", "screen")) or any(name in environment for name in _INNER):
        return None
    if term in ("xterm-kitty", "xterm-ghostty"):
        return kitty
    if program in _ITERM2:
        return iterm2
    if term.startswith(("foot", "mlterm")) or "WT_SESSION" in environment:  # Windows Terminal
        return sixel
    return None


def kitty(image: Image.Image) -> str:
    """The sequence for Kitty and Ghostty, which answer nothing to it (q=2)."""
    data = _png(image)
    parts = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    keys = ["a=T,f=100,q=2", *[""] * (len(parts) - 1)]
    return "".join(
        f"\x1b_G{','.join(filter(None, (key, f'm={int(number < len(parts))}')))};{part}\x1b\\"
        for number, (key, part) in enumerate(zip(keys, parts, strict=True), 1)
    )


def iterm2(image: Image.Image) -> str:
    """The sequence for iTerm2, WezTerm and mintty."""
    data = _png(image)
    size = f"width={image.width}px;height={image.height}px"
    return f"\x1b]1337;File=inline=1;{size}:{data}\x07"


def sixel(image: Image.Image) -> str:
    """The sequence for terminals with Sixel graphics, of at most 256 colours."""
    import numpy as np

    indexed = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    values = np.asarray(indexed)  # [H, W]
    palette = np.asarray(indexed.getpalette()).reshape(-1, 3)
    height, width = values.shape
    parts = [f'\x1bP0;1q"1;1;{width};{height}']
    for number in np.unique(values):
        red, green, blue = (round(int(value) * 100 / 255) for value in palette[number])
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        band = values[top : top + 6]  # a character is a column of six pixels
        bits = (1 << np.arange(len(band)))[:, None]
        lines = []
        for number in np.unique(band):
            codes = 63 + ((band == number) * bits).sum(0)
            line = _RUN.sub(_run, codes.astype(np.uint8).tobytes())
            lines.append(f"#{number}{line.decode('ascii')}")
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\x1b\\"


def _run(match: re.Match[bytes]) -> bytes:
    """A repeated character as its number and itself."""
    return b"!%d%b" % (len(match[0]), match[1])


def _png(image: Image.Image) -> str:
    file = BytesIO()
    image.convert("RGB").save(file, "PNG")
    return b64encode(file.getvalue()).decode("ascii")
