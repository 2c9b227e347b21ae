"""A photo without its lower half, and what a model fills in.

python examples/fill_in.py cat.jpg filled.png
"""

import sys

import pixelgen
from pixelgen.imaging import enlarge, make_grid

photo, file = sys.argv[1:]
completions = pixelgen.load("imagenet32").complete(photo, keep="top:50%", n=3, seed=1)
row = [completions.original, completions.masked, *completions.images]
make_grid([enlarge(image, 4) for image in row], columns=len(row)).save(file)
