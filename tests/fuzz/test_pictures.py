"""Commands that read pictures, and pictures that are none."""

from __future__ import annotations

import itertools

from .commands import Leaf, Sensible, leaves, parameters
from .pictures import broken, valid
from .sandbox import Sandbox

_PHOTOS = ("photos", "images", "image")
LEAVES = leaves()
# Looking for faces takes longest, and finds none here.
READERS = [
    leaf
    for leaf, command in LEAVES.items()
    if any(param.name in _PHOTOS for param in parameters(command))
]


def with_photo(leaf: Leaf, sensible: Sensible, photo: object) -> list[str]:
    """A command line that reads a photo."""
    command = LEAVES[leaf]
    param = next(param for param in parameters(command) if param.name in _PHOTOS)
    words = sensible.line(leaf, command, param, str(photo))
    if leaf == ("interpolate",):
        words = [word for word in words if not word.startswith("--class")]
        words[words.index("--weights") + 1] = words[words.index("--weights") + 1].replace(
            "tiny", "auto"
        )
        words += [str(photo)]
    return words


def test_there_are_readers() -> None:
    assert {("score",), ("faces",), ("portrait",), ("complete",)} <= {*READERS}


def test_odd_pictures(box: Sandbox, sensible: Sensible) -> None:
    others = itertools.cycle(READERS)
    for name, content in valid():
        photo = box.inputs / name
        photo.write_bytes(content)
        box.attempt(*with_photo(("score",), sensible, photo), codes=(0,))
        # No face in noise, and a line of pixels holds none.
        if name != "large.png":  # which takes seconds
            box.attempt(*with_photo(next(others), sensible, photo), codes=(0, 3))
        photo.unlink()


def test_broken_pictures(box: Sandbox, sensible: Sensible) -> None:
    others = itertools.cycle(READERS)
    for name, content in broken():
        photo = box.inputs / name
        photo.write_bytes(content)
        # Damage may leave a picture.
        box.attempt(*with_photo(next(others), sensible, photo), codes=(0, 3))
        photo.unlink()


def test_pictures_from_stdin(box: Sandbox, sensible: Sensible) -> None:
    others = itertools.cycle(READERS)
    for _, content in itertools.islice(broken(), 0, None, 7):
        leaf = next(others)
        if leaf != ("interpolate",):  # which takes two
            box.attempt(*with_photo(leaf, sensible, "-"), stdin=content, codes=(0, 3))


def test_what_is_no_file(box: Sandbox, sensible: Sensible) -> None:
    for leaf in READERS:
        for name in ("loop.png", "dangling.png", "pipe.png", "socket.png", "empty.png", "nothing"):
            box.attempt(*with_photo(leaf, sensible, box.inputs / name), codes=(3,))
        for name in ("/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/mem", "a" * 5000):
            box.attempt(*with_photo(leaf, sensible, name), codes=(3,))
        for name in ("folder.png", "..", "/"):
            box.attempt(*with_photo(leaf, sensible, box.inputs / name), codes=(0, 1, 3))


def test_names(box: Sandbox, sensible: Sensible) -> None:
    content = (box.inputs / "photo.png").read_bytes()
    names = (
        *("-leading.png", "two\nlines.png", "\x1b[31mred.png", "\u202egnp.exe", "a b.png", "é.png"),
        *(
            "e\u0301.png",
            "💥.png",
            "%s.png",
            "{x}.png",
            "~",
            "~root",
            "'\".png",
            "*.png",
            "\udcff.png",
        ),
        *("." * 100, "x" * 251 + ".png", ".png", "CON", "a\\b.png", "\u2028.png", "\ufeff.png"),
    )
    others = itertools.cycle(READERS)
    for name in names:
        photo = box.inputs / "broken" / name
        photo.write_bytes(content)
        box.attempt(*with_photo(next(others), sensible, f"../in/broken/{name}"), codes=(0, 3))
        box.attempt("score", "--weights", box.inputs / "pixels", photo.parent, codes=(0, 3))
        photo.unlink()


def test_the_limit_can_be_moved(box: Sandbox) -> None:
    words = ("score", "--weights", box.inputs / "pixels", box.inputs / "photo.png")
    refused = box.attempt(*words, "--max-pixels", "479", codes=(3,))
    assert "24×20 pixels" in refused.message
    assert "--max-pixels" in refused.message
    box.attempt(*words, "--max-pixels", "480", codes=(0,))
