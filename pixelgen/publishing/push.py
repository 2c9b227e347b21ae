"""Upload a checkpoint folder to the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from pixelgen.checkpoints import Source, load_checkpoint, resolve_weights
from pixelgen.checkpoints.card import UNKNOWN_LICENSE, check_license
from pixelgen.checkpoints.config import CONFIG_FILE
from pixelgen.checkpoints.digests import verify
from pixelgen.checkpoints.hub import PushResult, parse_hub_ref, push
from pixelgen.checkpoints.hub.cache import cache_root
from pixelgen.checkpoints.layout import CARD_FILE, tensor_files
from pixelgen.errors import PixelgenError, UsageError
from pixelgen.files import read_file
from pixelgen.publishing.local_paths import names_local_path, public_config
from pixelgen.publishing.model_card import SHEET, card_from_config

_LARGEST_CARD = 2**22


def push_to_hub(
    weights: str | Path | Source,
    repo: str,
    *,
    token: str | None = None,
    private: bool = False,
    message: str = "",
    keep_card: bool = False,
    license: str = "",
    tell: Callable[[str], None] = lambda note: None,
) -> PushResult:
    """Upload weights (bundled name or folder) to the Hub repository `owner/name[@branch]`.

    One commit holds the configuration, the tensors, the sheet of samples if there is one, and a
    model card made from the recipe and the figures, or with `keep_card` the README.md beside them.
    A missing repository is created. `token` needs write access; by default it is that of HF_TOKEN
    or `hf auth login`. `license` is a licence id of the Hub for a generated card, instead of that
    in the recipe. `tell` is called with notes on the progress. Paths of this computer are left out
    of the configuration and the card. Raises PixelgenError, and uploads nothing, for weights that
    cannot be loaded or have changed since they were saved, for a licence that is unknown unless
    `license` says so, for files that are links out of their folder, and for a README.md to keep
    that names such paths.
    """
    check_license(license)
    target = parse_hub_ref(repo)
    if target is None:
        raise UsageError(f"{repo} is not a Hub id", "give owner/name, or owner/name@branch")
    if license and keep_card:
        raise UsageError(
            "a card that is kept has its own licence",
            "edit it, or leave out license",
            code="license-of-kept-card",
        )
    source = resolve_weights(weights, token=token)
    for check in verify(source):
        if check.state in ("changed", "missing"):
            what, why = f"weights {source.name}: ", check.why or f"{check.file} is {check.state}"
            raise PixelgenError(what + why.removeprefix(what), "export or pull them again")
    loaded = load_checkpoint(source).config
    config = public_config(loaded)
    files: dict[str, Path | bytes] = {
        name: source.path / name for name in (CONFIG_FILE, *tensor_files(config))
    }
    if config != loaded:
        files[CONFIG_FILE] = config.to_json()
    sheet, card = source.path / SHEET, source.path / CARD_FILE
    if sheet.is_file():
        files[SHEET] = sheet
    if not keep_card:
        made = card_from_config(config, target.repo, sheet.is_file())
        if license:
            made = replace(made, license=license)
        elif made.license == UNKNOWN_LICENSE:
            raise UsageError(
                f"the licence of {source.name} is unknown",
                'give license, such as "cc-by-4.0", or "unknown" to publish them all the same',
                code="license-unknown",
            )
        files[CARD_FILE] = str(made).encode()
    elif card.is_file():
        files[CARD_FILE] = card
    else:
        raise UsageError(
            f"no {CARD_FILE} in {source.path}", "set keep_card=False", code="no-card-to-keep"
        )
    _check_links(source, files.values())
    if files[CARD_FILE] == card and names_local_path(_text(card), loaded):
        raise UsageError(
            f"{CARD_FILE} in {source.path} names folders of this computer",
            "edit it, or set keep_card=False",
            code="private-card",
        )
    ref = replace(target, pushing=True)
    return push(ref, files, token=token, private=private, message=message, on_note=tell)


def _text(card: Path) -> str:
    try:
        return read_file(card, _LARGEST_CARD).decode("utf-8", "replace")
    except OSError as error:
        raise PixelgenError(f"cannot read {card}: {error.strerror or error}") from error


def _check_links(source: Source, files: Iterable[Path | bytes]) -> None:
    """Raises PixelgenError for a file that is a link out of its folder, which could lead to any
    file of this computer. Links within the Hub's cache are its way of storing files."""
    folder, cache = source.path.resolve(), cache_root().resolve()
    allowed = cache if folder.is_relative_to(cache) else folder
    for file in files:
        if isinstance(file, Path) and not file.resolve().is_relative_to(allowed):
            raise PixelgenError(
                f"weights {source.name}: {file.name} is a link out of their folder",
                "copy the file that it leads to into the folder",
            )
