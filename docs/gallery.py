"""Draws the pictures of docs/gallery.md with the commands that stand there, and writes that page.

python docs/gallery.py               writes docs/gallery.md and docs/gallery/
python docs/gallery.py FOLDER        writes them elsewhere

The photos that commands read are the CC0 portraits of nobody in tests/assets. No picture is
selected by hand: all seeds are 1.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixelgen.cli.app import main as pixelgen

HERE = Path(__file__).parent
PORTRAITS = HERE.parent / "tests" / "assets"

INTRO = """# Gallery

<!-- Written by docs/gallery.py. -->

Every picture on this page was drawn by the command above it, with the bundled weights, in seconds
on a processor. Nothing is selected by hand: all seeds are 1. The metadata of each file hold
weights, seed and parameters. `python docs/gallery.py` draws them again.

The weights are small. Of pictures of classes, most look right at a glance; faces, limbs and small
parts seldom do.
"""


@dataclass(frozen=True)
class Shot:
    """A command, and a text about the pictures that it draws."""

    title: str
    words: str
    """What is typed after `pixelgen`."""
    picture: str
    """The file that the page shows."""
    text: str
    speaks: bool = False
    """Whether the page also shows what the command prints."""

    @property
    def arguments(self) -> list[str]:
        """The words as a shell would split them."""
        return shlex.split(self.words)


SHOTS = (
    Shot(
        "Classes",
        'sample -c lion -c "bell pepper" -c alp -c monarch -c Chihuahua '
        "-n 5 --candidates 8 --seed 1 --scale 2 -o classes.png",
        "classes.png",
        "A row each: lion, bell pepper, alp, monarch, Chihuahua; 64×64 pixels, shown twice as "
        "large. Each is the one of eight candidates that is most clearly of its class. Alps are "
        "landscapes, bell peppers have their shape and gloss, monarchs their wings, on flowers. "
        "Lions have a mane, but distorted faces. All of the Chihuahuas have eyes and ears of a "
        "dog, the rest is partly melted.",
    ),
    Shot(
        "The model itself",
        "sample -c alp -n 5 --seed 1 --guidance 1 --temperature 1 --vector-temperature 1 "
        "--candidates 1 --scale 2 -o plain.png",
        "plain.png",
        "The same class without guidance and candidates, all temperatures 1: samples of the model "
        "itself, first of the condition vector of the class, then of the picture. They are more "
        "diverse than those above, and less typical of the class.",
    ),
    Shot(
        "Pixel by pixel",
        "sample -c lion -c jellyfish -c alp -n 8 --weights imagenet32 --seed 1 --scale 2 "
        "-o pixels.png",
        "pixels.png",
        "32×32 pixels, drawn as pixels and not as codes: lion, jellyfish, alp. Texture is "
        "sharp, but objects are hard to recognise.",
    ),
    Shot(
        "While drawing",
        "sample -c jellyfish -n 4 --weights imagenet32 --seed 1 --scale 3 -o grown.png "
        "--animate growing.webp",
        "growing.webp",
        "Raster order: patch after patch, 2×2 pixels each. What is grey is not drawn yet.",
    ),
    Shot(
        "From class to class",
        'interpolate --class alp --class "coral reef" --steps 9 --seed 1 -o way.png',
        "way.png",
        "All frames are drawn with the same random numbers; only the class condition changes.",
    ),
    Shot(
        "Portraits",
        "portrait female-90.jpg -n 8 --seed 1 --scale 2 -o portraits.png",
        "portraits.png",
        "The aligned face, and eight portraits conditioned on its embedding of 64 numbers, each "
        "the most similar of eight candidates. Hair, skin and the shape of the face are preserved; "
        "eyes are sometimes distorted.",
    ),
    Shot(
        "From face to face",
        "interpolate female-6.jpg male-36.jpg --steps 9 --seed 1 -o morph.png",
        "morph.png",
        "The ends are the photos. All frames are drawn with the same random numbers; only the "
        "embedding changes. Of eight candidates, this path is the most similar to its embeddings.",
    ),
    Shot(
        "Completing",
        "complete male-12.jpg --keep top:50% -n 5 --seed 1 --raw --weights faces64 "
        "-o completed.png",
        "completed.png",
        "The original, what is known of it, and five completions by the weights for faces. They "
        "go on with the face, but distort it: these weights learned from faces that fill the "
        "picture. Weights with a tokenizer draw the known half from its codes, so that it is not "
        "quite what it was; without `--raw` it is, to the bit.",
    ),
    Shot(
        "Where the surprise is",
        "score female-6.jpg male-36.jpg --map surprise.png",
        "surprise.png",
        "Exact likelihoods, and the bits of each pixel: bright is surprising. Edges and highlights "
        "are, the plain background is not.",
        speaks=True,
    ),
    Shot(
        "As a few numbers",
        "reconstruct female-6.jpg female-90.jpg male-12.jpg male-36.jpg --seed 1 --scale 2 "
        "-o numbers.png",
        "numbers.png",
        "Left the portrait at 32×32; then its reconstruction from 10 numbers, the mean and three "
        "samples; then the same for 100 numbers. Ten preserve the light, a hundred also layout and "
        "shapes. Samples are sharper than the mean, but faces are lost in texture.",
    ),
    Shot(
        "As codes",
        "reconstruct female-6.jpg female-90.jpg male-12.jpg male-36.jpg --weights imagenet64 "
        "--scale 2 -o codes.png",
        "codes.png",
        "Left the portrait at 64×64, right its reconstruction from 768 codes of 3 bits: clothes "
        "and background are preserved, the face is not. Samples of `imagenet64` can be no sharper "
        "than this, since the same decoder decodes the codes that its model draws.",
    ),
)


def draw(shot: Shot) -> str:
    """Run a command in the current folder; what it printed. Raises RuntimeError if it fails."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            pixelgen([*shot.arguments, "--force"])
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"exit code {ended.code}: pixelgen {shot.words}") from None
    return said.getvalue()


def wrapped(words: str, width: int = 78) -> str:
    """The command, on several lines where it is longer than `width`, an option beside its value."""
    lines = ["pixelgen"]
    for part in re.split(r" (?=--?[a-z])", words):
        if len(lines[-1]) + 1 + len(part) > width - len(" \\"):
            lines[-1] += " \\"
            lines.append(f"  {part}")
        else:
            lines[-1] += f" {part}"
    return "\n".join(lines)


def page(said: dict[str, str]) -> str:
    """The page, with what the commands of `SHOTS` printed, by picture."""
    parts = [INTRO]
    for shot in SHOTS:
        block = f"```sh\n{wrapped(shot.words)}\n```\n"
        if shot.speaks:
            block += f"\n```text\n{said[shot.picture].rstrip()}\n```\n"
        picture = f"![{shot.title}](gallery/{shot.picture})\n"
        parts.append(f"## {shot.title}\n\n{block}\n{picture}\n{shot.text}\n")
    parts.append(OUTRO)
    return "\n".join(parts)


OUTRO = """The photos on this page are computer-generated portraits of nobody (CC0), those in
`tests/assets` of the repository.
"""


@contextlib.contextmanager
def studio() -> Iterator[Path]:
    """A folder of its own to work in, with the photos that the commands name."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for photo in PORTRAITS.glob("*.jpg"):
            shutil.copy(photo, folder)
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def main(target: Path = HERE) -> None:
    """Draw everything, then write it into `target`."""
    target = target.resolve()
    said: dict[str, str] = {}
    with studio() as folder:
        for shot in SHOTS:
            print(f"pixelgen {shot.words}", file=sys.stderr)
            said[shot.picture] = draw(shot)
        pictures = target / "gallery"
        pictures.mkdir(parents=True, exist_ok=True)
        for shot in SHOTS:
            shutil.copy(folder / shot.picture, pictures / shot.picture)
    (target / "gallery.md").write_text(page(said), "utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
