"""Photos, the most surprising first, and where in them the surprise is.

python examples/rank_photos.py heat.png a.jpg b.jpg
"""

import sys

import pixelgen
from pixelgen.imaging import heat_sheet

file, *photos = sys.argv[1:]
scores = pixelgen.load("imagenet32").score(photos)
ranked = sorted(zip(photos, scores, strict=True), key=lambda pair: pair[1].bits, reverse=True)
for name, score in ranked:
    row, column = divmod(int(score.surprise.argmax()), score.surprise.shape[1])
    print(f"{name}: {score.bits_per_dim:.3f} bits/dim, the most at row {row}, column {column}")
heat_sheet(
    [score.image for _, score in ranked],
    [score.surprise for _, score in ranked],
    [name for name, _ in ranked],
    "bits per pixel",
).save(file)
