"""Weights on the Hugging Face Hub: looking up, pulling into its own cache, and pushing.

Importing this brings no web client along; looking up, pulling and pushing do.
"""

from pixelgen.checkpoints.hub.cache import (
    CachedWeights,
    Removal,
    cached_weights,
    find_cached,
    plan_removal,
    require_cached,
)
from pixelgen.checkpoints.hub.pulling import (
    OnTransfer,
    PullPlan,
    RemoteRepo,
    Transfer,
    execute_pull,
    fetch,
    look_up,
    plan_pull,
)
from pixelgen.checkpoints.hub.pushing import PushResult, push
from pixelgen.checkpoints.hub_ref import HubRef, parse_hub_ref

__all__ = [
    "CachedWeights",
    "HubRef",
    "OnTransfer",
    "PullPlan",
    "PushResult",
    "RemoteRepo",
    "Removal",
    "Transfer",
    "cached_weights",
    "execute_pull",
    "fetch",
    "find_cached",
    "look_up",
    "parse_hub_ref",
    "plan_pull",
    "plan_removal",
    "push",
    "require_cached",
]
