"""The pages of the site: one for each command, links that lead somewhere, a strict build."""

from __future__ import annotations

import importlib.util
import posixpath
import re
import subprocess
import sys
from pathlib import Path

import hooks
import pytest
from cli_reference import commands

import pixelgen

from ..cli.conftest import Run, run  # noqa: F401
from .conftest import DOCS

ROOT = DOCS.parent
PAGES = {path.name: path.read_text("utf-8") for path in DOCS.glob("*.md")}
MADE = hooks.generated()
_FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"\]\(([^)\s]+)\)")


def test_every_command_has_a_page() -> None:
    for command in commands()[1:]:
        page = MADE[f"commands/{'-'.join(command.words[1:])}.md"]
        assert isinstance(page, str)
        assert page.startswith(f"# {command.name}\n")
        assert command.summary
        assert len(command.summary) < 300


# What a group says of its commands may name options of theirs.
@pytest.mark.parametrize(
    "command", [each for each in commands() if not each.commands], ids=lambda each: each.name
)
def test_pages_have_all_options(
    command: hooks.Command,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Compared with what `--help` prints."""
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    monkeypatch.setenv("COLUMNS", "400")
    page = MADE[f"commands/{'-'.join(command.words[1:])}.md"]
    assert isinstance(page, str)
    shown = run(*command.words[1:], "--help").out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", plain)) - {"--help"}
    everywhere = MADE["commands/index.md"]
    assert isinstance(everywhere, str)
    assert options or not command.options
    for option in options:
        assert option in page + everywhere, option


def test_options_of_all_commands_are_on_one_page() -> None:
    page = MADE["commands/index.md"]
    assert isinstance(page, str)
    for option in ("--version", "--offline", "--debug"):
        assert f"`{option}`\n:   " in page


def test_every_command_is_in_one_group_of_the_navigation() -> None:
    pages = [path for path in MADE if path.startswith("commands/")]
    ((_, (overview, *groups)),) = hooks._filled({"Commands": "commands/"}, pages).items()
    assert overview == {"Overview": "commands/index.md"}
    listed = [
        path for group in groups for page in next(iter(group.values())) for path in page.values()
    ]
    assert sorted([*listed, "commands/index.md"]) == sorted(pages)
    assert {next(iter(group)) for group in groups} >= set(hooks.COMMAND_GROUPS)
    known = {command.words[1] for command in commands()[1:]}
    assert set().union(*hooks.COMMAND_GROUPS.values()) <= known
    assert "More" not in {next(iter(group)) for group in groups}
    unknown = hooks.Command(("pixelgen", "dance"), "", (), (), (), ())
    assert hooks._groups([unknown]) == {"More": [unknown]}


def test_pages_show_what_their_command_draws() -> None:
    for shot in hooks.SHOTS:
        page = MADE[f"commands/{shot.arguments[0]}.md"]
        assert isinstance(page, str)
        assert "](../gallery/" in page
    assert "A row each: lion" in str(MADE["commands/sample.md"])


def test_examples_can_be_copied() -> None:
    page = str(MADE["commands/sample.md"])
    assert "Examples:\n\n```sh\npixelgen sample --class 'golden retriever' -n 16\n" in page


def test_formulas() -> None:
    pytest.importorskip("latex2mathml")
    assert "<msub><mi>x</mi><mi>i</mi></msub>" in hooks.formulas("a\n\n```math\nx_i\n```\n")
    for path, text in PAGES.items():
        shown = hooks.formulas(text)
        assert "```math" not in shown
        for formula in re.findall(r"<math.*?</math>", shown, re.DOTALL):
            assert "&</" not in formula, f"{path}: TeX that is not understood"
            assert "\\" not in formula, f"{path}: TeX that is not understood"


def test_pages_say_what_is_typed() -> None:
    page = hooks.command_page(next(c for c in commands() if c.name == "pixelgen weights pull"))
    assert "pixelgen weights pull [OPTIONS] OWNER/NAME[@REVISION]" in page
    assert (
        "`--dry-run`\n:   List the files to fetch with their sizes; fetch only the configuration."
        in page
    )


def test_options_in_code_are_not_broken() -> None:
    html = '<p>--a</p><code class="x--y">--guidance-schedule=<b>a --n</b> b--c</code>'
    assert hooks.unbroken_options(html) == (
        '<p>--a</p><code class="x--y"><span class="option">--guidance-schedule</span>='
        '<b>a <span class="option">--n</span></b> b--c</code>'
    )


def test_escaped_text_is_what_it_says() -> None:
    assert hooks.escaped("2 * 3 < [7] `a*b`") == r"2 \* 3 \< \[7\] `a*b`"
    assert hooks.escaped("with --top-p 1, `--n`") == "with `--top-p` 1, `--n`"


@pytest.mark.parametrize(
    ("document", "link", "there"),
    [
        ("walkthrough.md", "../examples", "examples.md"),
        ("index.md", "../weights/imagenet64/samples.png", "weights/imagenet64/samples.png"),
        ("a/b.md", "../../recipes/imagenet32.toml", "../recipes.md#imagenet32"),
        ("method.md", "../nowhere.txt", "../nowhere.txt"),
    ],
)
def test_links_out_of_the_folder(document: str, link: str, there: str) -> None:
    assert hooks.moved_links(f"[x]({link})", document) == f"[x]({there})"


def test_links_lead_somewhere() -> None:
    texts = PAGES | {path: text for path, text in MADE.items() if isinstance(text, str)}
    files = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*")} | set(MADE)
    for document, text in texts.items():
        moved = hooks.moved_links(_FENCE.sub("", text), document)
        for target in _TARGET.findall(moved):
            if "://" in target:
                continue
            path = target.partition("#")[0]
            there = posixpath.normpath(posixpath.join(posixpath.dirname(document), path))
            assert not path or there in files, f"{document}: {target}"


def test_navigation_has_every_page() -> None:
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r"^ +- [\w ]+: (\S+)$", settings, re.MULTILINE))
    folders = tuple(path for path in listed if path.endswith("/"))
    for page in (*PAGES, *(path for path in MADE if path.endswith(".md"))):
        assert page in listed or page.startswith(folders), page


def test_cards_recipes_and_examples_are_there() -> None:
    for folder in (ROOT / "weights").glob("*/config.json"):
        card = MADE[f"weights/{folder.parent.name}/index.md"]
        assert isinstance(card, str)
        assert card.startswith(f"# {folder.parent.name}")
    for page, pattern in (("recipes.md", "recipes/*.toml"), ("examples.md", "examples/*.py")):
        text = MADE[page]
        assert isinstance(text, str)
        for path in ROOT.glob(pattern):
            assert f"## {path.stem} " in text
            assert path.read_text("utf-8").strip().splitlines()[-1] in text


def test_reference_has_the_public_names() -> None:
    named = set(re.findall(r"^::: [\w.]+\.(\w+)$", PAGES["python.md"], re.MULTILINE))
    assert set(pixelgen.__all__) - {"__version__"} <= named


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings_handlers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("pip install '.[docs]'")
    words = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "commands" / "sample" / "index.html").read_text("utf-8")
    assert '<span class="option">--guidance-schedule</span>' in page
    assert (tmp_path / "site" / "weights" / "imagenet32" / "samples.png").is_file()
    python = (tmp_path / "site" / "python" / "index.html").read_text()
    assert "Weights by bundled name" in python
    for row in ("slerp", "vector_temperature", "surprise"):  # parameters and fields, in tables
        assert f"<td><code>{row}</code></td>" in python
    assert "<math" in (tmp_path / "site" / "method" / "index.html").read_text()
    assert not list((tmp_path / "site").rglob("*.py"))
