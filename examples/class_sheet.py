"""A sheet of pictures, a row for each class.

python examples/class_sheet.py sheet.png "golden retriever" 978
"""

import sys

import pixelgen
from pixelgen.imaging import enlarge, make_grid

file, *classes = sys.argv[1:]
pictures = pixelgen.load("imagenet32").sample(classes, n=4, seed=1)
make_grid([enlarge(one.image, 4) for one in pictures], columns=4).save(file)
for number, one in enumerate(pictures):
    print(f"{number}: class {one.label}, {one.bits_per_dim:.2f} bits/dim, seed {one.seed}")
