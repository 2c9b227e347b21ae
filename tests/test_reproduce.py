"""recipes/reproduce.py: its settings are those of the recipes, and wrong input is refused."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pixelgen.checkpoints import bundled
from pixelgen.training.recipe import load_recipe

SCRIPT = Path(__file__).parents[1] / "recipes" / "reproduce.py"


@pytest.fixture(scope="module")
def reproduce() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("reproduce", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reproduce"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reproduce"]


@pytest.fixture
def app(reproduce: ModuleType) -> typer.Typer:
    app = typer.Typer()
    app.command()(reproduce.main)
    return app


@pytest.mark.parametrize("gpu", [False, True])
def test_every_model_has_a_recipe_that_takes_its_settings(reproduce: ModuleType, gpu: bool) -> None:
    earlier: set[str] = set()
    for model in reproduce.MODELS:
        words = reproduce.command(model, Path("out"), Path("data"), 2.5, gpu)
        assert words[:1] == ["train"]
        overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        recipe = load_recipe(Path(words[1]), [*overrides, *model.fresh])
        assert recipe.schedule.minutes == 2.5
        assert recipe.intervals.checkpoint == 1
        assert recipe.data.path == str(Path("data") / model.data)
        assert earlier.issuperset(model.needs), "a model comes after those that it needs"
        assert {*model.inputs.values(), *model.ensemble} == set(model.needs)
        assert not model.start or model.start in bundled()
        earlier.add(model.name)


def test_models_are_exported_with_what_belongs_to_them(reproduce: ModuleType) -> None:
    of = {model.name: reproduce.exports(model, Path("o"), Path("d")) for model in reproduce.MODELS}
    assert all(words[0][:2] == ["export", str(Path("o", name))] for name, words in of.items())
    assert of["decoder"][0][-2:] == ["--smoothing", "0.4"]
    _, ensemble = of["faces"]
    weights = str(Path("o", "faces-weights"))
    assert ensemble[:4] == ["export", weights, "-o", weights]
    assert ensemble[ensemble.index("--faces") + 1] == str(Path("d", "faces64"))
    assert str(Path("o", "embedder-2-weights")) in ensemble


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_all_models_share_the_budget(
    reproduce: ModuleType,
    app: typer.Typer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int,
) -> None:
    now = 0.0
    started: dict[str, list[str]] = {}
    minutes: dict[str, float] = {}

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now

        @staticmethod
        def sleep(_: float) -> None:
            nonlocal now
            now += 5

    class Run:
        def __init__(self, model: Any, _: Path, commands: list[list[str]]) -> None:
            self.model = model
            started[model.name] = commands[0]
            (given,) = (word for word in commands[0] if word.startswith("schedule.minutes="))
            minutes[model.name] = float(given.partition("=")[2])
            self.end = now + 60 * minutes[model.name] + reproduce.EXPORT_SECONDS

        def done(self) -> bool:
            return now >= self.end

    monkeypatch.setattr(reproduce, "time", Clock)
    monkeypatch.setattr(reproduce, "Run", Run)
    for name in ("imagenet64", "faces64", "cifar10"):
        (tmp_path / name).mkdir()
    words = [str(tmp_path / "out"), "--data", str(tmp_path), "--minutes", "60", "--fresh"]
    result = CliRunner().invoke(app, [*words, "--jobs", str(jobs)])
    assert result.exit_code == 0, result.output
    assert now / 60 == pytest.approx(60, abs=1)
    assert minutes.keys() == {model.name for model in reproduce.MODELS}
    assert min(minutes.values()) > 2
    assert min(minutes["faces"], minutes["prior"]) > 8
    assert not any("--init" in command for command in started.values())
    assert "losses.decoder_only=false" in started["decoder"]


def test_minutes_trained_are_read_from_the_log(reproduce: ModuleType, tmp_path: Path) -> None:
    lines = [
        {"kind": "start"},
        {"kind": "train", "seconds": 30.0},
        {"kind": "end", "seconds": 90.0},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"kind": "tr'
    (tmp_path / "log.jsonl").write_text(text)
    assert reproduce.minutes_trained(tmp_path) == 1.5


def test_only_cifar10_may_be_missing(
    reproduce: ModuleType, app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [model for model in reproduce.MODELS if model.name in ("decoder", "cifar10")]
    monkeypatch.setattr(reproduce, "MODELS", kept)
    started: list[str] = []

    class Done:
        def __init__(self, model: object, *_: object) -> None:
            self.model = model
            started.append(model.name)  # type: ignore[attr-defined]

        def done(self) -> bool:
            return True

    monkeypatch.setattr(reproduce, "Run", Done)
    (tmp_path / "imagenet64").mkdir()
    words = [str(tmp_path / "out"), "--data", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert started == ["decoder"]
    assert "cifar10: left out" in result.output
    assert CliRunner().invoke(app, [*words, "--only", "cifar10"]).exit_code == 2


def test_wrong_input_is_refused_before_anything_runs(app: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, says in (
        (["--data", str(tmp_path)], "no folder"),
        (["--data", str(tmp_path), "--only", "decodr"], "no model 'decodr'"),
    ):
        result = CliRunner().invoke(app, [str(out), *words])
        assert result.exit_code == 2
        assert says in re.sub(r"[│╭╮╰╯─\s]+", " ", result.output)
    assert not out.exists()
