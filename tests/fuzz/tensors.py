"""Broken safetensors files and configurations, made of whole ones."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Header = dict[str, Any]


def packed(header: object, data: bytes = b"") -> bytes:
    """A safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def unpacked(content: bytes) -> tuple[Header, bytes]:
    """The header and the data of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _first(header: Header) -> str:
    return next(name for name in header if name != "__metadata__")


def broken_tensors(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Files that are not what `whole` is."""
    header, data = unpacked(whole)
    name = _first(header)

    def changed(**values: object) -> bytes:
        made = copy.deepcopy(header)
        made[name] |= values
        return packed(made, data)

    def renamed(other: str) -> bytes:
        return packed({other if k == name else k: v for k, v in header.items()}, data)

    yield "empty", b""
    for length in (1, 7, 8, 9, 30, len(whole) // 2, len(whole) - 1):
        yield f"{length} bytes", whole[:length]
    yield "more behind", whole + b"x"
    yield "nothing in it", packed({})
    for length in (2**63, 2**64 - 1, 2**40, 100_000_001, 2**20):
        yield f"header of {length}", struct.pack("<Q", length) + whole[8:]
    yield "a header of spaces", packed(b"{}" + b" " * (30 << 20))
    for text in (b"", b"[]", b"null", b"{", b"\xff\xfe", b'"x"', b"{}{}", b"1" * 5000):
        yield f"header {text[:6]!r}", packed(text, data)
    for depth in (100, 10_000, 1_000_000):
        yield f"header {depth} deep", packed(b'{"a":' * depth + b"1" + b"}" * depth, data)
        yield f"lists {depth} deep", packed(b'{"a":' + b"[" * depth, data)
    many = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(50_000)}
    yield "very many tensors", packed(many)
    for offsets in ([0, 0], [-1, 4], [4, 0], [0, 2**62], [1, 5], [2**63, 2**64 - 1], [], [0], "x"):
        yield f"offsets {offsets}", changed(data_offsets=offsets)
    last = [*header][-1]
    overlapping = copy.deepcopy(header)
    overlapping[last]["data_offsets"] = overlapping[name]["data_offsets"]
    yield "overlapping", packed(overlapping, data)
    for shape in ([], [-1], [0], [2**32, 2**32], [2**63, 2], [1.5], "x", None, [1] * 2000):
        yield f"shape {str(shape)[:20]}", changed(shape=shape)
    own = header[name]
    yield "shape turned", changed(shape=[*own["shape"][::-1], 1])
    for kind in ("F64", "I64", "U8", "BOOL", "F8_E4M3", "F128", "", None, 5, "C64"):
        yield f"type {kind}", changed(dtype=kind)
    for other in (
        "",
        "../../x",
        "/etc/passwd",
        "\0",
        "\x1b[2J",
        "\n",
        "💥",
        "a" * 100_000,
        "\u202e",
    ):
        yield f"a tensor called {other[:8]!r}", renamed(other)
    yield (
        "one too many",
        packed(
            {**header, "zz": {"dtype": "F32", "shape": [0], "data_offsets": [len(data)] * 2}}, data
        ),
    )
    yield "one too few", packed({k: v for k, v in header.items() if k != last}, data)
    twice = json.dumps(header)[:-1] + "," + json.dumps({name: own})[1:]
    yield "a name twice", packed(twice.encode(), data)
    odd: tuple[Any, ...] = ({"a": 1}, [], "x", {"a": {"b": "c"}}, {"x" * 100_000: "y"}, None)
    for metadata in odd:
        yield f"metadata {str(metadata)[:12]}", packed({**header, "__metadata__": metadata}, data)
    for label, values in (("nan", b"\x00\x7e"), ("inf", b"\x00\x7c"), ("minus inf", b"\x00\xfc")):
        if own["dtype"] == "F32":
            values = {"nan": b"\0\0\xc0\x7f", "inf": b"\0\0\x80\x7f"}.get(label, b"\0\0\x80\xff")
        start, _ = own["data_offsets"]
        yield f"one {label}", packed(header, data[:start] + values + data[start + len(values) :])
        yield f"all {label}", packed(header, values * (len(data) // len(values)))
    yield "all zero", packed(header, bytes(len(data)))
    yield "largest numbers", packed(header, b"\xff\x7b" * (len(data) // 2))
    yield "zip", b"PK\x03\x04" + whole
    yield "pickle", b"\x80\x02}q\x00."
    yield "text", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


Change = Callable[[dict[str, Any]], object]
_ODD: Sequence[Any] = (
    *(None, True, -1, 0, 1.5, 10**9, 10**400, "", "x" * 10_000),
    *("\x1b[2J", [], {}, [[]], "nan"),
)


def broken_configs(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Texts that are not what the configuration `whole` is."""
    config = json.loads(whole)
    yield "empty", b""
    yield "half", whole[: len(whole) // 2]
    yield "no text", b"\xff\xfe\x00{"
    yield "a mark before it", b"\xef\xbb\xbf" + whole
    yield "zeros", bytes(1000)
    yield "digits", b"1" * 10_000
    yield "a long number", b'{"format": ' + b"1" * 10_000 + b"}"
    yield "too long", b" " * (2**22 + 1)
    yield "many keys", json.dumps({**config, "data": {str(i): i for i in range(100_000)}}).encode()
    for depth in (100, 900, 990, 5000, 1_000_000):
        yield f"lists {depth} deep", b"[" * depth + b"]" * depth
        yield (
            f"data {depth} deep",
            whole.rstrip()[:-1] + b', "data": {"a":' + b"[" * depth + b"]" * depth + b"}}",
        )
    for text in (b"[]", b"null", b"NaN", b'"x"', b"{}", b'{"format": 1}', b'{"format": 99}'):
        yield f"just {text.decode()}", text
    places: list[tuple[str, ...]] = [(key,) for key in config]
    places += [("model", key) for key in config["model"]]
    places += [("model", "pixels", key) for key in config["model"].get("pixels", ())]
    places += [("sampling", key) for key in config["sampling"]]
    for number, place in enumerate(places):
        for step in range(5):
            value = _ODD[(number * 5 + step) % len(_ODD)]
            yield f"{'.'.join(place)} {str(value)[:10]!r}", _with(config, place, value)
        yield f"no {'.'.join(place)}", _with(config, place, ...)
    for value in (10**400, 1e308, 5e-324, -0.0, float("nan"), float("inf")):
        for name in config["sampling"]:
            yield f"{name} {str(value)[:8]}", _with(config, ("sampling", name), value)
    for size in (64, 10_000, 65_536, 2**40):
        made = json.loads(_with(config, ("model", "height"), size))
        yield f"picture of {size}", _with(made, ("model", "width"), size)
    for name in ("layers", "features", "output_features", "levels", "kernel", "patch", "mixtures"):
        for value in (10**6 + 1, 2**31 + 1, 2**62 + 1):
            yield f"{name} of {value}", _with(config, ("model", name), value)
    yield "classes beyond", _with(config, ("labels",), [10**6, 10**18])
    yield "classes not in order", _with(config, ("labels",), [207, 8])
    for key in ("../../x", "model.safetensors", "\0"):
        yield f"digest of {key!r}", _with(config, ("sha256",), {key: "0" * 64})
    for other in ("tokenizer", "embedder", "others"):
        for value in ({}, [], [{}], {"size": 10**9}, config["model"], [config["model"]] * 1000):
            yield f"{other} {str(value)[:12]}", _with(config, (other,), value)


def _with(config: dict[str, Any], place: tuple[str, ...], value: object) -> bytes:
    """The configuration with another value at a place; `...` takes it out."""
    made = copy.deepcopy(config)
    *above, last = place
    inner = made
    for key in above:
        inner = inner[key]
    if value is ...:
        inner.pop(last, None)
    else:
        inner[last] = value
    return json.dumps(made).encode()
