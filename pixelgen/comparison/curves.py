"""Curves of training as an SVG drawing: bits per dimension over floating-point operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 460
LEFT, TOP, RIGHT, BOTTOM = 64, 16, 190, 48
"""Margins; names that are too long for RIGHT make the drawing wider than WIDTH."""
COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2",
)  # fmt: skip
_TALLEST = 2.5
"""Bits per dimension above the lowest point that are shown: an untrained network has 8."""
_KEY = 40
"""From the frame to a name: the line of its colour, and space."""
_LETTER = 7
"""About as wide as a letter."""


@dataclass(frozen=True)
class Curve:
    """The points of one model."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(floating-point operations, bits per dimension), in ascending order of the first."""


def draw_curves(curves: Sequence[Curve]) -> str:
    """The drawing as text; the same curves give the same text. The abscissa is logarithmic. Points
    that are far above the lowest one are left out."""
    shown = [
        Curve(curve.name, tuple(p for p in curve.points if p[0] > 0 and all(map(math.isfinite, p))))
        for curve in curves
    ]
    everything = [point for curve in shown for point in curve.points] or [(1.0, 8.0)]
    low = min(y for _, y in everything)
    high = min(max(y for _, y in everything), low + _TALLEST)
    step = _step(max(high - low, 1e-3))
    low, high = math.floor(low / step) * step, math.ceil(high / step + 1e-9) * step
    first = math.floor(math.log10(min(x for x, _ in everything)) * 2) / 2
    last = math.ceil(math.log10(max(x for x, _ in everything)) * 2 + 1e-9) / 2
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    longest = max((len(curve.name) for curve in shown), default=0)
    width = LEFT + across + max(RIGHT, _KEY + _LETTER * longest + 8)

    def x_of(flops: float) -> float:
        return LEFT + across * (math.log10(flops) - first) / max(last - first, 0.5)

    def y_of(bits: float) -> float:
        return TOP + down * (high - bits) / (high - low)

    parts = [
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<rect x="{LEFT}" y="{TOP}" width="{across}" height="{down}" fill="none" '
        'stroke="#444444"/>',
    ]
    for number in range(round((high - low) / step) + 1):
        bits = low + number * step
        y = y_of(bits)
        parts.append(f'<path d="M{LEFT} {y:.1f}h{across}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{bits:.{_digits(step)}f}", "end"))
    for exponent in range(math.ceil(first), math.floor(last) + 1):
        x = x_of(10.0**exponent)
        parts.append(f'<path d="M{x:.1f} {TOP}v{down}" stroke="#dddddd"/>')
        parts.append(_text(x, TOP + down + 18, f"1e{exponent}", "middle"))
    parts.append(_text(LEFT + across / 2, HEIGHT - 8, "FLOP of training", "middle"))
    parts.append(
        f'<text transform="translate(16 {TOP + down / 2:.1f}) rotate(-90)" text-anchor="middle" '
        'fill="#222222">bits/dim on held-out pictures</text>'
    )
    for number, curve in enumerate(shown):
        colour = COLOURS[number % len(COLOURS)]
        inside = [(x_of(x), y_of(y)) for x, y in curve.points if y <= high]
        if inside:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in inside)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in inside
            ]
        y, x = TOP + 14 + 20 * number, LEFT + across + 14
        parts.append(f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(LEFT + across + _KEY, y, curve.name, "start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" height="{HEIGHT}" font-family="sans-serif" font-size="12">\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _step(span: float) -> float:
    """A round distance of grid lines, of which about six fit into `span`."""
    rough = span / 6
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">'
        f"{escape(text, quote=False)}</text>"
    )
