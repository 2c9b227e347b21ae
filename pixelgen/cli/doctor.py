"""`pixelgen doctor`."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from pixelgen._version import __version__
from pixelgen.checkpoints import Source, bundled, read_config
from pixelgen.checkpoints.digests import verify
from pixelgen.cli import options
from pixelgen.cli.downloads import size_text
from pixelgen.cli.settings import all_settings, config_file, settings, unknown_variables
from pixelgen.cli.terminal import has_colours
from pixelgen.errors import PixelgenError

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
_NEEDED = (
    *("torch", "numpy", "pillow", "safetensors", "huggingface-hub", "onnxruntime"),
    *("typer", "rich", "platformdirs", "tomlkit", "mtcnn-runtime"),
)
_EXTRAS = {"train": ("accelerate", "datasets", "torchmetrics"), "identity": ("dlib-bin",)}
_AGAIN = "`pip install --force-reinstall pixelgen`"
_SEED = 0


@dataclass(frozen=True)
class Finding:
    """What one look at something found."""

    check: str
    """What was looked at."""
    state: Literal["ok", "note", "problem"]
    found: str
    """What is there, in one line."""
    do: str = ""
    """What to do about it; empty where nothing need be done."""


def doctor(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Look whether all is well.

    Versions, settings, devices, the cache of the Hub, the digests of the bundled weights, the
    detector of faces, and a picture.

    Nothing is fetched and nothing changed. Exit code 1 if there is a problem; its line says what to
    do.

    \b
    Examples:
      pixelgen doctor
      pixelgen doctor --json
    """
    findings: list[Finding] = []
    for name, look in CHECKS.items():
        for finding in _looked(name, look):
            findings.append(finding)
            if not as_json and (finding.state == "problem" or not quiet):
                _tell(finding)
    problems = [each for each in findings if each.state == "problem"]
    if as_json:
        facts = {"ok": not problems, "checks": [asdict(each) for each in findings]}
        typer.echo(json.dumps(facts, ensure_ascii=False))
    if problems:
        names = ", ".join(dict.fromkeys(each.check for each in problems))
        raise PixelgenError(f"something is wrong with: {names}")


def _looked(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a look that may fail itself."""
    try:
        yield from look()
    except PixelgenError as error:
        yield Finding(name, "problem", error.message, error.hint)
    except Exception as error:  # whatever is broken here, the other looks go on
        why = " ".join(f"{type(error).__name__}: {error}".split())
        yield Finding(name, "problem", why, _AGAIN)


def _tell(finding: Finding) -> None:
    colours = has_colours(sys.stdout)
    state = f"{finding.state:<7}"
    if colours:
        state = typer.style(state, fg=_COLOURS[finding.state])
    do = f" ({finding.do})" if finding.do else ""
    typer.echo(f"{state}  {finding.check:<9}  {finding.found}{do}", color=colours)


def _versions() -> Iterator[Finding]:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("versions", "ok", f"pixelgen {__version__}, {python}")
    there = {name: _version(name) for name in _NEEDED}
    missing = [name for name, version in there.items() if version is None]
    listed = ", ".join(f"{name} {version}" for name, version in there.items() if version)
    yield Finding("versions", "ok", listed)
    if missing:
        yield Finding("versions", "problem", f"missing: {', '.join(missing)}", _AGAIN)
    for extra, names in _EXTRAS.items():
        whole = all(_version(name) for name in names)
        do = "" if whole else f"`pip install 'pixelgen[{extra}]'`, for what needs it"
        yield Finding(
            "versions", "ok", f"extra [{extra}] is {'' if whole else 'not '}installed", do
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _settings() -> Iterator[Finding]:
    path = config_file()
    found = settings()
    there = "" if path.is_file() else ", which is not there"
    listed = ", ".join(f"{each.setting.key} = {each}" for each in found.values()) or "nothing"
    yield Finding("settings", "ok", f"{listed} set; {path}{there}")
    for strange in unknown_variables():
        yield Finding("settings", "note", strange, "`pixelgen config` lists all")


def _devices() -> Iterator[Finding]:
    import torch

    from pixelgen.pipelines.devices import pick_device

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found = [f"cuda:{i} {name}" for i, name in enumerate(names)]
    found += ["mps"] if torch.backends.mps.is_available() else []
    device = pick_device(_device())
    yield Finding("devices", "ok", f"{', '.join(['cpu', *found])}; used: {device}")
    count = torch.get_num_threads()
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = f"{count} of torch, {able} processors"
    if able is not None and count > able:
        yield Finding("threads", "note", threads, f"--threads {able} is faster")
    else:
        yield Finding("threads", "ok", threads)


def _device() -> str:
    """The device that commands use; where settings make no sense, that has been told."""
    try:
        return str(all_settings()["device"].value)
    except PixelgenError:
        return "auto"


def _cache() -> Iterator[Finding]:
    from pixelgen.checkpoints.hub import cached_weights
    from pixelgen.checkpoints.hub.cache import cache_root, is_offline

    root = cache_root()
    ours = cached_weights()
    # Revisions share files.
    files = {f.resolve() for found in ours for f in found.source.path.iterdir() if f.is_file()}
    size = sum(file.stat().st_size for file in files)
    home = _existing(root)
    free = shutil.disk_usage(home).free
    count = f"{len(ours)} set{'s' * (len(ours) != 1)} of weights"
    line = f"{root}: {count}, {size_text(size)}; {size_text(free)} free"
    yield Finding("cache", "ok", f"{line}{', offline' if is_offline() else ''}")
    if not home.is_dir() or not os.access(home, os.W_OK):
        yield Finding("cache", "problem", f"{home} cannot be written to", "HF_HOME=FOLDER")
    for found in ours:
        if not found.complete:
            name = f"{found.source.name}@{found.source.path.name}"
            do = f"`pixelgen weights pull {name}`"
            yield Finding("cache", "note", f"{name} is incomplete", do)


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path


def _weights() -> Iterator[Finding]:
    found = bundled()
    if not found:
        yield Finding("weights", "problem", "no weights are bundled", _AGAIN)
    for name, path in found.items():
        checks = verify(Source(path, name))
        bad = [check for check in checks if check.state in ("changed", "missing")]
        size = size_text(sum(f.stat().st_size for f in path.iterdir() if f.is_file()))
        if bad:
            which = ", ".join(f"{check.file} {check.state}" for check in bad)
            yield Finding("weights", "problem", f"{name}: {which}", _AGAIN)
        else:
            kind = read_config(path, name).kind
            files = [check for check in checks if check.state == "ok"]
            yield Finding("weights", "ok", f"{name}: {kind}, {size}, {len(files)} files verified")


def _faces() -> Iterator[Finding]:
    from PIL import Image

    from pixelgen.imaging.mtcnn import MtcnnDetector

    MtcnnDetector().detect(Image.new("RGB", (64, 64), "grey"))
    yield Finding("faces", "ok", "the detector works")


def _picture() -> Iterator[Finding]:
    """Draws with the smallest bundled weights that draw."""
    from pixelgen.pipelines import ClassPipeline

    drawing = {n: p for n, p in bundled().items() if read_config(p, n).draws}
    if not drawing:
        return  # which has been told
    name = min(drawing, key=lambda n: math.prod(read_config(drawing[n], n).picture))
    started = time.perf_counter()
    pipe = ClassPipeline.from_pretrained(name, _device())
    config = pipe.checkpoint.config
    made = pipe(config.labels[:1], n=1, seed=_SEED)
    seconds = time.perf_counter() - started
    (bits,), (image,) = made.bits_per_dim, made.images
    what = f"{image.width}×{image.height} by {name} on {pipe.device} in {seconds:.1f} s"
    if not math.isfinite(bits) or not 0 < bits < 64:
        yield Finding("picture", "problem", f"{what}: {bits} bits/dim", "--device cpu, or a bug")
    else:
        yield Finding("picture", "ok", f"{what}, {made.seconds:.1f} s of it drawing")


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "versions": _versions,
    "settings": _settings,
    "devices": _devices,
    "cache": _cache,
    "weights": _weights,
    "faces": _faces,
    "picture": _picture,
}
"""What is looked at, in this order."""
