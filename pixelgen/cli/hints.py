"""What to do about an error in terms of the command line, for errors that libraries raise."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "class-needed": "--class NAME; `pixelgen classes --weights NAME` lists them",
    "class-not-trained": "`pixelgen classes --weights REF` lists them",
    "device-unavailable": "--device cpu",
    "file-exists": "--force replaces it",
    "guidance-without-class": "--class NAME",
    "hub-offline": "leave out --offline and unset HF_HUB_OFFLINE",
    "hub-repo-not-found": "check the name; if it is private: `hf auth login`, HF_TOKEN or --token",
    "hub-timeout": "try again later; --offline uses only the cache",
    "hub-token-refused": "`hf auth login`, HF_TOKEN or --token",
    "hub-unexpected-error": "--debug shows more",
    "no-face-found": "--no-align for an already aligned crop",
    "no-such-face": "--face N",
    "only-reconstructs": "`pixelgen reconstruct`",
    "path-needs-classes": "--class NAME",
    "too-many-pixels": "--max-pixels N allows more",
    "unknown-class": "`pixelgen classes` lists them",
    "weights-not-cached": "`pixelgen weights pull OWNER/NAME` with network",
    "weights-not-listed": "`pixelgen weights` lists what is there",
}
"""By `PixelgenError.code`; replaces the hint of the library, which names no options."""
