"""Comparing files with the digests that they were published with."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixelgen.checkpoints.config import CONFIG_FILE, read_config
from pixelgen.checkpoints.layout import CARD_FILE, tensor_files
from pixelgen.checkpoints.source import Source
from pixelgen.errors import PixelgenError
from pixelgen.files import hex_digest

State = Literal["ok", "changed", "missing", "unknown"]
"""The recorded digest, another one, no file, no digest to compare with."""
_SHA256_LENGTH = 64
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")


@dataclass(frozen=True)
class FileCheck:
    """The comparison of one file."""

    file: str
    """Its name."""
    state: State
    """The outcome."""
    digest: str = ""
    """The sha256 of the file as it is, or git's sha1 where the Hub records that."""
    why: str = ""
    """What is wrong beside the digest."""


def is_digest(text: str) -> bool:
    """Whether `text` has the form of a digest that the Hub records."""
    return _DIGEST.fullmatch(text) is not None


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return hex_digest(hashlib.sha256(), path)


def matches(path: Path, recorded: str) -> bool:
    """Whether a file has the digest that the Hub records: sha256, or git's sha1 of a small file."""
    return _digest_like(path, recorded) == recorded


def recorded_digest(path: Path) -> str:
    """The sha256, or git's sha1, under which the cache stores the file that `path` links to; "" if
    the cache holds copies instead of links."""
    try:
        name = path.readlink().name
    except OSError:
        return ""
    return name if is_digest(name) else ""


def verify(source: Source) -> tuple[FileCheck, ...]:
    """Compare the files of weights with the digests recorded in the cache of the Hub, and in their
    own configuration. Text files without a recorded digest are left out."""

    def check(name: str, listed: str = "") -> FileCheck:
        path = source.path / name
        recorded = recorded_digest(path) or listed
        try:
            digest = _digest_like(path, recorded)
        except FileNotFoundError:
            return FileCheck(name, "missing")
        except OSError as error:
            return FileCheck(name, "changed", why=error.strerror or str(error))
        if not recorded:
            return FileCheck(name, "unknown", digest)
        same = digest == recorded
        if listed and listed != recorded:  # the configuration's own record counts too
            same = same and sha256_of(path) == listed
        return FileCheck(name, "ok" if same else "changed", digest)

    checks = [check(CONFIG_FILE)]
    try:
        config = read_config(source.path, source.name)
    except PixelgenError as error:
        state: State = "missing" if checks[0].state == "missing" else "changed"
        return (FileCheck(CONFIG_FILE, state, checks[0].digest, error.message),)
    if (source.path / CARD_FILE).is_file():
        checks.append(check(CARD_FILE))
    texts = [text for text in checks if text.state != "unknown"]
    return (*texts, *(check(name, config.sha256.get(name, "")) for name in tensor_files(config)))


def _digest_like(path: Path, recorded: str) -> str:
    """The digest of a file: git's sha1 if `recorded` has its length, else sha256."""
    if len(recorded) in (0, _SHA256_LENGTH):
        return sha256_of(path)
    head = f"blob {path.stat().st_size}\0".encode()
    return hex_digest(hashlib.sha1(head, usedforsecurity=False), path)
