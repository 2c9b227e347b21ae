"""A photo, and what two decoders reconstruct from the few numbers that it is encoded as.

python examples/reconstruct_photo.py autoencoder32 cat.jpg rows.png
"""

import sys

import pixelgen
from pixelgen.imaging import stack_rows

weights, photo, file = sys.argv[1:]
rows = []
for one in pixelgen.load(weights).reconstruct(photo, n=3, seed=1):
    rows.append([one.source, one.image, *one.samples])
    print(f"{one.bottleneck} numbers: the mean {one.likeness.psnr:.1f} dB PSNR")
stack_rows(rows).save(file)
