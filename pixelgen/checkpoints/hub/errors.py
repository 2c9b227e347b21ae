"""Failures of the Hub, explained in one line with what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from pixelgen.checkpoints.hub import cache
from pixelgen.checkpoints.hub_ref import HubRef
from pixelgen.errors import PixelgenError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)
_INVALID_RESPONSE = {
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
"""What the library or its web client raises where a response is not what they expect."""
_GIVE_TOKEN = "give a token: `hf auth login`, HF_TOKEN or the parameter token"


class Explanation(NamedTuple):
    """What a `PixelgenError` says; see there."""

    message: str
    hint: str
    code: str = ""


class InvalidResponse(ValueError):
    """A response that no Hub gives."""


def cause_chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, the latest first."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        yield link
        link = link.__cause__ or link.__context__


def class_names(error: BaseException) -> set[str]:
    """Names of the classes of `error` and of its causes. The library has changed its web client
    twice; the names of what the clients raise stayed."""
    return {kind.__name__ for link in cause_chain(error) for kind in type(link).__mro__}


def http_status(error: BaseException) -> int | None:
    """The status that the Hub answered with; None if `error` holds no response."""
    for link in cause_chain(error):
        # The response to a failed request counts as false in one of the clients.
        if (response := getattr(link, "response", None)) is not None:
            return int(response.status_code)
    return None


def is_wrong_length(error: BaseException) -> bool:
    """Whether a file came with another length than announced."""
    return "Consistency check failed" in str(error)


def explain(error: Exception, ref: HubRef) -> PixelgenError:
    """`error` of the library as an error of ours."""
    for explain_kind in (_hub_failure, _disk_failure, _network_failure):
        if (known := explain_kind(error, ref)) is not None:
            unreachable = explain_kind is _network_failure
            return ref.error(known.message, known.hint, code=known.code, unreachable=unreachable)
    line = next(iter(_without_endpoint(error).strip().splitlines()), "")
    what = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return ref.error(what, "see the cause of this exception", code="hub-unexpected-error")


def _without_endpoint(error: Exception) -> str:
    """The text of `error`; addresses in it may hold the password of HF_ENDPOINT."""
    from huggingface_hub import constants

    return str(error).replace(constants.ENDPOINT, cache.endpoint())


def _hub_failure(error: Exception, ref: HubRef) -> Explanation | None:
    """What the Hub refuses."""
    from huggingface_hub import errors as hub

    page = f"{cache.endpoint()}/{ref.repo}"

    def has(kind: type[BaseException]) -> bool:
        return any(isinstance(link, kind) for link in cause_chain(error))

    status = http_status(error)
    if has(hub.GatedRepoError):
        return Explanation("gated", f"ask for access at {page}, then {_GIVE_TOKEN}")
    if has(hub.RevisionNotFoundError):
        return Explanation(
            "no such revision", f"branches, tags and commits are at {page}/tree/main"
        )
    if has(hub.RepositoryNotFoundError):
        return Explanation(
            f"not found at {cache.endpoint()}",
            f"check the name; if it is private, {_GIVE_TOKEN}",
            "hub-repo-not-found",
        )
    if has(hub.HFValidationError):
        return Explanation("not a valid Hub id", "owner/name, as in its address")
    if has(hub.EntryNotFoundError) and not has(hub.LocalEntryNotFoundError):
        return Explanation("the repository lacks a file", f"see {page}/tree/main")
    if status == 401:
        return Explanation("the token is refused, or missing", _GIVE_TOKEN, "hub-token-refused")
    if status == 403:
        need = "write to" if ref.pushing else "read"
        return Explanation(
            "the token does not permit this", f"it must be allowed to {need} {ref.repo}"
        )
    if status is not None and status >= 400:
        later = status == 429 or status >= 500
        return Explanation(
            f"the Hub answers {status}", "try again later" if later else f"see {page}"
        )
    return None


def _disk_failure(error: Exception, ref: HubRef) -> Explanation | None:
    """What keeps files from being written to the cache."""
    from huggingface_hub import constants

    numbers = {link.errno for link in cause_chain(error) if isinstance(link, OSError)}
    elsewhere = "HF_HOME=FOLDER moves the cache elsewhere"
    if numbers.intersection(_DISK_FULL):
        return Explanation(
            f"no space left in {constants.HF_HUB_CACHE}", f"free some, or {elsewhere}"
        )
    if numbers.intersection(_NOT_WRITABLE):
        return Explanation(f"cannot write to {constants.HF_HUB_CACHE}", elsewhere)
    return None


def _network_failure(error: Exception, ref: HubRef) -> Explanation | None:
    """What keeps bytes from arriving."""
    names, endpoint = class_names(error), cache.endpoint()
    if "OfflineModeIsEnabled" in names:
        return Explanation(
            "not fetched in offline mode", "unset HF_HUB_OFFLINE to use the network", "hub-offline"
        )
    if is_wrong_length(error):
        return Explanation(
            "a file has another size than announced", "try again; a proxy may damage it"
        )
    if "TooLong" in names:
        return Explanation(
            f"{endpoint} sends more bytes than it announced, or than any Hub sends",
            "check HF_ENDPOINT and proxies",
        )
    if "TooSlow" in names:
        return Explanation(
            f"{endpoint} is too slow ({error})",
            "try again later; HF_HUB_OFFLINE=1 uses only the cache",
            "hub-timeout",
        )
    if names & {"TimeoutException", "Timeout"}:
        return Explanation(
            f"{endpoint} does not answer",
            "try again later; HF_HUB_OFFLINE=1 uses only the cache",
            "hub-timeout",
        )
    if names & {"ReadError", "WriteError", "RemoteProtocolError", "ChunkedEncodingError"}:
        return Explanation(
            f"the connection to {endpoint} breaks off", "try again: complete files are not lost"
        )
    if names & {"TransportError", "ConnectionError"}:
        return Explanation(
            f"{endpoint} cannot be reached", "check the network, HF_ENDPOINT and proxies"
        )
    if names & _INVALID_RESPONSE:
        return Explanation(
            f"{endpoint} sent a response that is not from a Hub", "check HF_ENDPOINT and proxies"
        )
    return None
