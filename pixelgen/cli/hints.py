"""What to do about an error, in terms of the command line: the only place that names options."""

from __future__ import annotations

HINTS: dict[str, str] = {
    "decoder-only-without-init": "add --init WEIGHTS",
    "evaluate-without-labels": "add --unconditional to measure without them",
    "evaluation-of-other-weights": "export without --evaluation, evaluate that, and export again",
    "export-folder-not-empty": "add --force to write into it",
    "folder-locked": "wait until it ends, or give another folder with -o",
    "folder-not-empty": "give another folder with -o",
    "init-and-resume": "give either --init or --resume",
    "no-run": "start a run with pixelgen train",
    "no-card-from-config": "add --keep-card to use the README.md beside it",
    "no-card-to-keep": "leave out --keep-card",
    "run-exists": "add --resume to continue it",
    "runs-differ-in-sampling": "resume one of them with --set sampling.KEY=VALUE",
    "semantic-without-teacher": "set autoencoder.semantic_weight, or add --init WEIGHTS that have "
    "semantic latents",
}
"""By `PixelgenError.code`; takes the place of the hint of the library."""
