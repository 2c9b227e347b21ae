"""`from_pretrained`, `save_pretrained` and `push_to_hub` of networks.

They are called as those of huggingface_hub's `PyTorchModelHubMixin`, whose import would take longer
than that of all networks; files are those of weights, which `pixelgen.load` reads.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch

Self = TypeVar("Self", bound="HubMethods")

_IMPLEMENTATION = "pixelgen.publishing.networks"
"""The module that does the work. It is named, not imported, since rooms import only downwards: the
networks themselves stay without files, and this is looked up when a method is called."""


class HubMethods:
    """Methods of a network that read and write weights."""

    @classmethod
    def from_pretrained(
        cls: type[Self],
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """The network of this class of weights: of a bundled name, a folder, or a Hub id
        `owner/name`. It is in evaluation mode, in float32, and its parameters can be trained.

        Raises UsageError for names that do not exist and weights that hold no such network,
        WeightsError for weights that the Hub does not give, PixelgenError for broken ones.
        """
        network: Self = import_module(_IMPLEMENTATION).load_network(
            cls, pretrained_model_name_or_path, revision=revision, token=token, device=device
        )
        return network

    def save_pretrained(self, save_directory: str | Path, **saving: Any) -> Path:
        """Write the network as weights into a folder, and return it; files of earlier weights are
        replaced. `saving` are arguments of `pixelgen.save`, such as `class_names`."""
        options = {"overwrite": True, **saving}
        folder: Path = import_module(_IMPLEMENTATION).save(self, save_directory, **options)
        return folder

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        private: bool = False,
        commit_message: str = "",
        license: str = "",
        **saving: Any,
    ) -> str:
        """Upload the network to the Hub repository `owner/name[@branch]` as weights, in one commit,
        and return the address of that. `license` is a licence id of the Hub, such as "cc-by-4.0";
        `saving` as for `save_pretrained`. Raises what `pixelgen.push_to_hub` raises."""
        pushed = import_module(_IMPLEMENTATION).push_network(
            self,
            repo_id,
            token=token,
            private=private,
            commit_message=commit_message,
            license=license,
            **saving,
        )
        url: str = pushed.url
        return url
