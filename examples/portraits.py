"""New portraits of the person in a photo, the most similar first.

python examples/portraits.py faces64 me.jpg portraits.png
"""

import sys

import pixelgen
from pixelgen.imaging import portrait_sheet, square

weights, photo, file = sys.argv[1:]
faces = pixelgen.load(weights)
portraits = sorted(faces.portrait(photo, n=4, seed=1), key=lambda one: -one.similarity)
sources = [square(face, faces.size[0]) for face in portraits[0].sources]
portrait_sheet(sources, [one.image for one in portraits]).save(file)
print("cosines:", ", ".join(f"{one.similarity:.2f}" for one in portraits))
