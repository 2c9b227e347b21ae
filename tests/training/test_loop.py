"""The loop learns, stops and goes on exactly, and survives what may happen to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pixelgen.cli.app import main
from pixelgen.data.images import open_dataset
from pixelgen.errors import PixelgenError
from pixelgen.models import build_model
from pixelgen.models.precision import autocast
from pixelgen.publishing.export import export
from pixelgen.training import loop
from pixelgen.training.logs import SilentWatcher
from pixelgen.training.optimiser import averaged, build_optimiser
from pixelgen.training.recipe import OptimiserRecipe, load_recipe
from pixelgen.training.state import PREVIOUS, STATE, Counters, read_state
from pixelgen.training.tasks import likelihood
from pixelgen.training.tasks.likelihood import BitsPerDimLoss

ROOT = Path(__file__).parents[2]


def run(recipe_file: Path, folder: Path, *overrides: str, **options: Any) -> Counters:
    return loop.train(load_recipe(recipe_file, overrides), folder, **options).counters


def start(recipe_file: Path, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`pixelgen train` as a process of its own."""
    command = [sys.executable, "-m", "pixelgen", "train", str(recipe_file), "-o", str(folder)]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # In the background of a script, signals may be ignored.
        preexec_fn=_usual_signals if os.name == "posix" else None,
    )


def _usual_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if condition():
            return
        if process.poll() is not None:
            raise AssertionError(process.communicate())
        time.sleep(0.05)
    raise AssertionError("nothing happened for a minute")


def same(first: Path, second: Path) -> bool:
    a, b = read_state(first)[1], read_state(second)[1]
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_it_learns_and_reports(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    counters = run(recipe_file, folder, "schedule.steps=150")
    assert counters.step == 150
    assert counters.images == 1200
    assert counters.held_out is not None
    assert counters.held_out < 5.0  # the pictures have 3 bits of noise; untrained it is above 8
    assert log(folder, "start")[0]["gflops_per_image"] > 0
    assert log(folder, "train")[-1]["images_per_second"] > 0
    assert log(folder, "validation")[-1]["bits_per_dim"] == counters.held_out
    assert any((folder / "tensorboard").iterdir())
    state, _ = read_state(folder)
    assert state.labels == [4, 7]
    assert state.counters == counters


def test_stopped_and_resumed_is_bit_identical(recipe_file: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(recipe_file, whole)
    assert run(recipe_file, parts, max_minutes=0).step == 0
    for minutes in (0.0005, 0.001):
        run(recipe_file, parts, resume=True, max_minutes=minutes)
    assert run(recipe_file, parts, resume=True).step == 30
    assert same(whole, parts)


def test_the_time_before_the_first_step_counts(recipe_file: Path, tmp_path: Path) -> None:
    began = time.perf_counter() - 60
    assert run(recipe_file, tmp_path / "late", began=began, max_minutes=0.9).step == 0
    assert run(recipe_file, tmp_path / "early", began=began, max_minutes=2).step == 30


@pytest.mark.parametrize("minutes", [float("nan"), -1])
def test_minutes_that_are_none(recipe_file: Path, tmp_path: Path, minutes: float) -> None:
    with pytest.raises(PixelgenError, match=f"max_minutes must be at least 0, not {minutes}"):
        run(recipe_file, tmp_path / "run", max_minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_a_short_schedule_is_not_compiled(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def compile_nothing(module: object, **_: object) -> object:
        compiled.append(module)
        return module

    monkeypatch.setattr(torch, "compile", compile_nothing)
    short, long = Notes(), Notes()
    run(recipe_file, tmp_path / "a", "compute.compile=true", "schedule.steps=1", watcher=short)
    assert not compiled
    assert "the network is not compiled: the run is too short" in short.texts
    minutes = ("compute.compile=true", "schedule.steps=0", "schedule.minutes=60")
    run(recipe_file, tmp_path / "b", *minutes, max_minutes=0, watcher=long)
    assert len(compiled) == 1
    assert any(text.startswith("compiling") for text in long.texts)
    began = time.perf_counter()
    run(recipe_file, tmp_path / "c", *minutes, max_minutes=1e-9, began=began)
    assert len(compiled) == 1  # for a command that ends before that pays


def test_an_open_data_set_is_not_opened_again(
    recipe_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(data, "train")
    monkeypatch.setattr("pixelgen.data.images.open_dataset", None)
    assert run(recipe_file, tmp_path / "run", dataset=dataset, max_minutes=0).step == 0


def test_a_state_with_the_names_of_earlier_versions_is_resumed(
    recipe_file: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(recipe_file, whole)
    run(recipe_file, parts, max_minutes=0.0005)
    with safe_open(parts / STATE, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in [*file.keys()]}
    old = {
        name.replace("vertical_to_horizontal", "link").replace("out_1x1", "mix"): tensor
        for name, tensor in tensors.items()
    }
    assert old.keys() != tensors.keys()
    save_file(old, parts / STATE, metadata=metadata)
    assert read_state(parts)[1].keys() == tensors.keys()
    run(recipe_file, parts, resume=True)
    assert same(whole, parts)


def test_killed_and_resumed_is_bit_identical(recipe_file: Path, tmp_path: Path) -> None:
    steps = ("schedule.steps=250", "intervals.checkpoint=1e-9")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(recipe_file, killed, *(f"--set={s}" for s in steps))
    wait_for(lambda: (killed / PREVIOUS).exists(), process)
    time.sleep(0.2)
    process.kill()
    process.communicate()
    assert 0 <= read_state(killed)[0].counters.step < 250
    run(recipe_file, whole, *steps[:1])
    run(recipe_file, killed, *steps[:1], resume=True)
    assert same(whole, killed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_first(
    recipe_file: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    folder = tmp_path / "run"
    process = start(recipe_file, folder, "--set=schedule.steps=1000000")
    wait_for(lambda: (folder / STATE).exists(), process)
    time.sleep(0.3)
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)  # pressed twice, or passed on by a launcher
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert output == ""
    assert "state saved" in errors
    assert read_state(folder)[0].counters.step > 0


@pytest.mark.skipif(os.name != "posix", reason="no SIGHUP")
@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("moment", ["step", "_validate", "last _validate"])
def test_a_signal_at_any_moment_saves(
    moment: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out figures and samples are cut off: they may take longer than SIGKILL waits."""
    name = moment.rpartition(" ")[2]
    called: list[str] = []

    def signalled(self: loop.TrainingRun, *given: Any) -> Any:
        if name == "step" and self.counters.step < 2:
            return step(self, *given)
        called.append(name)
        os.kill(os.getpid(), signal.SIGHUP)
        if name == "step":
            return step(self, *given)
        raise AssertionError("this takes an hour")

    step = loop.TrainingRun._step
    monkeypatch.setattr(loop.TrainingRun, "_step" if name == "step" else name, signalled)
    interval = 0 if moment.startswith("last") else 1e-9
    overrides = ("schedule.steps=4", f"intervals.validation={interval}")
    outcome = loop.train(load_recipe(recipe_file, overrides), tmp_path / "run")
    assert (outcome.reason, outcome.signal, len(called)) == ("terminated", signal.SIGHUP, 1)
    steps = {"step": 3, "_validate": 1, "last _validate": 4}[moment]
    assert read_state(tmp_path / "run")[0].counters.step == outcome.counters.step == steps


@pytest.mark.skipif(os.name != "posix", reason="os.kill ends a process there")
@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_terminal_of_a_run_may_be_gone(
    number: signal.Signals, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of `pixelgen train … 2>&1 | tee log`, where Ctrl-C ends tee as well."""
    reading, writing = os.pipe()
    os.close(reading)
    step = loop.TrainingRun._step

    def signalled(self: loop.TrainingRun, lr: float) -> tuple[float, float]:
        os.kill(os.getpid(), number)
        return step(self, lr)

    monkeypatch.setattr(loop.TrainingRun, "_step", signalled)
    with open(writing, "w", buffering=1) as gone:
        monkeypatch.setattr("sys.stderr", gone)
        with pytest.raises(SystemExit) as ended:
            main(["train", str(recipe_file), "-o", str(tmp_path / "run")])
    assert ended.value.code == 128 + number
    assert read_state(tmp_path / "run")[0].counters.step == 1


def poison(monkeypatch: pytest.MonkeyPatch, steps: Callable[[int], bool]) -> None:
    """Makes the loss of some steps (counted from 1, the count of FLOPs is call 0) NaN."""
    forward, calls = BitsPerDimLoss.forward, iter(range(10**9))

    def bad(self: BitsPerDimLoss, x: Tensor, classes: Tensor | None = None) -> Tensor:
        loss = forward(self, x, classes)
        return loss * float("nan") if steps(next(calls)) else loss

    monkeypatch.setattr(BitsPerDimLoss, "forward", bad)


def test_a_bad_step_is_skipped(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda call: call in (4, 5, 9))
    counters = run(recipe_file, tmp_path / "run", "schedule.steps=12")
    assert counters.skipped == 3
    _, tensors = read_state(tmp_path / "run")
    assert all(t.isfinite().all() for t in tensors.values())


def test_bad_steps_in_a_row_end_the_run(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda call: call > 6)
    overrides = ("optimiser.patience=4", "intervals.checkpoint=1e-9")
    with pytest.raises(PixelgenError, match="4 steps in a row"):
        run(recipe_file, tmp_path / "run", *overrides)
    state, tensors = read_state(tmp_path / "run")
    assert state.counters.step == 6
    assert all(t.isfinite().all() for t in tensors.values())


def test_a_state_that_was_being_replaced_is_found(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(recipe_file, folder, "schedule.steps=2")
    (folder / STATE).unlink()
    assert read_state(folder)[0].counters.step <= 2


def test_folders_and_recipes_that_do_not_fit(recipe_file: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "run", tmp_path / "other"
    with pytest.raises(PixelgenError, match="no run in"):
        run(recipe_file, folder, resume=True)
    run(recipe_file, folder, "schedule.steps=1")
    other.mkdir()
    (other / "file").touch()
    for arguments, options, words in [
        ((folder,), {}, "already holds a run"),
        ((other,), {}, "not an empty folder"),
        ((folder, "model.features=16"), {"resume": True}, "another model.features"),
        ((folder, "seed=4"), {"resume": True}, "another seed"),
        ((folder,), {"resume": True, "init": "x"}, "give one of them"),
        ((tmp_path / "f",), {"resume": True, "init": "x"}, "no run in"),
        ((tmp_path / "a", "model.classes=3"), {}, "the data has 2 labels"),
        ((tmp_path / "b", "model.height=8"), {}, "the model.s grid 256 of"),
        ((tmp_path / "c", "data.holdout=40"), {}, "data.holdout is 40"),
        *(
            (
                (place, "sampling.guidance=2", "data.class_dropout=0"),
                options,
                "also trained without its condition",
            )
            for place, options in (
                (tmp_path / "e", {}),
                (tmp_path / "e", {"init": "x"}),
                (folder, {"resume": True}),
            )
        ),
    ]:
        with pytest.raises(PixelgenError, match=words):
            run(recipe_file, *arguments, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "a").exists()
    # What began in vain can begin again.
    with pytest.raises(PixelgenError, match="nobody knows"):
        run(recipe_file, tmp_path / "d", init="nobody knows")
    assert not (tmp_path / "d").exists()
    taken = tmp_path / "taken"
    (taken / "tokenizer").mkdir(parents=True)  # another's
    with pytest.raises(PixelgenError, match="not an empty folder"):
        run(recipe_file, taken)
    assert (taken / "tokenizer").is_dir()
    with pytest.raises(PixelgenError, match="cannot create the folder"):
        run(recipe_file, other / "file" / "run")


def test_what_begins_in_vain_leaves_nothing_in_the_way(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def interrupted(self: loop.TrainingRun) -> float:
        (folder / "codes.safetensors").write_bytes(b"took long")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop.TrainingRun, "_log_start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(recipe_file, folder)
    assert [path.name for path in folder.iterdir()] == ["codes.safetensors"]
    assert run(recipe_file, folder, "schedule.steps=1").step == 1


@pytest.mark.parametrize("place", ["prepare", "_log_start", "save"])
def test_a_run_that_was_killed_before_its_first_state_can_start_again(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = tmp_path / "run"

    def killed(*_: object, **__: object) -> Any:
        for name in ("tokenizer", "embedder", "loss-embedder"):
            (folder / name / ".new-12345678").mkdir(parents=True)
        for name in ("state.safetensors.part", ".codes.safetensors.12345678.pixelgen-part"):
            (folder / name).write_bytes(b"half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if place == "prepare":
            patched.setattr(loop, "task_of", killed)
        else:
            patched.setattr(loop.TrainingRun, place, killed)
        patched.setattr(loop, "clean_up", lambda folder: None)  # as it is killed
        with pytest.raises(KeyboardInterrupt):
            run(recipe_file, folder)
    with pytest.raises(PixelgenError, match="no run in"):
        run(recipe_file, folder, resume=True)
    assert (folder / "tokenizer").exists()
    (folder / "mine.txt").touch()
    with pytest.raises(PixelgenError, match="not an empty folder"):
        run(recipe_file, folder)
    (folder / "mine.txt").unlink()
    assert run(recipe_file, folder, "schedule.steps=1").step == 1
    left = {path.name for path in folder.iterdir()} - {"state.previous.safetensors", "samples"}
    assert left == {"state.safetensors", "log.jsonl", "tensorboard"}
    assert len(log(folder, "start")) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_resumed_run_does_not_use_the_file_of_its_state(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows could not replace it."""
    folder = tmp_path / "run"
    run(recipe_file, folder, "schedule.steps=1")
    go = loop.TrainingRun.go

    def checked(self: loop.TrainingRun, *given: Any) -> Any:
        assert "/run/state" not in Path("/proc/self/maps").read_text()
        return go(self, *given)

    monkeypatch.setattr(loop.TrainingRun, "go", checked)
    assert run(recipe_file, folder, "schedule.steps=2", resume=True).step == 2


def test_a_run_goes_on_with_its_own_pictures(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more pictures others would be held out, some that were trained on."""
    folder = tmp_path / "run"
    run(recipe_file, folder, "schedule.steps=1")
    load = loop.load_pictures
    monkeypatch.setattr(
        loop, "load_pictures", lambda *a, **k: load(*a, **k).subset(torch.arange(38))
    )
    monkeypatch.setattr(loop, "task_of", lambda recipe: pytest.fail("began to prepare them"))
    with pytest.raises(
        PixelgenError, match="has 38 pictures, the run was started with 40"
    ) as caught:
        run(recipe_file, folder, "schedule.steps=2", resume=True)
    assert caught.value.code == "data-changed"


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_a_run_notices_other_pictures_of_the_same_number(
    changed: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    run(recipe_file, folder, "schedule.steps=1")
    load = loop.load_pictures

    def others(*given: Any, **options: Any) -> Any:
        data = load(*given, **options)
        return replace(data, **{changed: getattr(data, changed).flip(0)})

    with monkeypatch.context() as patch:
        patch.setattr(loop, "load_pictures", others)
        patch.setattr(loop, "task_of", lambda recipe: pytest.fail("began to prepare them"))
        with pytest.raises(PixelgenError, match="are not those that the run was started") as caught:
            run(recipe_file, folder, "schedule.steps=2", resume=True)
    assert caught.value.code == "data-changed"
    assert run(recipe_file, folder, "schedule.steps=2", resume=True).step == 2


def test_pictures_without_labels_are_of_one_class(
    recipe_file: Path, tmp_path: Path, write_pictures: Callable[..., Path]
) -> None:
    data = write_pictures(tmp_path / "my.photos", "train", [np.zeros((4, 4, 3), np.uint8)] * 12)
    overrides = (f"data.path={data.as_posix()}", "data.holdout=2", "schedule.steps=1")
    run(recipe_file, tmp_path / "run", *overrides, "model.classes=1")
    state, _ = read_state(tmp_path / "run")
    assert (state.labels, state.class_names) == ([0], ["my.photos"])
    with pytest.raises(PixelgenError, match=r"my\.photos has no column 'label'"):
        run(recipe_file, tmp_path / "two", *overrides)


def test_the_end_is_saved_also_after_a_bad_step(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, lambda call: call == 6)
    run(recipe_file, tmp_path / "run", "schedule.steps=6", "intervals.checkpoint=0")
    state, tensors = read_state(tmp_path / "run")
    assert (state.counters.step, state.counters.skipped) == (6, 1)
    assert all(t.isfinite().all() for t in tensors.values())


def test_pictures_that_cannot_be_trained_on(
    recipe_file: Path, tmp_path: Path, write_pictures: Callable[..., Path]
) -> None:
    tall = [np.zeros((8, 4, 3), np.uint8)] * 12
    labels = [-1] * 4 + [4] * 8
    data = f"data.path={write_pictures(tmp_path / 'tall', 'train', tall, labels).as_posix()}"
    for overrides, words in [
        (("model.height=8",), "label -1 of the data is not a class"),
        (
            ("model.height=8", "model.classes=0", "data.jitter=1"),
            "requires square pictures, these are 4×8",
        ),
        (("model.classes=0", "data.crop=5"), "data.crop is 5|the model.s grid"),
    ]:
        with pytest.raises(PixelgenError, match=words):
            run(recipe_file, tmp_path / "run", data, *overrides)
    # What is higher than wide is cut as well.
    cut = ("model.classes=0", "data.crop=4", "schedule.steps=1", "data.holdout=2")
    assert run(recipe_file, tmp_path / "run", data, *cut).step == 1
    # What a column of labels holds is of no matter to whom has no classes.
    broken = ("data.label=image", "model.classes=0", "data.crop=4", "data.holdout=2")
    assert run(recipe_file, tmp_path / "broken", data, *broken, "schedule.steps=1").step == 1
    whole = ("model.classes=0", "model.height=8", "schedule.steps=1", "data.holdout=2")
    assert run(recipe_file, tmp_path / "whole", data, *whole).step == 1


def test_damaged_states_are_one_line(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(recipe_file, folder, "schedule.steps=1")
    whole = (folder / STATE).read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        (folder / STATE).write_bytes(content)
        with pytest.raises(PixelgenError, match="is damaged"):
            run(recipe_file, folder, resume=True)


def test_init_starts_from_exported_weights(recipe_file: Path, tmp_path: Path) -> None:
    first, second, weights = tmp_path / "first", tmp_path / "second", tmp_path / "weights"
    trained = run(recipe_file, first, "schedule.steps=120").held_out
    export(first, weights)
    again = run(recipe_file, second, "schedule.steps=1", init=str(weights)).held_out
    assert trained is not None
    assert again is not None
    assert abs(again - trained) < 0.5
    assert read_state(second)[0].started_from == str(weights)
    run(recipe_file, second, "schedule.steps=2", resume=True)
    card = (export(second, tmp_path / "both") / "README.md").read_text(encoding="utf-8")
    assert card.index("Part 1: 120 steps") < card.index("Part 2: 2 steps")
    assert "`pixelgen train --init weights`" in card
    with pytest.raises(PixelgenError, match=r"tensor .* of .* is"):
        run(recipe_file, tmp_path / "third", "model.features=16", init=str(weights))
    with pytest.raises(PixelgenError, match=r"lacks|has no tensor"):
        run(recipe_file, tmp_path / "fourth", "model.layers=2", init=str(weights))


class Notes(SilentWatcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_samples_are_drawn_and_their_failure_costs_nothing(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ("schedule.steps=2", "intervals.samples=100")
    notes = Notes()
    run(recipe_file, tmp_path / "good", *overrides, watcher=notes)
    assert "samples in" in notes.texts[-1]
    assert notes.texts[0] == "decoding pictures, or reading them from the cache"
    assert {"measuring 8 held-out pictures", "drawing samples"} < {*notes.texts}
    assert [p.name for p in (tmp_path / "good" / "samples").iterdir()] == ["00000002.png"]

    def fail(*_: object) -> None:
        raise RuntimeError("no samples today")

    monkeypatch.setattr(likelihood, "sample_grid", fail)
    assert run(recipe_file, tmp_path / "bad", *overrides, watcher=notes).step == 2
    assert "no samples today" in notes.texts[-1]


@pytest.mark.parametrize("overrides", [["compute.precision=bf16"], ["compute.channels_last=true"]])
def test_ways_to_compute_agree(recipe_file: Path, tmp_path: Path, overrides: list[str]) -> None:
    steps = "schedule.steps=40"
    plain = run(recipe_file, tmp_path / "plain", steps).held_out
    other = run(recipe_file, tmp_path / "other", steps, *overrides).held_out
    assert other == pytest.approx(plain, abs=0.2)


@pytest.mark.parametrize(("capability", "gains"), [("AVX2", False), ("AVX512", True)])
def test_bf16_only_where_the_processor_has_it(
    recipe_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capability: str,
    gains: bool,
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    cpu = torch.device("cpu")
    with autocast(cpu, "bf16"):
        assert torch.is_autocast_enabled("cpu") == gains
    with autocast(cpu, "fp32"):
        assert not torch.is_autocast_enabled("cpu")
    notes = Notes()
    options = ["schedule.steps=1", "compute.precision=bf16"]
    run(recipe_file, tmp_path / "run", *options, watcher=notes)
    assert any("fp32 instead" in note for note in notes.texts) != gains


def test_only_filters_decay() -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 1), torch.nn.Embedding(3, 2), torch.nn.LayerNorm(2)
    )
    optimiser = build_optimiser(model, OptimiserRecipe(weight_decay=0.1))
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    named = {name: decays[id(p)] for name, p in model.named_parameters()}
    assert {name for name, decay in named.items() if decay} == {"0.weight"}
    assert len(decays) == 5


def test_what_makes_sharp_means_learns_more_slowly(recipe_file: Path) -> None:
    recipe = load_recipe(recipe_file, ["model.head_linear_mean=true"])
    model = build_model(recipe.model)
    optimiser = build_optimiser(model, recipe.optimiser)
    rates = {id(p): g["rate"] for g in optimiser.param_groups for p in g["params"]}
    named = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert len(rates) == len(list(model.parameters()))
    assert {n: r for n, r in named.items() if r != 1} == model.learning_rates()  # type: ignore[operator]
    assert named["head.out.weight"] == 0.1


def test_the_average_warms_up() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    ema = averaged(model, 0.5)
    values = []
    for value in (1.0, 2.0, 4.0):
        torch.nn.init.constant_(model.weight, value)
        ema.update_parameters(model)
        values.append(ema.module.get_parameter("weight").item())
    # The first update copies; then the decay is 2/11 and 3/12.
    second = 2 / 11 * 1.0 + 9 / 11 * 2.0
    assert values == pytest.approx([1.0, second, 3 / 12 * second + 9 / 12 * 4.0])


class InductorError(Exception):
    """Of a machine without a C++ compiler."""

    __module__ = "torch._inductor.exc"


@pytest.mark.parametrize("at_once", [True, False])
def test_where_nothing_can_be_compiled_the_run_goes_on(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def fail(*_: object, **__: object) -> Tensor:
        raise InductorError("no compiler\nat all")

    def compile_nothing(module: Any, **_: object) -> Any:
        if at_once:
            raise RuntimeError("no compiler")
        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    monkeypatch.setattr(loop, "compiling_pays", lambda *_: True)
    notes = Notes()
    run(recipe_file, tmp_path / "a", "compute.compile=true", watcher=notes)
    assert "training without compiling, which fails here: no compiler" in notes.texts
    run(recipe_file, tmp_path / "b")
    assert same(tmp_path / "a", tmp_path / "b")


def test_a_disk_that_is_full_for_a_while_stops_nothing(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = loop.save_state, list[int]()

    def full_at_first(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:  # the first is before the first step
            raise PixelgenError("cannot save the run's state: No space left on device")
        save(*arguments)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "save_state", full_at_first)
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    notes = Notes()
    assert run(recipe_file, tmp_path / "run", "intervals.checkpoint=1e-9", watcher=notes).step == 30
    assert len(calls) > 3
    assert "cannot save the run's state: No space left on device: training goes on" in notes.texts
    assert read_state(tmp_path / "run")[0].counters.step == 30


@pytest.mark.parametrize("package", ["accelerate", "tensorboard"])
def test_without_the_packages(
    package: str, recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PixelgenError, match=f"needs the `{package}` package") as error:
        run(recipe_file, tmp_path / "run")
    assert error.value.hint == "`pip install '.[train]'` in a clone of pixelgen"
    # The command imports the loop before it can say so.
    hidden = f"import sys; sys.modules[{package!r}] = None; import pixelgen.training.loop"
    subprocess.run([sys.executable, "-c", hidden], check=True, cwd=ROOT)


def test_trackers_that_want_a_folder_are_not_offered(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(PixelgenError, match="no tracker 'tensorboard'") as caught:
        run(recipe_file, tmp_path / "run", tracker="tensorboard")
    assert "wandb" in caught.value.hint
    assert "TensorBoard's files are always written" in caught.value.hint
