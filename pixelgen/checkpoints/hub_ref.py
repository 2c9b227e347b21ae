"""References to weights on the Hub: `owner/name[@revision]`, or their address."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from pixelgen.errors import PixelgenError, WeightsError

# Two dots would lead a name out of the cache; neither the Hub nor git has such names.
_HUB_ID = re.compile(r"(?!.*\.\.)(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_WITHOUT_SCHEME = re.compile(rf"({'|'.join(map(re.escape, _HOSTS))})/")


@dataclass(frozen=True)
class HubRef:
    """A repository on the Hub at one revision."""

    repo: str
    """`owner/name`."""
    revision: str | None = None
    """Branch, tag or commit; None: the main branch."""
    pushing: bool = False
    """Whether weights are pushed there rather than pulled from there."""

    @property
    def name(self) -> str:
        """`owner/name` or `owner/name@revision`."""
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which always means the same files."""
        return is_commit(self.revision)

    def error(
        self, message: str, hint: str = "", *, code: str = "", unreachable: bool = False
    ) -> PixelgenError:
        """An error that names this reference: WeightsError, or PixelgenError for a push, unless the
        Hub is `unreachable`."""
        what = "push to" if self.pushing else "weights"
        kind = PixelgenError if self.pushing and not unreachable else WeightsError
        return kind(f"{what} {self.name}: {message}", hint, code=code)


def parse_hub_ref(text: str) -> HubRef | None:
    """The reference that `owner/name[@revision]`, or an address that begins with
    https://huggingface.co/, hf:// or HF_ENDPOINT, stands for; None if `text` is neither."""
    match = _HUB_ID.fullmatch(_id_at(text) if is_address(text) else text)
    return HubRef(match["repo"], match["revision"]) if match else None


def is_address(text: str) -> bool:
    """Whether `text` is an address rather than a path or a Hub id."""
    return "://" in text or _WITHOUT_SCHEME.match(text) is not None


def _id_at(address: str) -> str:
    """`owner/name[@revision]` of the model repository whose page, file or clone `address` is; empty
    for other addresses."""
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
        own = urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname
        path = parts.path
        if parts.scheme == "hf":
            path = f"{parts.netloc}/{path}"
        elif parts.scheme not in ("http", "https") or parts.hostname not in {*_HOSTS, own} - {None}:
            return ""
    except ValueError:  # such as an invalid port
        return ""
    words = [unquote(word) for word in path.split("/") if word]
    if words[:1] == ["models"]:
        del words[0]
    if len(words) < 2 or words[0] in ("datasets", "spaces"):
        return ""
    name, _, revision = words[1].removesuffix(".git").partition("@")
    if len(words) > 3 and words[2] in ("tree", "blob", "raw", "resolve", "commit"):
        revision = "/".join(words[3:6] if words[3] == "refs" else words[3:4])
    return f"{words[0]}/{name}" + (f"@{revision}" if revision else "")


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None
