"""`pixelgen doctor`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pixelgen.cli import doctor

from ..hub_server import Hub
from .conftest import Run


@pytest.fixture(autouse=True)
def bundled(weights: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `tiny` is what is bundled; the detector of faces takes a second, so it is left
    out."""
    root = tmp_path / "bundled"
    shutil.copytree(weights, root / "tiny")
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: root)
    monkeypatch.delitem(doctor.CHECKS, "faces")
    return root / "tiny"


def findings(run: Run, code: int = 0) -> dict[str, list[dict[str, str]]]:
    outcome = run("doctor", "--json")
    assert outcome.code == code, outcome.err
    facts = json.loads(outcome.out)
    assert facts["ok"] is (code == 0)
    return {name: [f for f in facts["checks"] if f["check"] == name] for name in doctor.CHECKS}


def test_all_is_well(run: Run) -> None:
    outcome = run("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(line.startswith("ok ") for line in outcome.out.splitlines())
    for part in ("Python", "torch", "tiny: pixelcnn", "1 files verified", "4×4 by tiny on", "hub-"):
        assert part in outcome.out
    assert run("doctor", "--quiet").out == ""
    found = findings(run)
    assert [f["state"] for f in found["upscaler"]] == ["ok"]
    assert [f["state"] for f in found["classifier"]] == ["ok"]
    assert [f["state"] for f in found["picture"]] == ["ok"]
    assert set(found["picture"][0]) == {"check", "state", "found", "do"}  # as docs/output.md says


def test_findings_do_not_name_the_home_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    outcome = run("doctor")
    assert str(tmp_path) not in outcome.out
    assert f"~{os.sep}hub-cache: " in outcome.out


def test_damaged_weights(run: Run, bundled: Path) -> None:
    path = bundled / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    (row,) = findings(run, 1)["weights"]
    assert (row["state"], row["found"]) == ("problem", "tiny: model.safetensors changed")
    assert "pip install --force-reinstall" in row["do"]
    outcome = run("doctor", "--quiet")
    assert outcome.out.startswith("problem  weights ")
    assert outcome.out.count("\n") == 1
    assert outcome.err == "error: problems with: weights\n"
    path.unlink()
    found = findings(run, 1)
    assert found["weights"][0]["found"] == "tiny: model.safetensors missing"
    assert found["picture"][0]["state"] == "problem"


def test_no_weights_at_all(run: Run, bundled: Path) -> None:
    shutil.rmtree(bundled)
    found = findings(run, 1)
    assert found["weights"][0]["found"] == "no weights are bundled"
    assert found["picture"] == []


def test_settings_that_make_no_sense(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELGEN_SCALE", "large")
    found = findings(run, 1)
    assert "PIXELGEN_SCALE must be" in found["settings"][0]["found"]
    assert found["versions"][0]["state"] == "ok"
    monkeypatch.delenv("PIXELGEN_SCALE")
    monkeypatch.setenv("PIXELGEN_DEVCIE", "cpu")
    assert [f["state"] for f in findings(run)["settings"]] == ["ok", "note"]


def test_a_device_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELGEN_DEVICE", "cuda:99")
    found = findings(run, 1)
    assert "device cuda:99 is not available" in found["devices"][0]["found"]
    assert found["devices"][0]["do"] == "--device cpu"


def test_the_cache(run: Run, hub: Hub, weights: Path) -> None:
    hub.add("owner/name", weights)
    assert run("weights", "pull", "owner/name").code == 0
    (row,) = findings(run)["cache"]
    assert "1 set of weights, " in row["found"]
    folder = Path(run("weights", "path", "owner/name").out.strip())
    (folder / "model.safetensors").unlink()
    rows = findings(run)["cache"]
    assert [f["state"] for f in rows] == ["ok", "note"]
    assert rows[1]["do"].startswith("`pixelgen weights pull owner/name@")


def test_a_look_that_fails_is_a_problem_and_the_others_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setitem(doctor.CHECKS, "devices", broken)
    found = findings(run, 1)
    assert found["devices"][0]["found"] == "RuntimeError: two lines"
    assert found["picture"][0]["state"] == "ok"
