"""What a job did, as typed fields that become one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any


def json_field(
    *, key: str = "", digits: int | None = None, omit_none: bool = False, hidden: bool = False
) -> Any:
    """A field whose JSON has another `key` (its name if empty), numbers rounded to `digits`, no key
    where the value is None (`omit_none`), or none at all (`hidden`)."""
    return field(metadata={"key": key, "digits": digits, "omit_none": omit_none, "hidden": hidden})


@dataclass(frozen=True, kw_only=True)
class JsonFields:
    """A dataclass that becomes a JSON object in the order of its fields."""

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that the json module can write."""
        result = {}
        for one in fields(self):
            value, metadata = getattr(self, one.name), one.metadata
            if metadata.get("hidden") or (metadata.get("omit_none") and value is None):
                continue
            result[metadata.get("key") or one.name] = _json(value, metadata.get("digits"))
        return result


@dataclass(frozen=True, kw_only=True)
class Report(JsonFields):
    """What a job did."""

    def written(self) -> Sequence[str]:
        """The paths of the files to tell users of; none for what went to a stream."""
        return ()

    def details(self) -> Sequence[str]:
        """Lines for people before the summary."""
        return ()

    def summary(self) -> str:
        """What was done, in a line for people."""
        return ""

    def check(self) -> None:
        """Raise InputError where the job could not do all that was asked."""


def _json(value: Any, digits: int | None) -> Any:
    if isinstance(value, JsonFields):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, float) and digits is not None:
        return round(value, digits)
    if isinstance(value, list | tuple):
        return [_json(one, digits) for one in value]
    return value
