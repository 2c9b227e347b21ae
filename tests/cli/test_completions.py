"""What the shell is offered on Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pixelgen.cli import completions
from pixelgen.cli.app import COMMANDS
from pixelgen.cli.settings import SETTINGS
from pixelgen.labels import ClassCatalogue, parse_classes

from ..hub_server import Hub
from .conftest import Run

COMPLETE = """
import sys
from pixelgen.cli.app import main
try:
    main([])
except SystemExit:
    pass
heavy = {"torch", "numpy", "datasets", "httpx", "requests"} & set(sys.modules)
assert not heavy, heavy
"""


def offered(line: str, *, shell: str = "bash") -> list[str]:
    """What is offered at the end of a command line, in another process, that is quick."""
    words = line.split(" ")
    variables = {"_PIXELGEN_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        variables |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    else:
        variables |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_in_the_shell_without_torch(weights: Path) -> None:
    assert {*COMMANDS} <= {*offered("pixelgen ")}
    assert {"--seed", "--separate"} <= {*offered("pixelgen sample --se")}
    assert offered(f"pixelgen sample --weights {weights} --class gol") == ["golden-retriever"]
    assert "imagenet32" in offered("pixelgen complete --weights im")


def test_in_a_shell_that_shows_help(weights: Path) -> None:
    line = f"pixelgen sample --weights {weights} -c "
    assert "golden-retriever\t207 golden retriever" in offered(line, shell="fish")


def context(**params: object) -> typer.Context:
    """A command line with these parameters on it."""
    made = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)))
    made.params |= params
    return made


def test_every_class_that_is_offered_is_one(weights: Path) -> None:
    for name, about in completions.classes(context(weights="nowhere"), ""):
        assert [str(n) for n in parse_classes([name])] == about.split()[:1]
        assert " " not in name
    here = completions.classes(context(weights=str(weights)), "")
    assert {about.split()[0] for _, about in here} == {"8", "207"}
    assert completions.classes(context(weights=str(weights)), "2") == [("207", "golden retriever")]
    assert completions.classes(context(weights=str(weights)), "n015") == [("n01514859", "hen")]
    assert completions.classes(context(weights=str(weights)), "Golden R") == [
        ("golden-retriever", "207 golden retriever")
    ]


def test_classes_of_other_alphabets(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Käse", "кот", "a_b", "x" * 50, "!"]
    own = ClassCatalogue.named([*range(len(names))], names)
    monkeypatch.setattr(completions, "imagenet_catalogue", lambda: own)
    offered = completions.classes(context(weights="nowhere"), "")
    assert [word for word, _ in offered] == ["käse", "кот", "a-b", "x" * 50]
    assert [own.find(word) for word, _ in offered] == [0, 1, 2, 3]
    assert completions.classes(context(weights="nowhere"), "Kä") == [("käse", "0 Käse")]


def test_names_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer import rich_utils

    names = ["[bold]x[/]", "[/]", ":smile: a:b", r"a\[b]", "plain"]
    for (_, about), name in zip(
        completions._starting("", [("word", name) for name in names]), names, strict=True
    ):
        assert rich_utils.rich_render_text(about) == name


def test_weights_of_the_hub_too(run: Run, hub: Hub, weights: Path) -> None:
    hub.repos["owner/name"].refs["v1"] = hub.add("owner/name", weights)
    for ref in ("owner/name", "owner/name@v1"):
        assert run("weights", "pull", ref).code == 0
    assert [name for name, _ in completions.weights("owner/")] == ["owner/name", "owner/name@v1"]
    known = completions.classes(context(weights="owner/name"), "")
    assert {about.split()[0] for _, about in known} == {"8", "207"}


def test_settings_and_their_values() -> None:
    assert [key for key, _ in completions.keys("")] == list(SETTINGS)
    for key, value in (("color", "never"), ("offline", "true"), ("device", "cuda")):
        assert value in [name for name, _ in completions.values(context(key=key), "")]
    assert completions.values(context(key="scale"), "") == []
    assert ("imagenet32",) in {
        offer[:1] for offer in completions.values(context(key="sample.weights"), "im")
    }


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_works_in_bash(tmp_path: Path) -> None:
    script = tmp_path / "completion.sh"
    shown = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m pixelgen --show-completion"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if shown.returncode != 0:  # which shell is in use cannot be told in every container
        pytest.skip(shown.stderr)
    script.write_text(shown.stdout.replace("$1", f"{sys.executable} -m pixelgen"))
    # As bash would call it.
    line = f"""
source {script}
COMP_WORDS=(pixelgen config get sca)
COMP_CWORD=3
_pixelgen_completion "{sys.executable} -m pixelgen"
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["scale"], done.stderr
