"""TOML of unknown origin."""

from __future__ import annotations

import pytest

from pixelgen.toml import parse_toml


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a = ", "Invalid value"),
        (b"\xff", "not UTF-8 text"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a" + b".a" * 100 + b" = 1", "100 parts"),
        (b"a = 1" + b"0" * 400, "a number in it has 1329 bits"),
        (b"a = [{b = 0x" + b"f" * 5000 + b"}]", "a number in it has 20000 bits"),
    ],
)
def test_what_is_no_toml_is_a_value_error(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_toml(data)


def test_what_is_toml() -> None:
    assert parse_toml(b"a = 0xff\n[b]\nc = [-1, true, 1e400]") == {
        "a": 255,
        "b": {"c": [-1, True, float("inf")]},
    }
