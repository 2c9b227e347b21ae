"""What is pushed to a stand-in for the Hub, and comes back from it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from pixelgen import PixelgenError, push_to_hub
from pixelgen.checkpoints import load_checkpoint, resolve_weights
from pixelgen.cli.errors import exit_code_of
from pixelgen.errors import UsageError

from ..hub_faults import status
from ..hub_server import TOKEN, Hub

RECIPE = """
[model]
model = "gated_pixelcnn"
classes = 2

[data]
path = "pictures"
holdout = 7

[card]
summary = "Very small pictures."
license = "cc-by-nc-4.0"
limits = ["Stripes only."]
"""


@pytest.fixture
def mine(weights: Path, tmp_path: Path) -> Path:
    """Weights with a recipe, figures, a sheet of samples, and files that are nobody's business."""
    folder = tmp_path / "mine"
    shutil.copytree(weights, folder)
    config = json.loads((folder / "config.json").read_text())
    figure = {"bits_per_dim": 3.21, "standard_error": 0.01}
    measured = {"data": "pictures", "split": "s", "images": 9, "conditional": figure}
    config["training"] = {
        "steps": 30,
        "images": 60,
        "minutes": 1.0,
        "held_out_bits_per_dim": 4.5,
        "recipe": RECIPE,
        "evaluation": {**measured, "reconstruction": None},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "samples.png").write_bytes(b"a picture")
    (folder / "secret.env").write_text("PASSWORD=1")
    return folder


def test_there_and_back(hub: Hub, mine: Path) -> None:
    pushed = push_to_hub(mine, "owner/name", token=TOKEN)
    held = hub.repos["owner/name"].commits[pushed.commit]
    assert set(held) == {"config.json", "model.safetensors", "README.md", "samples.png"}
    assert pushed.url == f"{hub.url}/owner/name"
    loaded = load_checkpoint(f"owner/name@{pushed.commit}")
    expected = load_checkpoint(mine).model.state_dict()
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_the_card_is_made_of_recipe_and_figures(hub: Hub, mine: Path) -> None:
    pushed = push_to_hub(mine, "owner/name", token=TOKEN)
    card = hub.repos["owner/name"].commits[pushed.commit]["README.md"].decode()
    assert card.startswith('---\nlicense: "cc-by-nc-4.0"\nlibrary_name: "pixelgen"\n')
    assert "# owner/name" in card
    assert "Very small pictures." in card
    assert "pixelgen sample --weights owner/name --class 8" in card
    again = "`pixelgen evaluate owner/name --data pictures --split s`"
    assert f"| bits/dim, conditional, s split, 9 pictures | 3.2100 ± 0.0100 | {again} |" in card
    held_out = "given the class, 7 pictures held out of the train split"
    assert f"| bits/dim, {held_out} | 4.5000 |" in card
    assert "30 steps" in card
    assert RECIPE in card
    assert "](samples.png)" in card
    assert "- Stripes only." in card


def test_the_card_beside_the_weights_can_be_kept(hub: Hub, mine: Path) -> None:
    pushed = push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True)
    assert hub.repos["owner/name"].commits[pushed.commit]["README.md"] == b"# tiny\n"
    (mine / "README.md").unlink()
    with pytest.raises(PixelgenError, match=r"no README\.md") as caught:
        push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True)
    assert isinstance(caught.value, UsageError)


def test_no_path_of_this_computer_is_published(
    hub: Hub, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((mine / "config.json").read_text())
    config["data"] = {"path": str(tmp_path / "pictures"), "label": "owner/name"}
    training = config["training"]
    training["evaluation"]["data"] = "../pictures"
    recipe = RECIPE.replace('"pictures"', f"'{tmp_path / 'pictures'}'")
    training["recipe"] = recipe.replace("[card]", '[card]\ndata = "See ../pictures."')
    training["started_from"] = "~/runs/first"
    training["before"] = {k: training[k] for k in ("steps", "images", "minutes", "recipe")}
    (mine / "config.json").write_text(json.dumps(config))
    pushed = push_to_hub(mine, "owner/name", token=TOKEN)
    held = hub.repos["owner/name"].commits[pushed.commit]
    assert not [name for name, data in held.items() if os.fsencode(tmp_path) in data]
    card, published = held["README.md"].decode(), json.loads(held["config.json"])
    assert "pixelgen evaluate owner/name --data pictures --split s" in card
    assert "pixelgen train --init first" in card
    assert published["data"] == {"path": "pictures", "label": "owner/name"}
    expected = RECIPE.replace("[card]", '[card]\ndata = "See ../pictures."')
    assert published["training"]["recipe"] == expected
    assert published["sha256"] == config["sha256"]
    with monkeypatch.context() as patch:
        patch.setenv("HOME", "/")  # as in some containers
        (mine / "README.md").write_text("see https://example.com")
        push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True)
    for text in (f"data in {tmp_path / 'pictures'}", f"see {Path.home() / 'notes'}"):
        (mine / "README.md").write_text(text)
        with pytest.raises(UsageError, match=r"README\.md .* names folders of this computer"):
            push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True)


@pytest.mark.parametrize("name", ["README.md", "samples.png", "model.safetensors", "config.json"])
def test_what_a_link_leads_to_is_not_published(
    name: str, hub: Hub, mine: Path, tmp_path: Path
) -> None:
    (mine / name).rename(tmp_path / "elsewhere")
    try:
        (mine / name).symlink_to(tmp_path / "elsewhere")
    except OSError:
        pytest.skip("no links")
    with pytest.raises(PixelgenError, match=f"{name} is a link out of their folder"):
        push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True)
    assert hub.requests == []


def test_links_within_a_folder_and_within_the_cache_are_files(hub: Hub, mine: Path) -> None:
    (mine / "samples.png").rename(mine / "sheet.png")
    try:
        (mine / "samples.png").symlink_to("sheet.png")
    except OSError:
        pytest.skip("no links")
    first = push_to_hub(mine, "owner/name", token=TOKEN)
    assert hub.repos["owner/name"].commits[first.commit]["samples.png"] == b"a picture"
    pulled = resolve_weights("owner/name")
    for weights in ("owner/name", pulled.path):
        assert push_to_hub(weights, "owner/copy", token=TOKEN).commit


def test_weights_without_a_recipe_have_a_short_card(hub: Hub, weights: Path) -> None:
    pushed = push_to_hub(weights, "owner/name", token=TOKEN, license="cc0-1.0")
    card = hub.repos["owner/name"].commits[pushed.commit]["README.md"].decode()
    assert "Weights of pixelgen, pixelcnn, for pictures of 4×4." in card
    assert card.startswith('---\nlicense: "cc0-1.0"\n')


def test_an_unknown_licence_is_not_published_unsaid(hub: Hub, weights: Path) -> None:
    with pytest.raises(UsageError, match="the licence of tiny is unknown") as caught:
        push_to_hub(weights, "owner/name", token=TOKEN)
    assert "give license" in caught.value.hint
    assert not hub.repos
    pushed = push_to_hub(weights, "owner/name", token=TOKEN, license="unknown")
    card = hub.repos["owner/name"].commits[pushed.commit]["README.md"].decode()
    assert card.startswith('---\nlicense: "unknown"\n')


def test_again_and_to_a_branch(hub: Hub, mine: Path) -> None:
    first = push_to_hub(mine, "owner/name", token=TOKEN)
    assert push_to_hub(mine, "owner/name", token=TOKEN).commit == first.commit
    hub.repos["owner/name"].refs["v2"] = first.commit
    (mine / "samples.png").write_bytes(b"another picture")
    second = push_to_hub(mine, "owner/name@v2", token=TOKEN)
    assert second.commit != first.commit
    assert hub.repos["owner/name"].refs == {"main": first.commit, "v2": second.commit}
    assert hub.count("PUT /upload") == 3


def test_private_and_by_variable(hub: Hub, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push_to_hub(mine, "owner/name", private=True)
    assert hub.repos["owner/name"].private


REFUSED = {
    "no token": ("owner/name", None, "push to owner/name: the token is refused, or missing"),
    "wrong token": ("owner/name", "hf_wrong", "the token is refused"),
    "not mine": ("others/name", TOKEN, "the token does not permit this"),
    "no id": ("name", TOKEN, "name is not a Hub id"),
}


@pytest.mark.parametrize(("repo", "token", "says"), REFUSED.values(), ids=REFUSED)
def test_refusals(repo: str, token: str | None, says: str, hub: Hub, mine: Path) -> None:
    with pytest.raises(PixelgenError, match=says) as caught:
        push_to_hub(mine, repo, token=token)
    assert caught.value.hint
    assert exit_code_of(caught.value) == (2 if repo == "name" else 1)
    assert hub.repos == {}


def test_broken_weights_are_not_published(hub: Hub, mine: Path) -> None:
    path = mine / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(PixelgenError, match=r"model\.safetensors is changed"):
        push_to_hub(mine, "owner/name", token=TOKEN)
    config = json.loads((mine / "config.json").read_text())
    del config["sha256"]
    (mine / "config.json").write_text(json.dumps(config))
    with pytest.raises(PixelgenError, match="not a readable safetensors file"):
        push_to_hub(mine, "owner/name", token=TOKEN)
    assert hub.requests == []


def test_figures_that_are_not_ours(hub: Hub, mine: Path) -> None:
    config = json.loads((mine / "config.json").read_text())
    config["training"]["evaluation"] = {"accuracy": 1}
    (mine / "config.json").write_text(json.dumps(config))
    with pytest.raises(PixelgenError, match="no card can be made") as caught:
        push_to_hub(mine, "owner/name", token=TOKEN)
    assert "keep_card=True" in caught.value.hint
    assert caught.value.code == "no-card-from-config"
    assert push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True).commit


def test_offline(hub: Hub, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PixelgenError, match="in offline mode"):
        push_to_hub(mine, "owner/name", token=TOKEN)


def test_a_push_is_whole_or_nothing(hub: Hub, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    hub.when("POST .*/commit/", status(500))
    with pytest.raises(PixelgenError, match="the Hub answers 500"):
        push_to_hub(mine, "owner/name", token=TOKEN)
    assert list(hub.repos["owner/name"].commits.values()) == [{}]
    hub.rules.clear()
    hub.when("POST .*/commit/", status(429, Retry_After="3"), times=1)
    notes: list[str] = []
    push_to_hub(mine, "owner/name", token=TOKEN, tell=notes.append)
    assert notes == ["uploading 4 files, 0.0 MB", "the Hub is busy, it asks to wait 3 s"]
    assert naps[-1] == 3


def test_a_branch_that_is_not_there(hub: Hub, mine: Path) -> None:
    first = push_to_hub(mine, "owner/name", token=TOKEN)
    with pytest.raises(PixelgenError, match="push to owner/name@v9: no such revision"):
        push_to_hub(mine, "owner/name@v9", token=TOKEN)
    assert hub.repos["owner/name"].refs == {"main": first.commit}


def test_a_branch_of_no_repository_makes_none(hub: Hub, mine: Path) -> None:
    with pytest.raises(PixelgenError, match="push to owner/other@dev"):
        push_to_hub(mine, "owner/other@dev", token=TOKEN)
    assert "owner/other" not in hub.repos


def test_a_kept_card_has_its_own_license(hub: Hub, mine: Path) -> None:
    with pytest.raises(UsageError, match="has its own licence"):
        push_to_hub(mine, "owner/name", token=TOKEN, keep_card=True, license="cc0-1.0")
    assert not hub.repos


def test_an_upload_that_breaks_off(hub: Hub, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.when("PUT /upload", lambda handler: handler.reset())
    with pytest.raises(PixelgenError, match=r"breaks off|cannot be reached"):
        push_to_hub(mine, "owner/name", token=TOKEN)
    assert list(hub.repos["owner/name"].commits.values()) == [{}]
    hub.rules.clear()
    push_to_hub(mine, "owner/name", token=TOKEN)
    assert load_checkpoint("owner/name").revision == hub.repos["owner/name"].refs["main"]
