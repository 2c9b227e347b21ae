"""From a reference to weights to their folder: bundled, local, or on the Hub. No torch here."""

from __future__ import annotations

from pathlib import Path

from pixelgen.checkpoints.hub import OnTransfer, fetch
from pixelgen.checkpoints.hub_ref import parse_hub_ref
from pixelgen.checkpoints.source import Source, resolve_local, unknown_weights_error
from pixelgen.checkpoints.weights_cache import active_cache


def resolve_weights(
    ref: str | Path | Source, *, token: str | None = None, on_transfer: OnTransfer | None = None
) -> Source:
    """Weights by bundled name, else local folder, else Hub id `owner/name[@revision]`.

    What is newer on the Hub than in its cache is pulled, with progress reported to `on_transfer`;
    without network the cache is used. `token` is a token of the Hub; without it that of HF_TOKEN or
    `hf auth login` is used. Raises UsageError for a name or folder that does not exist,
    WeightsError for weights that the Hub does not provide.
    """
    if (source := resolve_local(ref)) is not None:
        return source
    name = str(ref)
    hub_ref = parse_hub_ref(name)
    if hub_ref is None:
        raise unknown_weights_error(name)
    cache = active_cache()
    if cache is None:
        return fetch(hub_ref, token=token, on_transfer=on_transfer)
    if name not in cache.sources:
        cache.sources[name] = fetch(hub_ref, token=token, on_transfer=on_transfer)
    cached: Source = cache.sources[name]
    return cached
