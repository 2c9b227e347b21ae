"""Independent random numbers from one seed: a named stream for every purpose.

Whatever is random is a function of the seed, the stream and a counter. A run therefore resumes
exactly where it stopped, and what one part of it draws does not depend on the others.
"""

from __future__ import annotations

from enum import IntEnum

import torch


class RandomStream(IntEnum):
    """What random numbers are drawn for.

    The numbers are part of the format of saved runs and published figures: never change one. Some
    purposes share a number for compatibility (an enum makes the later name an alias of the first);
    a new purpose takes a new number.
    """

    HOLDOUT = 0
    """Which pictures are held out."""
    INITIAL_WEIGHTS = 0
    """The first weights of the network: the number of `HOLDOUT`, as in the first runs."""
    EPOCH = 1
    """The order of the pictures; the counter is the epoch."""
    AUXILIARY_WEIGHTS = 1
    """The first weights of a network that is trained beside the model (a discriminator or a
    classifier head): the number of `EPOCH`, as in the first runs."""
    STEP = 2
    """Mirroring and dropped conditions; the counter is the step."""
    NETWORK = 3
    """What the network draws itself, such as dropout; the counter is the step and process."""
    SHIFT = 4
    """Shifts of the cut; the counter is the step, or a negative number for encoded views."""
    VIEW = 5
    """Which encoded view of a picture is shown; the counter is the step."""
    PEOPLE = 6
    """The people of a batch and their pictures; the counter is the step and process."""
    VECTOR = 7
    """Noise and dropout of condition vectors; the counter is the step."""
    HOLDOUT_PEOPLE = 8
    """Which people are held out."""
    SAMPLE_SHEET = 9
    """The uniform numbers behind the samples that a run shows."""
    SAMPLE_SHEET_VECTORS = 10
    """The condition vectors of these samples."""
    SOURCE_PHOTOS = 10
    """The photo of each person that an evaluation draws portraits from: the number of
    `SAMPLE_SHEET_VECTORS`, as in the published figures. Never used by a training run."""
    LATENT = 11
    """The latents that are drawn for the pictures of an evaluation, or for held-out ones."""


def mix(seed: int, stream: RandomStream, counter: int = 0) -> int:
    """A seed of its own for every (stream, counter): SplitMix64 (Steele et al. 2014)."""
    mask = (1 << 64) - 1
    z = (seed * 0xD1342543DE82EF95 + stream * 0xA0761D6478BD642F + counter) & mask
    for _ in range(2):
        z = (z + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
    return z >> 1


def stream_generator(seed: int, stream: RandomStream, counter: int = 0) -> torch.Generator:
    """A generator on the CPU, seeded by `mix`."""
    return torch.Generator().manual_seed(mix(seed, stream, counter))
