"""References to weights on the Hub: `owner/name[@revision]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pixelgen.errors import PixelgenError, WeightsError

# Two dots would lead a name out of the cache; neither the Hub nor git has such names.
_HUB_ID = re.compile(r"(?!.*\.\.)(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(?:@(?P<revision>[\w][\w./-]*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


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

    def error(self, message: str, hint: str = "", *, code: str = "") -> PixelgenError:
        """An error that names this reference: WeightsError, or PixelgenError for a push."""
        if self.pushing:
            return PixelgenError(f"push to {self.name}: {message}", hint, code=code)
        return WeightsError(f"weights {self.name}: {message}", hint, code=code)


def parse_hub_ref(text: str) -> HubRef | None:
    """The reference that `owner/name[@revision]` stands for; None if `text` is not a Hub id."""
    match = _HUB_ID.fullmatch(text)
    return HubRef(match["repo"], match["revision"]) if match else None


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None
