"""Finding weights: by bundled name, as a local folder, or on the Hub. No torch here."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixelgen.checkpoints.config import CONFIG_FILE, CheckpointConfig
from pixelgen.checkpoints.weights_cache import kept, signature
from pixelgen.errors import PixelgenError, UsageError, did_you_mean
from pixelgen.files import expanded, hex_digest

if TYPE_CHECKING:
    from pixelgen.checkpoints.hub import Watch

DEFAULT_WEIGHTS = "imagenet64"
"""The bundled weights that draw pictures of classes where none are named."""
DEFAULT_PIXEL_WEIGHTS = "imagenet32"
"""Those for what is about pixels: likelihoods, and exactly what is known of a picture."""
DEFAULT_FACE_WEIGHTS = "faces64"
"""The bundled weights that draw portraits where none are named."""
DEFAULT_REDRAWING_WEIGHTS = "autoencoder32"
"""The bundled weights that draw pictures anew where none are named."""
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.safetensors"
"""Beside the other, where the model draws grids of codes."""
EMBEDDER_FILE = "embedder.safetensors"
"""Beside the other, where the model draws portraits of a face."""
OTHER_FILES = "autoencoder-*.safetensors"
"""Beside the first, where there are auto-encoders of several bottlenecks: see `other_file`."""
CARD_FILE = "README.md"

# Two dots would lead a name out of the cache; neither the Hub nor git has such names.
_HUB_ID = re.compile(r"(?!.*\.\.)(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
_NAME = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True)
class Source:
    """Weights that were found."""

    path: Path
    """The folder."""
    name: str
    """Bundled name, folder name, or Hub id."""
    commit: str | None = None
    """Commit on the Hub, or None for a local folder."""

    def revision(self) -> str:
        """What these weights are exactly: the Hub's commit, or a hash of the files themselves."""
        if self.commit is not None:
            return self.commit
        files = self.files()
        try:
            if (here := kept.get()) is None:
                return _digest(files)
            return here.revisions.get(signature(files), lambda: _digest(files))
        except OSError as error:
            raise missing_tensors(self.name, self.path, error) from error

    def files(self) -> list[Path]:
        """The tensor files; the first may be missing."""
        parts = [self.path / name for name in (TOKENIZER_FILE, EMBEDDER_FILE)]
        parts += sorted(self.path.glob(OTHER_FILES))
        return [self.path / WEIGHTS_FILE, *filter(Path.is_file, parts)]


def _digest(files: Sequence[Path]) -> str:
    """What all `files` hold, in short."""
    return f"sha256:{hex_digest(hashlib.sha256(), *files)[:16]}"


def other_file(bottleneck: int) -> str:
    """Where another auto-encoder of a folder is."""
    return OTHER_FILES.replace("*", str(bottleneck))


def tensor_files(config: CheckpointConfig) -> tuple[str, ...]:
    """The tensor files that weights of this configuration have."""
    parts = {TOKENIZER_FILE: config.tokenizer, EMBEDDER_FILE: config.embedder}
    others = (other_file(other.bottleneck) for other in config.others)
    return (WEIGHTS_FILE, *(name for name, part in parts.items() if part is not None), *others)


def missing_tensors(
    name: str, folder: Path, error: OSError, file: str = WEIGHTS_FILE
) -> PixelgenError:
    """The error for a tensor file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return PixelgenError(
            f"weights {name}: no {file} in {folder}",
            f"a checkpoint folder holds config.json and {file}",
        )
    return PixelgenError(f"weights {name}: {file}: {error.strerror or error}")


def weights_root() -> Path:
    """The folder of the bundled weights: inside the package, or beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def bundled() -> dict[str, Path]:
    """Name and folder of every bundled checkpoint."""
    return {
        path.parent.name: path.parent for path in sorted(weights_root().glob(f"*/{CONFIG_FILE}"))
    }


def hub_id(ref: str) -> tuple[str, str | None] | None:
    """`owner/name` and the revision in `owner/name[@revision]`, or None for what is no Hub id."""
    parts = _HUB_ID.fullmatch(ref)
    return (parts["repo"], parts["revision"]) if parts else None


def local(ref: str | Path | Source) -> Source | None:
    """Weights by bundled name, else local folder, or None.

    Raises PixelgenError (exit code 2) for a file, and for an empty name.
    """
    if isinstance(ref, Source):
        return ref
    text = str(ref)
    if not text:  # which would be the folder one is in
        raise not_found(text)
    known = bundled()
    if text in known:
        return Source(known[text], text)
    path = expanded(text)
    if os.path.isdir(path):
        return Source(path, path.resolve().name)
    if os.path.lexists(path):
        raise UsageError(f"{text} is a file", "weights are a folder with a config.json")
    return None


def find(
    ref: str | Path | Source, *, token: str | None = None, watch: Watch | None = None
) -> Source:
    """Weights by bundled name, else local folder, else Hub id `owner/name[@revision]`.

    What the Hub has newer than its cache is pulled, which `watch` can follow; without network the
    cache serves. `token` is one of the Hub's, else that of HF_TOKEN or `hf auth login` is used.
    Raises PixelgenError: exit code 2 for a name or folder that is not there, 4 for weights that the
    Hub does not give.
    """
    if (source := local(ref)) is not None:
        return source
    if (asked := hub_id(str(ref))) is not None:
        from pixelgen.checkpoints.hub import obtain

        here = kept.get()
        if here is None:
            return obtain(*asked, token=token, watch=watch)
        if str(ref) not in here.found:
            here.found[str(ref)] = obtain(*asked, token=token, watch=watch)
        return here.found[str(ref)]
    raise not_found(str(ref))


def not_found(ref: str) -> PixelgenError:
    """The error (exit code 2) for weights that are neither bundled nor a folder nor a Hub id."""
    names = ", ".join(bundled()) or "none"
    if not ref:
        return UsageError("the name of the weights is empty", f"bundled: {names}")
    if _NAME.fullmatch(ref):
        return UsageError(
            f"no weights called {ref}{did_you_mean(ref, bundled())}",
            f"bundled: {names}; or give a folder, or a Hub id owner/name",
        )
    return UsageError(f"no weights folder {ref}", f"bundled: {names}")


def resolve(ref: str | Path) -> Path:
    """The folder of the weights that `find` finds."""
    return find(ref).path
