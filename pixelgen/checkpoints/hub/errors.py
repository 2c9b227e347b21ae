"""What goes wrong with the Hub, in one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from pixelgen.errors import PixelgenError, WeightsError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)
_ODD = {
    "AttributeError",
    "ContentDecodingError",
    "DecodingError",
    "FileMetadataError",
    "InvalidURL",
    "JSONDecodeError",
    "KeyError",
    "OverflowError",
    "RecursionError",
    "TooManyRedirects",
    "TypeError",
    "ValueError",
}
"""What the library raises, or its web client, where an answer is not what they expect."""
_LOGIN = "`hf auth login`, HF_TOKEN or --token"


@dataclass(frozen=True)
class HubRef:
    """What is asked of the Hub."""

    repo: str
    """`owner/name`."""
    revision: str | None = None
    """Branch, tag or commit; None: the main branch."""
    pushing: bool = False
    """Whether weights go there, or come from there."""

    @property
    def name(self) -> str:
        """`owner/name` or `owner/name@revision`."""
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"

    def error(self, why: str, hint: str = "") -> PixelgenError:
        """An error that says what was asked: exit code 4, or 1 for a push."""
        if self.pushing:
            return PixelgenError(f"push to {self.name}: {why}", hint)
        return WeightsError(f"weights {self.name}: {why}", hint)


class OddAnswer(ValueError):
    """An answer that no Hub gives."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what led to it, the latest first."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        yield link
        link = link.__cause__ or link.__context__


def kinds(error: BaseException) -> set[str]:
    """Names of the classes of `error` and of what led to it. The library has changed its web client
    twice; the names of what that raises stayed."""
    return {kind.__name__ for link in chain(error) for kind in type(link).__mro__}


def status(error: BaseException) -> int | None:
    """The status that the Hub answered with, if `error` tells of an answer."""
    for link in chain(error):
        # An answer that tells of an error counts as false in one of the clients.
        if (response := getattr(link, "response", None)) is not None:
            return int(response.status_code)
    return None


def is_inconsistent(error: BaseException) -> bool:
    """Whether a file came with another length than announced."""
    return "Consistency check failed" in str(error)


def explain(error: Exception, errand: HubRef) -> PixelgenError:
    """`error` of the library as an error of ours."""
    for answer in (_of_the_hub, _of_this_computer, _of_the_network):
        if (said := answer(error, errand)) is not None:
            return errand.error(*said)
    line = next(iter(str(error).strip().splitlines()), "")
    what = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return errand.error(what, "--debug shows more")


def _of_the_hub(error: Exception, errand: HubRef) -> tuple[str, str] | None:
    """What the Hub refuses."""
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    page = f"{constants.ENDPOINT}/{errand.repo}"

    def has(kind: type[BaseException]) -> bool:
        return any(isinstance(link, kind) for link in chain(error))

    answered = status(error)
    if has(hub.GatedRepoError):
        return "gated", f"ask for access at {page}, then {_LOGIN}"
    if has(hub.RevisionNotFoundError):
        return "no such revision", f"branches, tags and commits are at {page}/tree/main"
    if has(hub.RepositoryNotFoundError):
        return f"not found at {constants.ENDPOINT}", f"check the name; if it is private: {_LOGIN}"
    if has(hub.HFValidationError):
        return "not a valid Hub id", "owner/name, as in its address"
    if has(hub.EntryNotFoundError) and not has(hub.LocalEntryNotFoundError):
        return "a file is missing there", f"see {page}/tree/main"
    if answered == 401:
        return "the token is refused, or one is needed", _LOGIN
    if answered == 403:
        need = "write to" if errand.pushing else "read"
        return "the token does not permit this", f"it must be allowed to {need} {errand.repo}"
    if answered is not None and answered >= 400:
        later = answered == 429 or answered >= 500
        return f"the Hub answers {answered}", "try again later" if later else f"see {page}"
    return None


def _of_this_computer(error: Exception, errand: HubRef) -> tuple[str, str] | None:
    """What keeps the cache from taking files."""
    from huggingface_hub import constants

    numbers = {link.errno for link in chain(error) if isinstance(link, OSError)}
    elsewhere = "HF_HOME=FOLDER puts the cache elsewhere"
    if numbers.intersection(_FULL):
        return f"no space left in {constants.HF_HUB_CACHE}", f"free some, or {elsewhere}"
    if numbers.intersection(_CLOSED):
        return f"cannot write to {constants.HF_HUB_CACHE}", elsewhere
    return None


def _of_the_network(error: Exception, errand: HubRef) -> tuple[str, str] | None:
    """What keeps bytes from arriving."""
    from huggingface_hub import constants

    names, where = kinds(error), constants.ENDPOINT
    if "OfflineModeIsEnabled" in names:
        return "not fetched: HF_HUB_OFFLINE or --offline is set", "unset it to use the network"
    if is_inconsistent(error):
        return "a file has another length than announced", "try again; a proxy may spoil it"
    if names & {"TimeoutException", "Timeout"}:
        return f"{where} does not answer", "try again later; --offline uses what is in the cache"
    if names & {"ReadError", "WriteError", "RemoteProtocolError", "ChunkedEncodingError"}:
        return f"the connection to {where} breaks off", "try again: what is complete is kept"
    if names & {"TransportError", "ConnectionError"}:
        return f"{where} cannot be reached", "check the network, HF_ENDPOINT and proxies"
    if names & _ODD:
        return f"{where} does not answer as a Hub does", "check HF_ENDPOINT and proxies"
    return None
