"""JSON of unknown origin, and values that JSON has."""

from __future__ import annotations

import math

import pytest

from pixelgen.json_text import check_unicode, finite, parse_json


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "Expecting"),
        (b"\xff", "not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"1" * 10_000, "digits"),
        (b'{"a": [1' + b"0" * 300 + b"]}", "a number in it has 301 digits"),
        ("", "Expecting"),
    ],
)
def test_what_is_no_json_is_a_value_error(data: bytes | str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_json(data)


def test_what_is_json() -> None:
    assert parse_json(b'{"a": [1, null, "\\ud83d\\ude00"]}') == {"a": [1, None, "😀"]}
    check_unicode({"a": ["😀", {"é": 1}]})


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, [["a\udc80b"]]])
def test_half_of_a_character(value: object) -> None:
    with pytest.raises(ValueError, match="not valid Unicode"):
        check_unicode(value)


def test_names_of_files_may_have_bytes_that_are_not_utf8() -> None:
    check_unicode({"photos": ["caf\udce9.jpg", "café.jpg"]}, names_of_files=True)
    with pytest.raises(ValueError, match="not valid Unicode"):
        check_unicode("\ud800", names_of_files=True)


def test_numbers_that_are_not_finite_become_none() -> None:
    value = {"a": [math.nan, 1.5, (math.inf, 2)], "b": {"c": -math.inf}, "d": "nan"}
    assert finite(value) == {"a": [None, 1.5, (None, 2)], "b": {"c": None}, "d": "nan"}
