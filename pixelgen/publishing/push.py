"""Upload a checkpoint folder to the Hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pixelgen.checkpoints import Source, load_checkpoint, resolve_weights
from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.checkpoints.digests import verify
from pixelgen.checkpoints.hub import PushResult, parse_hub_ref, push
from pixelgen.checkpoints.layout import CARD_FILE, tensor_files
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.publishing.model_card import SHEET, card_from_config


def push_to_hub(
    weights: str | Path | Source,
    repo: str,
    *,
    token: str | None = None,
    private: bool = False,
    message: str = "",
    keep_card: bool = False,
    tell: Callable[[str], None] = lambda note: None,
) -> PushResult:
    """Upload weights (bundled name or folder) to the Hub repository `owner/name[@branch]`.

    One commit holds the configuration, the tensors, the sheet of samples if there is one, and a
    model card made from the recipe and the figures, or with `keep_card` the README.md beside them.
    A missing repository is created. `token` needs write access; by default it is that of HF_TOKEN
    or `hf auth login`. `tell` is called with notes on the progress. Raises PixelgenError, and
    uploads nothing, for weights that cannot be loaded or have changed since they were saved.
    """
    target = parse_hub_ref(repo)
    if target is None:
        raise UsageError(f"{repo} is not a Hub id", "give owner/name, or owner/name@branch")
    source = resolve_weights(weights, token=token)
    for check in verify(source):
        if check.state in ("changed", "missing"):
            why = check.why or f"{check.file} is {check.state}"
            raise PixelgenError(f"weights {source.name}: {why}", "export or pull them again")
    config = load_checkpoint(source).config
    files: dict[str, Path | bytes] = {
        name: source.path / name for name in (CONFIG_FILE, *tensor_files(config))
    }
    sheet, card = source.path / SHEET, source.path / CARD_FILE
    if sheet.is_file():
        files[SHEET] = sheet
    if not keep_card:
        files[CARD_FILE] = str(card_from_config(config, target.repo, sheet.is_file())).encode()
    elif card.is_file():
        files[CARD_FILE] = card
    else:
        raise UsageError(
            f"no {CARD_FILE} in {source.path}", "set keep_card=False", code="no-card-to-keep"
        )
    ref = replace(target, pushing=True)
    return push(ref, files, token=token, private=private, message=message, on_note=tell)
