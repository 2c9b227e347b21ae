"""Variables that a launcher sets, and those that an earlier one left."""

from __future__ import annotations

import pytest

from pixelgen.errors import UsageError
from pixelgen.jobs.process_share import ProcessShare

NAMES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
)


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def share(monkeypatch: pytest.MonkeyPatch, variables: str) -> ProcessShare:
    for variable in variables.split():
        monkeypatch.setenv(*variable.split("=", 1))
    return ProcessShare.of_this_process()


@pytest.mark.parametrize(
    ("variables", "rank", "count"),
    [
        ("", 0, 1),
        ("RANK=3", 0, 1),
        ("RANK=1 WORLD_SIZE=2", 1, 2),
        ("RANK=0 WORLD_SIZE=1 TORCHELASTIC_RUN_ID=none", 0, 1),
        ("RANK=1 WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x MASTER_ADDR=h MASTER_PORT=29500", 1, 2),
    ],
)
def test_shares(variables: str, rank: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = share(monkeypatch, variables)
    assert (found.rank, found.count) == (rank, count)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ("RANK=2 WORLD_SIZE=2", "inconsistent variables of a launcher: RANK=2 WORLD_SIZE=2"),
        ("RANK=x WORLD_SIZE=2", "inconsistent variables of a launcher: RANK=x"),
        ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=-1", "inconsistent variables of a launcher"),
        ("RANK=0 WORLD_SIZE=2 TORCHELASTIC_RUN_ID=none", "MASTER_ADDR= MASTER_PORT= name no other"),
        (
            "RANK=0 WORLD_SIZE=2 TORCHELASTIC_RUN_ID=x MASTER_ADDR=h MASTER_PORT=99999",
            "MASTER_PORT=99999 name no other processes",
        ),
    ],
)
def test_what_an_earlier_launch_left(
    variables: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        share(monkeypatch, variables)
    assert "unset" in caught.value.hint
