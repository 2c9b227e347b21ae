"""The drawing of the curves."""

from __future__ import annotations

from xml.etree import ElementTree

from pixelgen.comparison.curves import HEIGHT, WIDTH, Curve, draw_curves

SVG = "{http://www.w3.org/2000/svg}"


def test_points_are_in_the_frame_and_in_order() -> None:
    text = draw_curves(
        [
            Curve("a < b", ((1e12, 4.0), (1e13, 3.5), (1e14, 3.25))),
            Curve("other", ((1e11, 7.9), (2e13, 3.75))),
        ]
    )
    root = ElementTree.fromstring(text)
    lines = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [3, 1]  # 7.9 is far above
    points = [tuple(map(float, point.split(","))) for point in lines[0]]
    assert points == sorted(points)  # right is more, down is less
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in points)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b", "other", "1e12", "1e13", "1e14", "FLOP of training"} <= {*texts}


def test_a_decade_is_always_as_wide() -> None:
    root = ElementTree.fromstring(draw_curves([Curve("a", ((1e12, 4), (1e13, 3), (1e14, 2)))]))
    (line,) = root.iter(f"{SVG}polyline")
    x = [float(point.split(",")[0]) for point in line.get("points", "").split()]
    assert abs((x[1] - x[0]) - (x[2] - x[1])) < 0.2


def test_one_point_and_none() -> None:
    for points in ((), ((1e12, 3.0),), ((1e12, float("nan")), (1e13, 3.0))):
        assert "</svg>" in draw_curves([Curve("a", points)])


def test_the_drawing_is_as_wide_as_its_names() -> None:
    for name in ("a", "Gated PixelCNNs of two scales", "x" * 60):
        root = ElementTree.fromstring(draw_curves([Curve(name, ((1e12, 3.0),))]))
        (text,) = (text for text in root.iter(f"{SVG}text") if text.text == name)
        width = float(root.get("width", ""))
        assert float(text.get("x", "")) + 7 * len(name) < width
        assert root.get("viewBox") == f"0 0 {width:.0f} {HEIGHT}"
        assert (width == WIDTH) == (name == "a")
