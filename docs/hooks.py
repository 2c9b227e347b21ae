"""Pages of the site that are made when it is built: of commands, weights, recipes and examples.

MkDocs calls the functions `on_…`; mkdocs.yml names this file.
"""

from __future__ import annotations

import ast
import inspect
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cli_reference import Command, Entry, commands
from gallery import SHOTS, Shot, wrapped

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
Tree = dict[str, str | Path]
_T = TypeVar("_T", Command, dict[str, str])

# Where the site shows what documents in the repository link to.
PLACES = (
    (r"examples/?", "examples.md"),
    (r"examples/(\w+)\.py", r"examples.md#\1"),
    (r"recipes/?", "recipes.md"),
    (r"recipes/([\w-]+)\.toml", r"recipes.md#\1"),
    (r"weights/?(?:README\.md)?", "weights/index.md"),
    (r"weights/([\w-]+)/README\.md", r"weights/\1/index.md"),
    (r"weights/([\w-]+)/samples\.png", r"weights/\1/samples.png"),
    (r"README\.md", "index.md"),
    (r"CONTRIBUTING\.md", "contributing.md"),
)
# The folders of the navigation below "Commands". What is in none of them is listed last.
COMMAND_GROUPS = {
    "Draw": ("sample", "portrait", "interpolate", "again", "info", "classes"),
    "Photos": ("complete", "reconstruct", "score", "encode", "decode", "faces"),
    "Train and measure": ("train", "recipes", "export", "evaluate", "compare"),
    "Weights": ("weights",),
    "Settings and many jobs": ("config", "doctor", "batch"),
}
_FORMULA = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_CODE = re.compile(r"<code\b.*?</code>", re.DOTALL)
_TEXT = re.compile(r"(?<=>)[^<>]+(?=<)")
_LINK = re.compile(r"(?<=\]\()(?:\.\./)+[^)\s]+(?=\))")


def generated() -> Tree:
    """Every page that is made: its path in the site, and its text or the file that it copies."""
    pages: Tree = dict(_command_pages())
    pages |= _weights_pages()
    pages["recipes.md"] = _recipes_page()
    pages["examples.md"] = _examples_page()
    pages["contributing.md"] = _contributing_page()
    return pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the parts of the navigation that are folders of made pages."""
    pages = [path for path in generated() if path.endswith(".md")]
    config.nav = [_filled(item, pages) for item in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    from mkdocs.structure.files import File

    for path, content in generated().items():
        if isinstance(content, Path):
            file = File.generated(config, path, abs_src_path=str(content))
        else:
            file = File.generated(config, path, content=content)
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to files of the repository that are not in docs/ lead to the pages that show them, and
    blocks of TeX, which GitHub shows as formulas, become formulas."""
    return formulas(moved_links(markdown, page.file.src_uri))


def on_page_content(html: str, **_: Any) -> str:
    """Names of options in code keep together where a line is too narrow."""
    return unbroken_options(html)


def unbroken_options(html: str) -> str:
    """`html` with the options in its code in elements of the class `option`, whose style forbids
    breaks after hyphens."""
    return _CODE.sub(
        lambda code: _TEXT.sub(
            lambda text: _OPTION.sub(r'<span class="option">\g<0></span>', text[0]), code[0]
        ),
        html,
    )


def formulas(markdown: str) -> str:
    """`markdown` with blocks of TeX as MathML, which browsers show without scripts."""
    from latex2mathml.converter import convert

    return _FORMULA.sub(
        lambda found: f'<div class="formula">{convert(found[1].strip(), display="block")}</div>',
        markdown,
    )


def moved_links(markdown: str, document: str) -> str:
    """`markdown` of a page of the site, its links out of docs/ turned into links inside."""
    folder = posixpath.dirname(document)

    def moved(found: re.Match[str]) -> str:
        target, _, anchor = found[0].partition("#")
        outside = posixpath.normpath(posixpath.join("docs", folder, target))
        for pattern, place in PLACES:
            match = re.fullmatch(pattern, outside)
            if match:
                there = posixpath.relpath(match.expand(place), folder or ".")
                return there + (f"#{anchor}" if anchor else "")
        return found[0]

    return _LINK.sub(moved, markdown)


def _filled(item: Any, pages: list[str]) -> Any:
    """`Commands: commands/` with its pages, the index first."""
    if isinstance(item, dict):
        ((title, below),) = item.items()
        if isinstance(below, str) and below.endswith("/"):
            inside = [path for path in pages if path.startswith(below)]
            items = [{_title(path, below): path} for path in inside]
            return {title: _grouped(items) if below == "commands/" else items}
    return item


def _grouped(items: list[dict[str, str]]) -> list[Any]:
    """The pages of commands, by title, in the folders of `COMMAND_GROUPS`."""
    overview, *rest = items
    return [overview, *({name: pages} for name, pages in _groups(rest).items())]


def _groups(commands_or_pages: Sequence[_T]) -> dict[str, list[_T]]:
    """Commands, or pages of the navigation, by the title of their group."""
    groups: dict[str, list[_T]] = {name: [] for name in (*COMMAND_GROUPS, "More")}
    for each in commands_or_pages:
        word = each.words[1] if isinstance(each, Command) else next(iter(each)).split(" ")[0]
        found = (name for name, words in COMMAND_GROUPS.items() if word in words)
        groups[next(found, "More")].append(each)
    return {name: members for name, members in groups.items() if members}


def _title(path: str, folder: str) -> str:
    name = path.removeprefix(folder).removesuffix(".md").removesuffix("/index")
    if name == "index":
        return "Overview"
    return name.replace("-", " ") if folder == "commands/" else name


def _command_pages() -> Iterator[tuple[str, str]]:
    root, *others = commands()
    shots = {shot.arguments[0]: shot for shot in reversed(SHOTS)}  # the first of each command
    yield "commands/index.md", _overview(root, others)
    for command in others:
        yield _command_path(command), command_page(command, shots.get(command.words[-1]))


def _command_path(command: Command) -> str:
    return f"commands/{'-'.join(command.words[1:])}.md"


def _overview(root: Command, others: list[Command]) -> str:
    parts = []
    for title, pages in _groups(others).items():
        rows = "\n".join(
            f"| [`{command.name}`]({'-'.join(command.words[1:])}.md) | {escaped(command.summary)} |"
            for command in pages
        )
        parts.append(f"## {title}\n\n| command | what it does |\n|---|---|\n{rows}\n\n")
    return (
        f"# Commands\n\n```text\n{root.usage}\n```\n\n{_described(root)}\n"
        f"{''.join(parts)}"
        f"## Options of all commands\n\n{_entries(root.options)}\n"
        "What commands print, and their exit codes: [output](../output.md).\n"
    )


def command_page(command: Command, shot: Shot | None = None) -> str:
    """The page of one command, with a picture of the gallery that it drew."""
    parts = [f"# {command.name}\n", f"```text\n{command.usage}\n```\n", _described(command)]
    if shot is not None:
        anchor = shot.title.lower().replace(" ", "-")
        parts.append(f"```sh\n{wrapped(shot.words)}\n```\n")
        parts.append(f"![{shot.title}](../gallery/{shot.picture})\n")
        parts.append(f"{shot.text} [More pictures](../gallery.md#{anchor}).\n")
    if command.commands:
        links = (
            f"- [`{command.name} {name}`]({'-'.join((*command.words[1:], name))}.md)"
            for name in command.commands
        )
        parts.append("\n".join(links) + "\n")
    if command.arguments:
        parts.append(f"## Arguments\n\n{_entries(command.arguments)}")
    if command.options:
        parts.append(f"## Options\n\n{_entries(command.options)}")
    parts.append("Works with every command: [`--debug`, `--offline` and so on](index.md).\n")
    return "\n".join(parts)


def _described(command: Command) -> str:
    blocks = []
    for text in command.texts:
        title, _, lines = text.words.partition("\n")
        if not text.literal:
            blocks.append(f"{escaped(text.words)}\n")
        elif title == "Examples:":
            blocks.append(f"{title}\n\n```sh\n{inspect.cleandoc(lines)}\n```\n")
        else:
            blocks.append(f"```text\n{text.words}\n```\n")
    return "\n".join(blocks)


def _entries(entries: tuple[Entry, ...]) -> str:
    return "".join(f"`{entry.name}`\n:   {escaped(entry.help) or '–'}\n\n" for entry in entries)


def escaped(text: str) -> str:
    """Text that means in Markdown what it says, but for what is in backticks, and for options,
    which are put into them."""
    text = "".join(
        part if i % 2 else _OPTION.sub(r"`\g<0>`", part)
        for i, part in enumerate(re.split(r"(`[^`]*`)", text))
    )
    parts = text.split("`")
    marks = re.compile(r"([\\*_\[\]<>|])")
    return "`".join(part if i % 2 else marks.sub(r"\\\1", part) for i, part in enumerate(parts))


def _weights_pages() -> Tree:
    """The model cards of bundled weights, with their sheets of samples."""
    folders = sorted(path.parent for path in (ROOT / "weights").glob("*/config.json"))
    pages: Tree = {}
    for folder in folders:
        card = _without_front_matter((folder / "README.md").read_text("utf-8"))
        pages[f"weights/{folder.name}/index.md"] = card
        for picture in sorted(folder.glob("*.png")):
            pages[f"weights/{folder.name}/{picture.name}"] = picture
    readme = (ROOT / "README.md").read_text("utf-8")
    _, _, section = readme.partition("\n## The bundled weights\n")
    table = re.search(r"^\|(?:.*\n\|)*.*$", section, re.MULTILINE)
    assert table is not None
    rows = re.sub(r"\]\(weights/([\w-]+)/README\.md\)", r"](\1/index.md)", table[0])
    index = (
        "# Weights\n\nThese weights come with the package. Their cards say how they were made, "
        f"what was measured, by which commands, and what they cannot do.\n\n{rows}\n\n"
        "[`pixelgen weights`](../commands/weights.md) lists what is on a computer, fetches weights "
        "from the Hub and publishes them.\n"
    )
    return {"weights/index.md": index, **pages}


def _without_front_matter(card: str) -> str:
    return re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL).lstrip()


def _recipes_page() -> str:
    """All recipes, as they are."""
    parts = [
        "# Recipes\n\nA recipe is everything that makes a model. [Training](training.md) says how "
        "to use one, [the keys](recipe-keys.md) what each line means.\n"
    ]
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        text = path.read_text("utf-8").strip()
        parts.append(
            f"## {path.stem} {{ #{path.stem} }}\n\n`recipes/{path.name}`\n\n```toml\n{text}\n```\n"
        )
    return "\n".join(parts)


def _contributing_page() -> str:
    """CONTRIBUTING.md, its links as they are from docs/."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return re.sub(r"(?<=\]\()(?!\w+:|#)", "../", text).replace("](../docs/", "](")


def _examples_page() -> str:
    """All examples, each under what its docstring says."""
    parts = ["# Examples\n\nShort programs; the tests run them.\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = path.read_text("utf-8")
        first, _, usage = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")
        code = text.split('"""\n', 1)[-1].strip()
        parts.append(
            f"## {path.stem} {{ #{path.stem} }}\n\n{escaped(first)}\n\n"
            f"```sh\n{usage.strip()}\n```\n\n```python\n{code}\n```\n"
        )
    return "\n".join(parts)
