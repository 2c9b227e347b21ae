"""`pixelgen weights` and its commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from ..hub_faults import status
from ..hub_server import TOKEN, Hub
from .conftest import Run

COMMANDS = ("list", "show", "path", "pull", "push", "verify", "remove")


@pytest.fixture(autouse=True)
def only_tiny(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny` is what is bundled."""
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: weights.parent)


def test_help(run: Run) -> None:
    outcome = run("weights", "--help")
    assert outcome.code == 0
    assert all(name in outcome.out for name in COMMANDS)
    for name in COMMANDS:
        assert run("weights", name, "--help").code == 0


def test_list(run: Run, hub: Hub, weights: Path) -> None:
    row = f"tiny  pixelcnn  4×4  2 classes  0.0 MB  {weights}\n"
    assert run("weights").out == run("weights", "list").out == row
    old = hub.add("owner/name", weights)
    hub.repos["owner/name"].refs["v1"] = old
    for ref in ("owner/name", "owner/name@v1"):
        assert run("weights", "pull", ref).code == 0
    outcome = run("weights")
    assert outcome.out.startswith(row.replace("tiny  ", "tiny        "))
    assert "\nowner/name  pixelcnn  4×4  2 classes  0.0 MB  " in outcome.out
    rows = json.loads(run("weights", "--json").out)
    assert rows == json.loads(run("weights", "list", "--json").out)
    assert rows[0] == {
        "name": "tiny",
        "path": str(weights),
        "kind": "pixelcnn",
        "width": 4,
        "height": 4,
        "classes": 2,
        "bottlenecks": [],
        "megabytes": 0.0,
        "commit": None,
        "refs": [],
        "complete": True,
    }
    assert (rows[1]["name"], rows[1]["commit"]) == ("owner/name", old)
    assert (rows[1]["refs"], rows[1]["complete"]) == (["main", "v1"], True)


def test_an_option_in_the_wrong_place(run: Run) -> None:
    outcome = run("weights", "--json", "show", "tiny")
    assert (outcome.code, outcome.out) == (2, "")
    assert "weights show … --json" in outcome.err


def test_nothing_at_all(
    run: Run, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixelgen.checkpoints.source.weights_root", lambda: tmp_path)
    assert (run("weights", "--json").out, run("weights").out) == ("[]\n", "")
    assert run("weights", "verify", "--json").out == "[]\n"


def test_show(run: Run, hub: Hub, weights: Path) -> None:
    outcome = run("weights", "show", "tiny")
    lines = dict(line.split(None, 1) for line in outcome.out.splitlines())
    assert (lines["kind"], lines["picture"], lines["classes"]) == (
        "pixelcnn",
        "4×4, 3 channels",
        "2",
    )
    assert lines["sampling"] == "temperature 0.9, top-p 1, guidance 1"
    assert lines["path"] == str(weights)
    facts = json.loads(run("weights", "show", weights, "--json").out)
    assert (facts["path"], facts["kind"], facts["labels"]) == (str(weights), "pixelcnn", [8, 207])
    assert facts["files"]["model.safetensors"] == (weights / "model.safetensors").stat().st_size

    commit = hub.add("owner/name", weights)
    facts = json.loads(run("weights", "show", "owner/name", "--json").out)
    assert (facts["path"], facts["revision"], facts["kind"]) == (None, commit, "pixelcnn")
    assert hub.count("GET /cdn") == 0
    assert (
        "`pixelgen weights pull owner/name` fetches it" in run("weights", "show", "owner/name").out
    )
    run("weights", "pull", "owner/name")
    facts = json.loads(run("weights", "show", "owner/name", "--json").out)
    assert Path(facts["path"]).is_dir()


def test_show_says_what_the_training_started_from(run: Run, weights: Path) -> None:
    assert "started from" not in run("weights", "show", weights).out
    config = json.loads((weights / "config.json").read_text())
    config["training"] = {"steps": 5, "started_from": "owner/base"}
    (weights / "config.json").write_text(json.dumps(config))
    out = run("weights", "show", weights).out
    assert "trained       5 steps\nstarted from  owner/base\n" in out


def test_path(run: Run, hub: Hub, weights: Path) -> None:
    assert run("weights", "path", "tiny").out == f"{weights}\n"
    hub.add("owner/name", weights)
    outcome = run("weights", "path", "owner/name")
    assert (outcome.code, outcome.out) == (4, "")
    assert "not in the cache (`pixelgen weights pull OWNER/NAME` while online)" in outcome.err
    pulled = run("weights", "pull", "owner/name").out
    assert run("weights", "path", "owner/name").out == pulled
    for ref, code in (("nowhere", 2), ("", 2), ("./nowhere", 2), (weights / "config.json", 2)):
        assert run("weights", "path", ref).code == code


def test_pull(run: Run, hub: Hub, weights: Path) -> None:
    commit = hub.add("owner/name", weights)
    size = (weights / "model.safetensors").stat().st_size
    outcome = run("weights", "pull", "owner/name", "--dry-run")
    assert "README.md          to fetch" in outcome.out
    assert (
        json.loads(run("weights", "pull", "owner/name", "--dry-run", "--json").out)["path"] is None
    )
    assert hub.count("GET /cdn") == 0

    outcome = run("weights", "pull", "owner/name")
    assert outcome.code == 0
    folder = Path(outcome.out.removesuffix("\n"))
    assert (folder.name, folder.is_dir()) == (commit, True)
    assert f"model.safetensors {size / 1e3:.1f} kB" in outcome.err
    assert "to fetch, " in outcome.err
    assert f"verified; owner/name@{commit} always means these files" in outcome.err

    outcome = run("weights", "pull", f"owner/name@{commit}", "--json")
    facts = json.loads(outcome.out)
    assert (facts["name"], facts["revision"], facts["path"]) == ("owner/name", commit, str(folder))
    assert facts["bytes_to_fetch"] == 0
    assert {row["file"] for row in facts["files"]} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert run("weights", "pull", "owner/name", "--quiet").err == ""


def test_a_bar_on_a_terminal(
    run: Run, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes anything for a terminal
    monkeypatch.setattr("pixelgen.cli.downloads.shows_progress", lambda: True)
    hub.add("owner/name", weights)
    outcome = run("weights", "pull", "owner/name")
    assert "━" in outcome.err
    assert "fetching" not in outcome.err
    assert outcome.out.count("\n") == 1


def test_pull_refuses(run: Run, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ref in ("tiny", weights, "a/b/c", ""):
        outcome = run("weights", "pull", ref)
        assert (outcome.code, "is not a Hub id" in outcome.err) == (2, True)
    hub.add("owner/name", weights, private=True)
    assert run("weights", "pull", "owner/name").code == 4
    assert run("weights", "pull", "owner/name", "--token", TOKEN).code == 0
    hub.when("GET /api", status(503, Retry_After="600"))
    outcome = run("weights", "pull", "owner/name", "--token", TOKEN)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (4, "", 1)
    assert "it asks to try again in 600 s" in outcome.err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    outcome = run("weights", "pull", "owner/name")
    assert (outcome.code, "the cache has all its files" in outcome.err) == (4, True)
    for words in (("show", "other/name"), ("push", "tiny", "other/name", "--license", "cc0-1.0")):
        outcome = run("weights", *words)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (4, "", 1)


def test_push(run: Run, hub: Hub, weights: Path) -> None:
    outcome = run("weights", "push", "tiny", "owner/name", "--token", TOKEN)
    assert (outcome.code, "--license ID" in outcome.err) == (2, True)
    licensed = ("--license", "cc0-1.0")
    outcome = run("weights", "push", "tiny", "owner/name", "--token", TOKEN, *licensed)
    assert outcome.code == 0, outcome.err
    commit = hub.repos["owner/name"].refs["main"]
    assert outcome.out == f"owner/name@{commit}\n"
    assert outcome.err == f"uploading 3 files, 0.0 MB\n3 files at {hub.url}/owner/name\n"
    assert run("weights", "pull", outcome.out.strip()).code == 0
    words = ("push", weights, "owner/two", "--token", TOKEN, "--private", "--json", "-m", "x")
    outcome = run("weights", *words, *licensed)
    facts = json.loads(outcome.out)
    assert (facts["name"], facts["url"]) == ("owner/two", f"{hub.url}/owner/two")
    assert hub.repos["owner/two"].private
    outcome = run("weights", "push", weights, "owner/three", *licensed)
    assert (outcome.code, outcome.out) == (1, "")
    assert "HF_TOKEN or --token" in outcome.err


def test_verify(run: Run, hub: Hub, weights: Path, tmp_path: Path) -> None:
    outcome = run("weights", "verify")
    assert outcome.code == 0
    assert outcome.out.startswith("ok       tiny/model.safetensors  ")
    hub.add("owner/name", weights)
    for looked_at in (("show", "owner/name"), ("pull", "owner/name", "--dry-run")):
        assert run("weights", *looked_at).code == 0
        assert run("weights", "verify", "-q").code == 0
        assert run("weights", "remove", "owner/name", "--yes").code == 0
    folder = Path(run("weights", "pull", "owner/name").out.strip())
    rows = json.loads(run("weights", "verify", "owner/name", "--json").out)
    assert {row["state"] for row in rows} == {"ok"}
    assert len(rows) == 3
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"x")
    (folder / "README.md").resolve().unlink()
    outcome = run("weights", "verify")
    assert outcome.code == 1
    assert f"changed  owner/name@{folder.name}/model.safetensors" in outcome.out
    cure = f"`pixelgen weights pull owner/name@{folder.name}` fetches the damaged files"
    assert outcome.err == f"error: damaged: owner/name@{folder.name} ({cure})\n"
    assert run("weights", "pull", f"owner/name@{folder.name}").code == 0
    assert run("weights", "verify", "-q").code == 0

    mine = tmp_path / "mine"
    shutil.copytree(weights, mine)
    (mine / "model.safetensors").unlink()
    assert "missing  mine/model.safetensors" in run("weights", "verify", mine).out
    (mine / "config.json").write_text("{")
    outcome = run("weights", "verify", mine)
    assert (outcome.code, "not valid JSON" in outcome.out) == (1, True)
    assert run("weights", "verify", "owner/other").code == 4
    assert run("weights", "verify", "nowhere").code == 2


def test_remove(run: Run, hub: Hub, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("owner/name", weights)
    folder = Path(run("weights", "pull", "owner/name").out.strip())
    outcome = run("weights", "remove", "owner/name")
    assert (outcome.code, folder.is_dir()) == (2, True)
    assert "owner/name: 1 revision, " in outcome.err
    monkeypatch.setattr("sys.stdin", None)
    assert run("weights", "remove", "owner/name").code == 2
    outcome = run("weights", "remove", "owner/name", "--yes")
    assert (outcome.code, folder.exists(), outcome.out) == (0, False, "")
    assert outcome.err.startswith("removed owner/name: 1 revision, ")
    run("weights", "pull", "owner/name")
    facts = json.loads(run("weights", "remove", "owner/name", "-y", "--json").out)
    assert (facts["revisions"], facts["refs"]) == ([folder.name], ["main"])
    hub.repos["owner/name"].refs["v1"] = folder.name
    for pulled in ("owner/name", "owner/name@v1"):
        run("weights", "pull", pulled)
    for option in ((), ("--yes",)):  # what goes along is said before and after
        outcome = run("weights", "remove", "owner/name@v1", *option)
        assert "owner/name@v1 (also main): 1 revision, " in outcome.err
    for unknown in ("owner/name", "tiny", weights, "nowhere"):
        assert run("weights", "remove", unknown, "--yes").code == 2
    assert weights.is_dir()


def test_other_commands_fetch_what_they_need(run: Run, hub: Hub, weights: Path) -> None:
    commit = hub.add("owner/name", weights)
    outcome = run("sample", "--weights", "owner/name", "--seed", "1", "--class", "8", "--json")
    assert outcome.code == 0, outcome.err
    facts = json.loads(outcome.out)
    assert (facts["weights"], facts["revision"]) == ("owner/name", commit)
    size = sum((weights / name).stat().st_size for name in ("model.safetensors", "README.md"))
    assert outcome.err == f"fetching owner/name, {size / 1e3:.1f} kB\n"
    outcome = run("sample", "--weights", "owner/name", "--seed", "1", "--class", "8", "--json")
    assert outcome.err == ""
    outcome = run("sample", "--weights", "owner/nothing")
    assert (outcome.code, outcome.out) == (4, "")
