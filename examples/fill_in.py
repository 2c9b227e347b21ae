"""A photo without its lower half, and what a model puts there.

python examples/fill_in.py cat.jpg filled.png
"""

import sys

import pixelgen
from pixelgen.imaging import enlarge, make_grid

photo, file = sys.argv[1:]
made = pixelgen.load("imagenet32").complete(photo, keep="top:50%", n=3, seed=1)
row = [made[0].original, made[0].masked, *(one.image for one in made)]
make_grid([enlarge(image, 4) for image in row], columns=len(row)).save(file)
