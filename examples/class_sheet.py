"""A sheet of pictures, a row for each class.

python examples/class_sheet.py sheet.png "golden retriever" 978
"""

import sys

import pixelgen
from pixelgen.imaging import enlarge, make_grid

file, *classes = sys.argv[1:]
samples = pixelgen.load("imagenet32").sample(classes, n=4, seed=1)
make_grid([enlarge(image, 4) for image in samples.images], columns=4).save(file)
for number, sample in enumerate(samples):
    print(f"{number}: class {sample.label}, {sample.bits_per_dim:.2f} bits/dim")
print(f"seed {samples.seed}, {samples.parameters}")
