"""Weights on the Hugging Face Hub: looked up, pulled into its own cache, and pushed.

Importing this brings no web client along; looking up, pulling and pushing do.
"""

from pixelgen.checkpoints.hub.cache import CachedWeights, Removal, cached, cached_weights, removal
from pixelgen.checkpoints.hub.errors import HubRef
from pixelgen.checkpoints.hub.pulling import (
    Plan,
    Remote,
    Transfer,
    Watch,
    look_up,
    obtain,
    plan,
    pull,
)
from pixelgen.checkpoints.hub.pushing import Pushed, push

__all__ = [
    "CachedWeights",
    "HubRef",
    "Plan",
    "Pushed",
    "Remote",
    "Removal",
    "Transfer",
    "Watch",
    "cached",
    "cached_weights",
    "look_up",
    "obtain",
    "plan",
    "pull",
    "push",
    "removal",
]
