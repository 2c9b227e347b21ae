"""What to do about an error in terms of the command line, for errors that libraries raise."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "class-needed": "--class NAME; `pixelgen classes --weights NAME` lists them",
    "class-not-trained": "`pixelgen classes --weights REF` lists them",
    "decoder-only-without-init": "add --init WEIGHTS",
    "device-unavailable": "--device cpu",
    "evaluate-without-labels": "add --unconditional to measure without them",
    "evaluation-of-other-weights": "export without --evaluation, evaluate that, and export again",
    "export-folder-not-empty": "add --force to write into it",
    "file-exists": "--force replaces it",
    "folder-locked": "wait until it ends, or give another folder with -o",
    "folder-not-empty": "give another folder with -o",
    "guidance-without-class": "--class NAME",
    "hub-offline": "leave out --offline and unset HF_HUB_OFFLINE",
    "hub-repo-not-found": "check the name; if it is private: `hf auth login`, HF_TOKEN or --token",
    "hub-timeout": "try again later; --offline uses only the cache",
    "hub-token-refused": "`hf auth login`, HF_TOKEN or --token",
    "hub-unexpected-error": "--debug shows more",
    "init-and-resume": "give either --init or --resume",
    "no-card-from-config": "add --keep-card to use the README.md beside it",
    "no-card-to-keep": "leave out --keep-card",
    "no-face-found": "--no-align for an already aligned crop",
    "no-run": "start a run with pixelgen train",
    "no-such-face": "--face N",
    "only-reconstructs": "`pixelgen reconstruct`",
    "path-needs-classes": "--class NAME",
    "run-exists": "add --resume to continue it",
    "runs-differ-in-sampling": "resume one of them with --set sampling.KEY=VALUE",
    "semantic-without-teacher": "set autoencoder.semantic_weight, or add --init WEIGHTS that have "
    "semantic latents",
    "too-many-pixels": "--max-pixels N allows more",
    "unknown-class": "`pixelgen classes` lists them",
    "weights-not-cached": "`pixelgen weights pull OWNER/NAME` with network",
    "weights-not-listed": "`pixelgen weights` lists what is there",
}
"""By `PixelgenError.code`; replaces the hint of the library, which names no options."""
