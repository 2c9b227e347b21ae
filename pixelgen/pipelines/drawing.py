"""How the pictures of one call are drawn: sampling options, seed and batch size. No torch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from pixelgen.checkpoints import CheckpointConfig
from pixelgen.errors import UsageError
from pixelgen.sampling import SamplingOptions, SamplingOverrides

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LARGEST = 2**63 - 1


class DrawingArguments(SamplingOverrides, total=False):
    """What users may say about drawing: `SamplingOverrides`, and how it is carried out."""

    seed: int | None
    """Seed of all random numbers; None: a random one is chosen."""
    pick: int | None
    """Number, from 1, of the only picture to draw of those of the call; None: all."""
    batch_size: int
    """Pictures drawn side by side; the pictures do not depend on it."""


@dataclass(frozen=True)
class DrawingParameters:
    """How the pictures of one call are drawn, whatever they show."""

    seed: int
    """Seed of all random numbers."""
    options: SamplingOptions
    """The defaults of the weights, with what the user chose instead."""
    batch_size: int
    """Pictures drawn side by side; the pictures do not depend on it."""
    uses_vectors: bool = False
    """Whether `options.vector_temperature` is used: a condition vector is drawn for each picture
    first."""
    uses_candidates: bool = False
    """Whether `options.candidates` is used: of several pictures the best one is kept."""
    pick: int | None = None
    """Number, from 1, of the only picture that is drawn of those of the call; None: all."""
    default_schedule: str = "constant"
    """`guidance_schedule` of the weights."""

    @classmethod
    def from_arguments(
        cls,
        config: CheckpointConfig,
        *,
        conditional: bool = True,
        uses_vectors: bool = False,
        uses_candidates: bool = False,
        seed: int | None = None,
        pick: int | None = None,
        batch_size: int = 32,
        **sampling: Unpack[SamplingOverrides],
    ) -> DrawingParameters:
        """Arguments completed by the defaults of the weights and, without `seed`, a random one.

        Unless `conditional`, there is no guidance. Raises UsageError for bad values, and for
        options that would have no effect. Whether there is a picture number `pick` is for `picks`
        to check.
        """
        batch_size = check_whole("batch_size", batch_size, 1)
        seed = random_seed() if seed is None else check_whole("seed", seed, 0)
        pick = None if pick is None else check_whole("pick", pick, 1)
        if not uses_vectors and sampling.get("vector_temperature") is not None:
            raise UsageError("vector_temperature has no effect: no vectors of classes are drawn")
        if not uses_candidates and sampling.get("candidates") is not None:
            raise UsageError(
                "candidates has no effect: neither portraits nor pictures of classes are drawn"
            )
        defaults = config.sampling if conditional else replace(config.sampling, guidance=1.0)
        try:
            options = defaults.with_overrides(**sampling)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if options.guidance == 1 and sampling.get("guidance_schedule") is not None:
            raise UsageError("guidance_schedule has no effect: there is no guidance")
        schedule = defaults.guidance_schedule
        return cls(seed, options, batch_size, uses_vectors, uses_candidates, pick, schedule)

    def picks(self, count: int) -> Sequence[int]:
        """Numbers, from 1, of the pictures that are drawn of `count`: all, or `pick` alone. Raises
        UsageError where there is no picture of this number."""
        if self.pick is None:
            return range(1, count + 1)
        if self.pick > count:
            raise UsageError(
                f"there is no picture {self.pick}: this call draws {count} in all",
                "give n and all other parameters as in the call that drew it",
                code="no-such-picture",
            )
        return [self.pick]

    def parameters(self) -> dict[str, Any]:
        """All options, beside the seed, that decide how the pictures come out; JSON-ready."""
        guided = self.options.guidance != 1
        used = {
            "guidance_schedule": guided,
            "vector_temperature": self.uses_vectors,
            "candidates": self.uses_candidates,
        }
        parameters = self.options.to_dict(omit=[name for name, yes in used.items() if not yes])
        if guided and self.default_schedule != "constant":
            # A missing one would be read as that of the weights.
            parameters["guidance_schedule"] = self.options.guidance_schedule
        return parameters


def random_seed() -> int:
    """A seed for a call without one."""
    return secrets.randbelow(2**31)


def check_whole(name: str, value: SupportsIndex, least: int) -> int:
    """`value`, an integer of any type, such as NumPy's, as an int. Raises UsageError for a value
    that is not a whole number, is below `least`, or has more than 63 bits."""
    try:
        whole = index(value)
    except TypeError:
        raise UsageError(f"{name} must be a whole number, not {value!r}") from None
    if not least <= whole <= _LARGEST:
        limit = f"at least {least}" if whole < least else "below 2^63"
        raise UsageError(f"{name} must be {limit}, not {whole}")
    return whole
