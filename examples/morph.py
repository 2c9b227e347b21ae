"""An animation from class to class, and back.

python examples/morph.py cats.gif lion cougar
"""

import sys
from pathlib import Path

import pixelgen
from pixelgen.imaging import enlarge, save_animation

file, *classes = sys.argv[1:]
frames = pixelgen.load("imagenet32").interpolate(classes=classes, steps=6, seed=1)
images = [enlarge(image, 4) for image in frames.images]
save_animation(Path(file), images + images[-2:0:-1], fps=8, text={}, if_exists="replace")
