"""The errors that a caller can put right."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@|\bhf_[A-Za-z0-9]{20,}\b")


def without_credentials(text: str) -> str:
    """`text` without user names and passwords in its web addresses, and without tokens of the
    Hub."""
    return _CREDENTIALS.sub("", text)


def harmless(text: str, keep: str = "") -> str:
    """`text` with ? for every character that a terminal would act on or cannot show, unless it is
    in `keep`: control characters, line breaks, escape sequences, marks of direction, lone
    surrogates. Spaces of all kinds stay, and what joins emoji: names of files have them."""
    return "".join(c if _is_harmless(c) or c in keep else "?" for c in text)


def _is_harmless(c: str) -> bool:
    return c.isprintable() or c == "\u200d" or unicodedata.category(c) == "Zs"


class PixelgenError(Exception):
    """Something a caller can put right: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        """`hint` says what to do in terms of the Python API; `code` names the situation, so that
        the command line can give a hint of its own (`pixelgen.cli.hints`). Credentials in them
        are left out."""
        self.message = without_credentials(message)
        self.hint = without_credentials(hint)
        super().__init__(self.message)
        self.code = code


class UsageError(PixelgenError):
    """Parameters that do not go together, or a value out of range."""


class InputError(PixelgenError):
    """A picture or file of the user's that cannot be read, or shows no face."""


class WeightsError(PixelgenError):
    """Weights that are not available."""


def install_hint(extra: str = "") -> str:
    """How to install pixelgen, or what an extra adds to it. Never by its name alone: `pixelgen` on
    PyPI is another program."""
    place = f"'.[{extra}]'" if extra else "."
    return f"`pip install {place}` in a clone of pixelgen"


REINSTALL_HINT = "`pip install --force-reinstall --no-deps .` in a new clone of pixelgen"
"""How to repair a damaged installation."""


def counted(count: float, noun: str, digits: int | None = None, *, plural: str = "") -> str:
    """`1 layer`, `2 layers`, or the `plural` that is given; `digits` after the point, or as many as
    there are."""
    if isinstance(count, int):  # of any size, which formats of floats are not
        number = str(count)
    else:
        number = f"{count:.15g}" if digits is None else f"{count:.{digits}f}"
    return f"{number} {noun if number == '1' else plural or noun + 's'}"


def did_you_mean(word: str, known: Iterable[str], prefix: str = "", *, quoted: bool = False) -> str:
    """`, did you mean …?` with what is `known` and most like `word`, or nothing. `prefix` is what
    all of them begin with beyond that, which would make them look alike."""
    near = [prefix + name for name in difflib.get_close_matches(word, list(known), n=1)]
    return f", did you mean {repr(near[0]) if quoted else near[0]}?" if near else ""
