"""What is built from the sources holds everything, and works without them."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pixelgen._version import __version__
from pixelgen.checkpoints import bundled
from pixelgen.toml import parse_toml

ROOT = Path(__file__).parents[1]
OLDEST = (3, 10)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built("wheel", tmp_path_factory.mktemp("wheel"))


def _built(kind: str, folder: Path) -> Path:
    code = f"import sys; from hatchling.build import build_{kind}; build_{kind}(sys.argv[1])"
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


def _names(folder: Path) -> set[str]:
    """Files under version control below `folder`, or all where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, text=True)
    found = set(listed.stdout.split("\0")) if listed.returncode == 0 else set()
    return {name for name in found if name and (folder / name).is_file()}


def test_a_wheel_holds_the_package_and_the_weights_and_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 95e6
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    for folder, where in (("pixelgen", "pixelgen"), ("weights", "pixelgen/weights")):
        wanted = {f"{where}/{name}" for name in _names(ROOT / folder)}
        assert wanted <= inside
    info = f"pixelgen-{__version__}.dist-info"
    licences = ("LICENSE", "NOTICE.md", "LICENSES/Apache-2.0.txt", "LICENSES/Real-ESRGAN.txt")
    assert {f"{info}/licenses/{name}" for name in licences} <= inside
    assert {name.split("/")[0] for name in inside} == {"pixelgen", info}


def test_a_wheel_works_where_the_sources_are_not(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(tmp_path / "site")
    command = [sys.executable, "-m", "pixelgen", "weights", "list", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    listed = {each["name"]: Path(each["path"]) for each in json.loads(done.stdout)}
    assert set(bundled()) <= set(listed)
    assert all(path.is_relative_to(tmp_path / "site") for path in listed.values())


def test_an_sdist_holds_what_a_wheel_and_the_tests_need(tmp_path: Path) -> None:
    with tarfile.open(_built("sdist", tmp_path)) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    parts = ("pixelgen", "weights", "recipes", "examples", "docs", "tests", "benchmarks", ".ci")
    for part in parts:
        assert {f"{part}/{name}" for name in _names(ROOT / part)} <= inside
    files = ("pyproject.toml", "mkdocs.yml", "LICENSE", "CITATION.cff")
    documents = ("README.md", "CONTRIBUTING.md", "NOTICE.md", "CHANGELOG.md")
    assert {*files, *documents} <= inside


@pytest.mark.parametrize("folder", ["pixelgen", "examples", "docs", "tests", "benchmarks"])
def test_the_oldest_python_can_read_it(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        ast.parse(path.read_text("utf-8"), str(path), feature_version=OLDEST)


def test_versions_agree() -> None:
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_the_lowest_dependencies_are_tested() -> None:
    """.ci/lowest.txt pins the minimum versions of pyproject.toml."""
    project = parse_toml((ROOT / "pyproject.toml").read_bytes())["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    pins = (ROOT / ".ci" / "lowest.txt").read_text("utf-8")
    lowest = re.findall(r"^([\w-]+)==([\d.]+)$", pins, re.MULTILINE)
    minima = re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(required), re.MULTILINE)
    assert len(minima) == len(required)
    assert sorted(lowest) == sorted(minima)
