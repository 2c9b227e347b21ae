"""Colour profiles (ICC version 2.4) of a matrix and a power, made here, and what they mean."""

from __future__ import annotations

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
# Chromaticities of red, green, blue and white, and the exponent (1 for linear light).
SPACES = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290), 2.2),
    "Adobe RGB": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), (0.3127, 0.3290), 2.19921875),
    "ProPhoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8),
    "linear": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290), 1.0),
}
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290))
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_d50(red, green, blue, white) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The matrix from linear RGB to XYZ under D50 (Bradford adaptation)."""
    primaries = np.stack([_xyz(*c) for c in (red, green, blue)], 1)
    matrix = primaries * np.linalg.solve(primaries, _xyz(*white))
    gain = (_BRADFORD @ np.array(D50)) / (_BRADFORD @ _xyz(*white))
    return np.linalg.inv(_BRADFORD) @ np.diag(gain) @ _BRADFORD @ matrix


def profile(space: str) -> bytes:
    """The ICC profile of a space."""
    *chromaticities, gamma = SPACES[space]
    matrix = to_d50(*chromaticities)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"wtpt": _xyz_tag(D50),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(82),
        b"cprt": b"text" + bytes(4) + b"none\0" + bytes(3),
    }
    tags |= {name: _xyz_tag(matrix[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return assemble(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    """The ICC profile of greys with a power."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return assemble(b"GRAY", {b"wtpt": _xyz_tag(D50), b"kTRC": curve})


def assemble(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A display profile of these tags."""
    table, body, offset = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    header = struct.pack(">I", size) + b"lcms" + b"\x02\x40\0\0" + b"mntr" + space + b"XYZ "
    header = (header + bytes(12) + b"acsp").ljust(68, b"\0") + _fixed(D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _fixed(values) -> bytes:  # type: ignore[no-untyped-def]
    return b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)


def _xyz_tag(values) -> bytes:  # type: ignore[no-untyped-def]
    return b"XYZ " + bytes(4) + _fixed(values)


def srgb_of(pixels: np.ndarray, space: str) -> np.ndarray:
    """Pixels [..., 3] of a space, 0 … 255, as those of sRGB (IEC 61966-2-1)."""
    *chromaticities, gamma = SPACES[space]
    return encode_srgb(
        (pixels / 255) ** gamma @ to_d50(*chromaticities).T @ np.linalg.inv(to_d50(*SRGB)).T
    )


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light 0 … 1 as sRGB, 0 … 255."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
