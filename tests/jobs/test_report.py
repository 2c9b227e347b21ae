"""Reports become JSON objects in the order of their fields."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pixelgen.jobs.report import JsonFields, Report, json_field


@dataclass(frozen=True, kw_only=True)
class Row(JsonFields):
    share: float = json_field(digits=2)


@dataclass(frozen=True, kw_only=True)
class Table(Report):
    rows: list[Row]
    label: int | None = json_field(key="class")
    bits: list[float | None] = json_field(digits=1)
    exact: float
    gone: str | None = json_field(omit_none=True)
    unit: str = json_field(hidden=True)


def test_keys_order_and_digits() -> None:
    table = Table(
        rows=[Row(share=0.126)], label=None, bits=[1.26, None], exact=0.126, gone=None, unit="bits"
    )
    assert json.dumps(table.to_dict()) == (
        '{"rows": [{"share": 0.13}], "class": null, "bits": [1.3, null], "exact": 0.126}'
    )
