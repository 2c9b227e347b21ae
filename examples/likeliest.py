"""Of many pictures of a class, the one that the model itself finds likeliest.

python examples/likeliest.py likeliest.png 207
"""

import sys

import pixelgen

file, label = sys.argv[1:]
weights = pixelgen.load("imagenet32")
pictures = weights.sample(label, n=4, seed=1, guidance=1, temperature=1)
best = min(pictures, key=lambda one: one.bits_per_dim)
best.image.save(file)

# What was measured while drawing is what `score` finds in the finished picture.
(score,) = weights.score(best.image, label=best.label)
print(f"{best.bits_per_dim:.4f} bits/dim, scored {score.bits_per_dim:.4f}")
