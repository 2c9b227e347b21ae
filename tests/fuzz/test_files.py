"""Files that are written by hand, or should have been: codes, jobs, settings, recipes."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from .commands import HOSTILE
from .sandbox import Sandbox
from .tensors import broken_tensors, packed

ODD: Sequence[Any] = (
    *(None, True, -1, 1.5, 10**400, "", "x" * 300, "\x1b[2J", "\ud800", "\0"),
    *([], {}, [[1]], ["-"]),
)
DEEP = (100, 300, 900, 990, 5000, 200_000)


def test_codes(box: Sandbox) -> None:
    whole = (box.inputs / "codes.safetensors").read_bytes()
    place = box.inputs / "broken" / "codes.safetensors"
    words = ("decode", "-o", "out.png", "--weights", box.inputs / "coded")
    for number, (_, content) in enumerate(broken_tensors(whole)):
        place.write_bytes(content)
        if number % 2:
            box.attempt(*words, place, codes=(0, 3))
        else:
            box.attempt(*words, "-", stdin=content, codes=(0, 3))
    place.unlink()


def test_codes_that_say_odd_things(box: Sandbox) -> None:
    codes = {"dtype": "U8", "shape": [1, 2, 4, 4], "data_offsets": [0, 32]}
    place = box.inputs / "broken" / "codes.safetensors"
    ways = [
        *({"weights": text} for text in HOSTILE if "\udcff" not in text),
        *({"levels": text} for text in ("0", "-1", "9" * 9, "9" * 5000, "x", "5.0", "٣")),
        *({"files": text} for text in ("[]", "[1]", "[" * 100_000, '["a", "b"]', '["../../x"]')),
        *({"revision": text} for text in ("\x1b[2J", "a" * 100_000, "\n")),
    ]
    for metadata in ways:
        place.write_bytes(packed({"__metadata__": metadata, "codes": codes}, bytes(32)))
        given = () if "weights" in metadata else ("--weights", box.inputs / "coded")
        box.attempt("decode", place, "-o", "out.png", *given)
    for content in (bytes([255] * 32), bytes([5] * 32)):
        place.write_bytes(packed({"codes": codes}, content))
        box.attempt("decode", place, "-o", "out.png", "--weights", box.inputs / "coded", codes=(3,))
    place.unlink()


def lines() -> list[bytes]:
    """Jobs that are none, or that lead elsewhere."""
    good = {"command": "sample", "class": 8, "seed": 1, "weights": "../in/tiny"}
    odd: list[object] = [{**good, key: value} for key in (*good, "id", "out", "n") for value in ODD]
    odd += [{**good, "id": text} for text in HOSTILE]
    odd += [{**good, "out": text} for text in HOSTILE]
    odd += [{**good, "weights": text} for text in HOSTILE[::3]]
    odd += [{**good, key: 1} for key in ("", "json", "force", "output", "help", "-n", "x" * 9000)]
    odd += [{**good, "animate": text} for text in ("../x.gif", "/x.gif", "a/../../x.gif", "x.exe")]
    photos = [{"command": "score", "images": [text], "weights": "../in/pixels"} for text in HOSTILE]
    odd += [*photos[::3], [], None, 5, "x", {}, {"command": "batch"}, {"command": ["sample"]}]
    made = [json.dumps(each).encode() for each in odd]
    for depth in DEEP:
        nested = b"[" * depth + b"]" * depth
        made += [nested, b'{"command": "sample", "class": ' + nested + b"}", b"{" * depth]
        made += [b'{"command": "sample", "class": ' + b'{"a":' * depth + b"1" + b"}" * (depth + 1)]
    made += [b"\xff\xfe", b"{", b"NaN", b'{"command": "sample", "n": NaN}', b"1" * 10_000, b"\0"]
    made += [b'{"command": "sample", "n": 1, "n": 2}', b'{"command": "sample", "n": 1e999}']
    made += [b"\xef\xbb\xbf", b"\n" * 100_000, b'{"id": "' + b"x" * 10**6 + b'"}', b""]
    return made


def test_jobs(box: Sandbox) -> None:
    place = box.inputs / "broken" / "jobs.jsonl"
    # All at once shows what is no job, one at a time what a job does.
    for number, line in enumerate(lines()[::3]):
        place.write_bytes(line)
        if number % 3:
            box.attempt("batch", place, "-o", "out")
        else:
            box.attempt("batch", "-", "-o", "out", "--fail-fast", stdin=line)
    place.write_bytes(b"\n".join(lines()))
    box.attempt("batch", place, "-o", "out", codes=(2,))
    place.unlink()


def test_a_folder_of_results_that_others_wrote(box: Sandbox) -> None:
    outside = box.inputs / "photo.png"
    result = {
        "id": "a",
        "line": 1,
        "command": "sample",
        "status": "done",
        "result": None,
        "notes": [],
        "files": [str(outside)],
        "error": None,
        "exit_code": 0,
        "seconds": 1,
        "time": "x",
    }
    job = b'{"id": "a", "command": "sample", "class": 8, "seed": 1, "weights": "../in/tiny"}'
    changes: list[dict[str, Any]] = [
        {},
        {"files": ["../../in/photo.png"]},
        {"files": 5},
        {"content": None},
        {"time": 5},
        {"status": []},
        {"order": []},
        {"order": -(10**4000)},
        {"inputs": 5},
        {"inputs": {"content": [], "stat": {}}},
        {"files": ["\0"]},
        {"files": ["a" * 5000]},
        {"id": "\ud800"},
    ]
    texts = [json.dumps({**result, "content": "x", **more}).encode() for more in changes]
    for text in (*texts, b"[" * 100_000, b"\xff", b"\0" * 1000, b"1" * 10_000):
        (box.here / "out").mkdir()
        (box.here / "out" / "results.jsonl").write_bytes(text)
        box.attempt("batch", "-", "-o", "out", "--force", stdin=job, codes=(0, 1))
    for name in ("results.jsonl", "results-1.jsonl", ".pixelgen-batch", "a.png"):
        for make in (Path.mkdir, os.mkfifo, lambda p: p.symlink_to(p.name)):
            (box.here / "out").mkdir()
            make(box.here / "out" / name)
            box.attempt("batch", "-", "-o", "out", stdin=job)
    for target in ("../../in", "/dev"):
        for name in (".pixelgen-batch", "sub"):
            (box.here / "out").mkdir()
            (box.here / "out" / name).symlink_to(target)
            said = job.removesuffix(b"}") + (b', "out": "sub/x/"}' if name == "sub" else b"}")
            box.attempt("batch", "-", "-o", "out", "--force", stdin=said)


def settings_files() -> list[bytes]:
    """Files of settings that are none."""
    made = [
        *(
            b"",
            b"x",
            b"\0",
            b"\xff\xfe",
            b"scale",
            b"scale = ",
            b"[",
            b"[[sample]]",
            b"\xef\xbb\xbf",
        ),
        *(b"scale = 4\nscale = 4", b"scale = 1" + b"0" * 5000, b"x = 1" * 100_000, b"#" * 2**21),
        *(b"[sample]\nweights = 5", b"sample = 5", b"[sample.weights]", b"scale.x = 4"),
        *(b"token = 'hf_x'", b"max_pixels = 1e999", b"max_pixels = nan", b"threads = 1979-05-27"),
    ]
    for depth in DEEP:
        made += [b"scale = " + b"[" * depth + b"]" * depth, b"a." * depth + b"b = 1"]
        made += [b"scale = " + b"{a = " * depth + b"1" + b"}" * depth, b"[" + b"a." * depth + b"b]"]
    for key in ("device", "output", "scale", "live", "sample.weights", "batch_size", "max_pixels"):
        for value in ('""', "-1", "true", "[]", "{}", '"~nobody-x/y"', '"\\u001b[2J"', "1" * 40):
            made.append(f"{key} = {value}".encode())
    return made


def test_settings(box: Sandbox) -> None:
    place = box.inputs / "broken" / "config.toml"
    env = {"PIXELGEN_CONFIG": str(place)}
    others = itertools.cycle(
        (
            ("config",),
            ("classes", "lion"),
            ("sample", "--weights", box.inputs / "tiny", "--class", "8", "--seed", "1"),
            ("config", "get", "scale"),
            ("doctor",),
        )
    )
    for content in settings_files()[::3]:
        place.write_bytes(content)
        box.attempt(*next(others), env=env)
    place.unlink()
    for content in settings_files()[1::5]:
        for words in (("set", "scale", "4"), ("unset", "scale"), ("set", "sample.weights", "o/n")):
            (box.here / "config.toml").write_bytes(content)
            box.attempt("config", *words, env={"PIXELGEN_CONFIG": "config.toml"}, codes=(0, 2))
    for name in (
        "loop",
        "pipe",
        "folder.png",
        "dangling.png",
        "a" * 300,
        "a" * 5000,
        "empty.png/x",
    ):
        env = {"PIXELGEN_CONFIG": f"../in/{name}"}
        box.attempt("config", env=env)
        box.attempt("classes", "lion", env=env)
    for name in ("/dev/zero", "/dev/null", "/dev/full", "~nobody-of-this-name/x", "\udcff", " "):
        for line in (
            ("config",),
            ("classes", "lion"),
            ("config", "path"),
            ("config", "set", "scale", "2"),
        ):
            box.attempt(*line, env={"PIXELGEN_CONFIG": name})


def test_variables(box: Sandbox) -> None:
    from pixelgen.cli.settings import SETTINGS

    for number, setting in enumerate(SETTINGS.values()):
        for value in HOSTILE[number % 16 :: 16]:
            words = ("sample", "--weights", box.inputs / "tiny", "--class", "8", "--seed", "1")
            if "/" in value and "in/" not in value and setting.key == "output":
                continue  # a place that may be written to
            box.attempt(*words, env={setting.variable: value})


def test_recipes(box: Sandbox) -> None:
    place = box.inputs / "broken" / "recipe.toml"
    whole = (box.inputs / "recipe.toml").read_bytes()
    texts = [
        whole[:20],
        b"",
        b"\0",
        b"\xff",
        b"model = 5",
        b"[model]",
        b"[[model]]",
        b"[model]\nx=1",
    ]
    texts += [b"a = " + b"[" * depth + b"]" * depth for depth in DEEP]
    texts += [b"a = " + b"{a = " * depth + b"1" + b"}" * depth for depth in DEEP]
    texts += [b"seed = 1" + b"0" * n + b"\n" + whole for n in (20, 400, 5000)]
    for key in (b"height", b"features", b"layers", b"model"):
        for value in (b"-1", b"0", b"1.5", b"nan", b"[]", b"''", b"1" + b"0" * 20):
            texts.append(whole.replace(key + b" = ", key + b" = " + value + b" # "))
    for text in texts:
        place.write_bytes(text)
        box.attempt("train", place, "-o", "run", codes=(1, 2))
    for name in ("loop", "pipe", "folder.png", "nothing", "a" * 5000, "empty.png/x"):
        box.attempt("train", box.inputs / name, "-o", "run", codes=(1, 2))
    box.attempt("train", "/dev/zero", "-o", "run", codes=(2,))
    long = ("." * 5000 + "=1", "seed=" + "[" * 5000)
    for change in ("", "=", "a", "=1", "a..b=1", "model=1", *long):
        box.attempt("train", box.inputs / "recipe.toml", "-o", "run", "--set", change, codes=(1, 2))
    place.unlink()


@pytest.mark.parametrize(
    "name", ["loop", "pipe", "folder.png", "a" * 5000, "/dev/zero", "dangling.png"]
)
def test_what_is_no_file(name: str, box: Sandbox) -> None:
    place = box.inputs / name
    for words in (
        ("decode", place, "-o", "out.png", "--weights", box.inputs / "coded"),
        ("batch", place, "-o", "out"),
        ("complete", box.inputs / "photo.png", "--mask", place, "--weights", box.inputs / "pixels"),
        ("export", place, "-o", "out"),
        ("evaluate", box.inputs / "tiny", "--data", place),
        ("sample", "--weights", place),
    ):
        box.attempt(*words, codes=(1, 2, 3))
