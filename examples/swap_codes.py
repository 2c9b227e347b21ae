"""Two photos whose right halves change places, not as pixels but as codes.

python examples/swap_codes.py imagenet64 a.jpg b.jpg swapped.png
"""

import sys

import pixelgen
from pixelgen.imaging import make_grid

weights, *photos, file = sys.argv[1:]
tokenizer = pixelgen.load(weights)
codes = tokenizer.encode(photos).codes  # [2, C, h, w]
middle = codes.shape[3] // 2
swapped = codes.clone()
swapped[..., middle:] = codes.flip(0)[..., middle:]
make_grid(tokenizer.decode(codes) + tokenizer.decode(swapped), columns=2).save(file)
