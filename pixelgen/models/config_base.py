"""The base class of all configurations, and checks of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar, get_args

from pixelgen.errors import did_you_mean

_C = TypeVar("_C", bound="Config")


def require(condition: bool, message: str) -> None:
    """Raises ValueError unless the condition holds."""
    if not condition:
        raise ValueError(message)


def check_bits(name: str, value: object) -> None:
    """Raises ValueError for a whole number of more than 63 bits: no tensor takes one."""
    if isinstance(value, int):
        require(-(2**63) <= value < 2**63, f"{name} must be below 2^63, not {value}")


def one_of(name: str, value: object, choices: Any) -> None:
    """Raises ValueError unless `value` is one of the texts of a Literal type."""
    allowed = get_args(choices)
    require(value in allowed, f"{name} must be one of {', '.join(allowed)}, not {value!r}")


@dataclass(frozen=True)
class Config:
    """A configuration that can be written as a dictionary; its key "model" names the class."""

    model: ClassVar[str]
    kind: ClassVar[str] = ""
    """Of weights that hold this network alone, as `config.json` says it."""
    network: ClassVar[str] = ""
    """The class of the network, "package.module:Class"."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary from which `from_dict` rebuilds the configuration."""
        return {"model": self.model, **asdict(self)}

    @classmethod
    def from_dict(cls: type[_C], values: Mapping[str, Any]) -> _C:
        """Inverse of `to_dict`. Raises ValueError for unknown keys and values of a wrong type."""
        return cls(**cls.checked(values))

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` as keyword arguments. Raises ValueError for unknown keys and wrong types."""
        known = {f.name: f for f in fields(cls)}
        given = {k: v for k, v in values.items() if k != "model"}
        if values.get("model", cls.model) != cls.model:
            raise ValueError(f"this is the configuration of a {values['model']}, not {cls.model}")
        for key, value in given.items():
            if key not in known:
                near = did_you_mean(key, known, quoted=True)
                raise ValueError(f"unknown key {key!r} for {cls.model}{near}")
            default = known[key].default
            if default is not MISSING:
                expected = type(default)
                fits = isinstance(value, expected) or (expected is float and isinstance(value, int))
                if not fits or (expected is not bool and isinstance(value, bool)):
                    raise ValueError(f"{key} must be of type {expected.__name__}, not {value!r}")
                check_bits(key, value)
        return given
