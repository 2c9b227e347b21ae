"""Finding weights: by bundled name, as a local folder, or on the Hub. No torch here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.errors import PixelgenError

DEFAULT_WEIGHTS = "imagenet32"
"""The bundled weights that are used where none are named."""
DEFAULT_FACE_WEIGHTS = "faces64"
"""The bundled weights that draw portraits where none are named."""
DEFAULT_AUTOENCODER_WEIGHTS = "autoencoder32"
"""The bundled weights that draw pictures anew where none are named."""
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.safetensors"
"""Beside the other, where the model draws grids of codes."""
EMBEDDER_FILE = "embedder.safetensors"
"""Beside the other, where the model draws portraits of a face."""
OTHER_FILES = "autoencoder-*.safetensors"
"""Beside the first, where there are auto-encoders of several bottlenecks: see `other_file`."""
CARD_FILE = "README.md"

_HUB_ID = re.compile(r"(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
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
        parts = [self.path / name for name in (TOKENIZER_FILE, EMBEDDER_FILE)]
        parts += sorted(self.path.glob(OTHER_FILES))
        files = [self.path / WEIGHTS_FILE, *filter(Path.is_file, parts)]
        digest = hashlib.sha256()
        try:
            for path in files:
                with path.open("rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
            return f"sha256:{digest.hexdigest()[:16]}"
        except OSError as error:
            raise missing_tensors(self.name, self.path, error) from error


def other_file(bottleneck: int) -> str:
    """Where another auto-encoder of a folder is."""
    return OTHER_FILES.replace("*", str(bottleneck))


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


def find(ref: str | Path | Source) -> Source:
    """Weights by bundled name, else local folder, else Hub id `owner/name[@revision]`.

    Raises PixelgenError: exit code 2 for a name or folder that is not there, 4 for weights that the
    Hub does not give.
    """
    if isinstance(ref, Source):
        return ref
    text = str(ref)
    known = bundled()
    if text in known:
        return Source(known[text], text)
    path = Path(text).expanduser()
    if path.is_dir():
        return Source(path, path.resolve().name)
    if path.exists():
        raise PixelgenError(f"{text} is a file", "weights are a folder with a config.json", 2)
    if hub := _HUB_ID.fullmatch(text):
        return _download(hub["repo"], hub["revision"])
    names = ", ".join(known) or "none"
    if _NAME.fullmatch(text):
        raise PixelgenError(
            f"no weights called {text}",
            f"bundled: {names}; or give a folder, or a Hub id owner/name",
            2,
        )
    raise PixelgenError(f"no weights folder {text}", f"bundled: {names}", 2)


def resolve(ref: str | Path) -> Path:
    """The folder of the weights that `find` finds."""
    return find(ref).path


def _download(repo: str, revision: str | None) -> Source:
    """A snapshot of a Hub repository in the Hub's own cache, which also serves without network."""
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    name = repo if revision is None else f"{repo}@{revision}"
    try:
        folder = snapshot_download(
            repo,
            revision=revision,
            allow_patterns=[
                CONFIG_FILE,
                WEIGHTS_FILE,
                TOKENIZER_FILE,
                EMBEDDER_FILE,
                OTHER_FILES,
                CARD_FILE,
            ],
        )
    except (hub.HfHubHTTPError, hub.HFValidationError, OSError, ValueError) as error:
        why, hint = next(
            (
                answer
                for kind, answer in _HUB_ANSWERS.items()
                if isinstance(error, getattr(hub, kind))
            ),
            (f"cannot be had from the Hub: {_line(error)}", ""),
        )
        raise PixelgenError(f"weights {name}: {repo} {why}", hint, 4) from error
    # The cache keeps a snapshot in a folder that is named by its commit.
    return Source(Path(folder), repo, Path(folder).name)


# Narrower kinds come before the wider ones that they derive from.
_HUB_ANSWERS = {
    "GatedRepoError": ("is gated", "ask for access on its page, then `hf auth login`"),
    "RevisionNotFoundError": ("has no such revision", ""),
    "RepositoryNotFoundError": ("is not on the Hub", "or it is private: `hf auth login`"),
    "HFValidationError": ("is not a valid Hub id", ""),
    "LocalEntryNotFoundError": ("is not in the cache, and the Hub cannot be reached", ""),
}


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
