"""New portraits of the person in a photo, the most similar first.

python examples/portraits.py faces64 me.jpg portraits.png
"""

import sys

import pixelgen
from pixelgen.imaging import portrait_sheet, square

weights, photo, file = sys.argv[1:]
faces = pixelgen.load(weights)
portraits = faces.portrait(photo, n=4, seed=1)
ranked = sorted(portraits, key=lambda portrait: -portrait.similarity)
sources = [square(face, faces.size[0]) for face in portraits.sources]
portrait_sheet(sources, [portrait.image for portrait in ranked]).save(file)
print("cosines:", ", ".join(f"{portrait.similarity:.2f}" for portrait in ranked))
