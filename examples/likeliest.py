"""Of many pictures of a class, the one that the model itself finds likeliest.

python examples/likeliest.py likeliest.png 207
"""

import sys

import pixelgen

file, label = sys.argv[1:]
weights = pixelgen.load("imagenet32")
samples = weights.sample(label, n=4, seed=1, guidance=1, temperature=1)
best = min(samples, key=lambda sample: sample.bits_per_dim)
best.image.save(file)

# `score` measures in the finished picture what was measured while drawing it.
(score,) = weights.score(best.image, label=best.label)
print(f"{best.bits_per_dim:.4f} bits/dim, scored {score.bits_per_dim:.4f}")
