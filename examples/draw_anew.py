"""A photo, and what two decoders make of the few numbers that are left of it.

python examples/draw_anew.py autoencoder32 cat.jpg anew.png
"""

import sys

import pixelgen
from pixelgen.imaging import stack_rows

weights, photo, file = sys.argv[1:]
rows = []
for made in pixelgen.load(weights).reconstruct(photo, n=3, seed=1):
    rows.append([made.source, made.image, *made.samples])
    print(f"{made.bottleneck} numbers: the mean {made.likeness.psnr:.1f} dB PSNR")
stack_rows(rows).save(file)
