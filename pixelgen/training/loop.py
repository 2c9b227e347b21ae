"""The training loop."""

from __future__ import annotations

import math
import signal
import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pixelgen.checkpoints.instantiate import initialised_network
from pixelgen.data import ImageData
from pixelgen.errors import PixelgenError, UsageError, install_hint
from pixelgen.models.precision import autocast, bf16_is_fast
from pixelgen.random_streams import RandomStream, mix
from pixelgen.sampling.threads import threads_for
from pixelgen.signals import StopSignals
from pixelgen.training.batches import Batch, network_seed
from pixelgen.training.folder import check_folder, clean_up, locked, mark_start, unmark_start
from pixelgen.training.holdout_leakage import holdout_may_leak
from pixelgen.training.launch import check_processes, launch_error, several_on_processors
from pixelgen.training.logs import RunLog, SilentWatcher, Watcher
from pixelgen.training.optimiser import averaged, build_optimiser
from pixelgen.training.recipe import Recipe, recipe_text
from pixelgen.training.schedule import compiling_pays, learning_rate, progress
from pixelgen.training.state import (
    Counters,
    RunState,
    load_optimiser,
    load_weights,
    part_of,
    save_state,
)
from pixelgen.training.tasks import RunContext, task_of
from pixelgen.training.throughput import Throughput, training_flops
from pixelgen.training.training_data import load_pictures

if TYPE_CHECKING:
    from datasets import Dataset

OVERDUE = -1
"""Beside numbers of signals: the time for this part is up."""
Reason = Literal["finished", "max-minutes", "terminated", "interrupted"]


class TimeLimit(NamedTuple):
    """How long a part of a run may last."""

    seconds: float
    began: float | None = None
    """When it began, by `time.perf_counter`; None: with its first step."""

    def end(self) -> float:
        """When it stops, by `time.perf_counter`; called before its first step."""
        return (time.perf_counter() if self.began is None else self.began) + self.seconds

    def minutes_left(self) -> float:
        """How long the steps of this part may take; without end where it is only to stop after its
        steps, a turn among others."""
        return math.inf if self.began is None else (self.end() - time.perf_counter()) / 60


@dataclass(frozen=True)
class Outcome:
    """How a run, or this part of it, ended. Its state is saved."""

    reason: Reason
    """Why it stopped."""
    counters: Counters
    """Its progress."""
    signal: int | None = None
    """The signal that stopped it, if one did."""


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    init: str | None = None,
    max_minutes: float | None = None,
    began: float | None = None,
    dataset: Dataset | None = None,
    tracker: str | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Trains the model of `recipe` in `folder`; with `resume`, continues the run there.

    A new run starts from the weights `init` (bundled name, folder or Hub id) if they are given.
    `max_minutes` after `began`, a time of `time.perf_counter`, or else after the first step began,
    this part stops early; the learning rate follows the recipe all the same. `dataset` is the split
    of the recipe, if it is open already. `tracker` is one that `accelerate` knows, such as "wandb"
    or "trackio", and gets all numbers too. Devices and processes are those of `accelerate`. A stop
    signal (Ctrl-C, SIGTERM, SIGHUP) ends the run after its state is saved; another one, seconds
    later, raises StopRequested at once. Raises UsageError for `max_minutes` below 0, PixelgenError
    where recipe, data, weights and folder do not fit together.
    """
    if max_minutes is not None and not max_minutes >= 0:  # nor nan
        raise UsageError(f"max_minutes must be at least 0, not {max_minutes}")
    try:
        import tensorboard  # noqa: F401
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError as error:
        raise PixelgenError(
            f"training needs the `{error.name}` package", install_hint("train")
        ) from None
    # The last layer's vertical output leads nowhere: replicas must not wait for its gradient.
    # The recipe alone decides what is computed in bf16 and compiled, not `accelerate config`.
    tracking = _tracking(tracker)
    try:
        accelerator = Accelerator(
            cpu=several_on_processors(),
            mixed_precision="no",
            dynamo_backend="no",
            kwargs_handlers=[DistributedDataParallelKwargs(static_graph=True)],
            **tracking,
        )
    except Exception as error:  # it reads dozens of variables, and raises whatever these cause
        raise launch_error(error) from error
    check_processes(accelerator.num_processes)
    watcher = watcher if watcher is not None and accelerator.is_main_process else SilentWatcher()
    with locked(folder) if accelerator.is_main_process else nullcontext():
        saved = check_folder(recipe, folder, resume, init)
        accelerator.wait_for_everyone()  # before the first of them writes
        if tracker is not None:
            accelerator.init_trackers("pixelgen", {"recipe": recipe_text(recipe)})
        limit = TimeLimit(math.inf if max_minutes is None else 60 * max_minutes, began)
        try:
            return _train(recipe, folder, saved, init, limit, dataset, accelerator, watcher)
        finally:
            if tracker is not None:
                accelerator.end_training()  # it sends what it has


def _tracking(tracker: str | None) -> dict[str, Any]:
    """What makes an `Accelerator` log to a tracker. Raises UsageError for one that is unknown or
    not installed."""
    if tracker is None:
        return {}
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    kinds = {str(name): kind for name, kind in LOGGER_TYPE_TO_CLASS.items()}
    known = sorted(n for n, kind in kinds.items() if not kind.requires_logging_directory)
    if tracker not in known:
        always = "; TensorBoard's files are always written" * (tracker == "tensorboard")
        raise UsageError(f"no tracker {tracker!r}", f"one of: {', '.join(known)}{always}")
    if tracker not in map(str, get_available_trackers()):
        raise UsageError(f"the tracker {tracker} is not installed", f"`pip install {tracker}`")
    return {"log_with": tracker}


def _train(
    recipe: Recipe,
    folder: Path,
    saved: tuple[RunState, dict[str, Tensor]] | None,
    init: str | None,
    limit: TimeLimit,
    dataset: Dataset | None,
    accelerator: Any,
    watcher: Watcher,
) -> Outcome:
    """One part of a run: new, or resumed from what was `saved`."""
    watcher.note("decoding pictures, or reading them from the cache")
    data = load_pictures(
        recipe,
        note=watcher.note,
        progress=lambda done, total: _report_decoding(watcher, done, total),
        dataset=dataset,
    )
    try:
        if saved is None and accelerator.is_main_process:
            mark_start(folder)
        state = None if saved is None else saved[0]
        run = TrainingRun(recipe, folder, data, accelerator, watcher, state)
        if saved is not None:
            run.restore(*saved)
        else:
            run.begin(init)
        with StopSignals(deferred=True) as stop:
            return run.go(stop, limit)
    except BaseException:
        if saved is None and accelerator.is_main_process:
            clean_up(folder)
        raise


def _reason(number: int) -> Reason:
    """What a signal does to a run."""
    return "interrupted" if number == signal.SIGINT else "terminated"


def _report_decoding(watcher: Watcher, done: int, total: int) -> None:
    if done == total or done % 20000 == 0:
        watcher.note(f"decoded {done} of {total} pictures")


class TrainingRun:
    """A model in training, and the state that changes with it."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        data: ImageData,
        accelerator: Any,
        watcher: Watcher,
        resumed: RunState | None = None,
    ) -> None:
        """With the state of the run that is `resumed`, if one is. Raises PixelgenError for data
        that do not fit."""
        self.recipe, self.folder = recipe, folder
        self.accelerator, self.watcher = accelerator, watcher
        self.counters = Counters()
        self.started_from, self.history = "", dict[str, Any]()
        self.pictures, self.data_digest = len(data), data.digest(labels=True)
        if resumed is not None:  # before the run's cached results are replaced by those of others
            self._check_pictures(resumed)
        self.task = task_of(recipe)
        with accelerator.main_process_first():
            context = RunContext(folder, watcher.note, accelerator.device, resumed is not None)
            self.data = self.task.prepare(data, context)
        self.batches = self.data.batches.to(accelerator.device)
        if recipe.compute.precision == "bf16" and not bf16_is_fast(accelerator.device):
            watcher.note("this processor has no fast bf16: training in fp32 instead")
        torch.manual_seed(mix(recipe.seed, RandomStream.INITIAL_WEIGHTS))
        try:
            model: nn.Module = initialised_network(recipe.model)
        except ValueError as error:
            raise UsageError(f"[model]: {error}", "a smaller model needs less memory") from error
        if recipe.compute.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.load_state_dict(self.data.fitted, strict=False)
        self.model = model.to(accelerator.device)
        self.ema = averaged(self.model, recipe.optimiser.ema)
        self.optimiser = build_optimiser(self.model, recipe.optimiser, self.task.critic)
        self._plain_objective = self.task.objective(self.model)
        self._prepared_objective = accelerator.prepare(self._plain_objective)
        self.objective = self._prepared_objective
        self._failures = 0
        self.flops = 0.0
        """Floating-point operations of a step per picture; counted when the steps begin."""

    def _check_pictures(self, state: RunState) -> None:
        """Raises PixelgenError where the run was started with other pictures: others would be held
        out."""
        changed = ""
        if state.pictures and state.pictures != self.pictures:
            changed = (
                f"the data has {self.pictures} pictures, the run was started with {state.pictures}"
            )
        elif state.data_digest not in ("", self.data_digest):
            changed = (
                f"the pictures of {self.recipe.data.path}, or their labels, are not those that the "
                "run was started with"
            )
        if changed:
            raise PixelgenError(
                changed,
                "restore them, or start a new run from weights exported from this one",
                code="data-changed",
            )

    def restore(self, state: RunState, tensors: dict[str, Tensor]) -> None:
        """Continues from a saved state, and empties `tensors`: the run will replace their file."""
        source = f"the saved state in {self.folder}"
        names_differ = state.class_names and state.class_names != self.data.class_names
        if state.labels != self.data.labels or names_differ:
            raise PixelgenError("the data has other labels than the run was started with")
        load_weights(self.model, part_of(tensors, "model"), source)
        load_weights(self.ema.module, part_of(tensors, "ema"), source)
        critic = part_of(tensors, "critic")
        if self.task.critic is not None and critic:  # without one its loss is new in this part
            load_weights(self.task.critic, critic, source)
        load_optimiser(self.optimiser, self.model, tensors, self.task.critic)
        tensors.clear()
        self.ema.n_averaged.fill_(state.ema_updates)
        self.counters = replace(state.counters)
        if self.counters.held_out_step is None:  # not saved by earlier versions
            self.counters.held_out_step = self.counters.step
        self.started_from, self.history = state.started_from, state.history
        self.watcher.note(f"resumed at step {self.counters.step}")

    def begin(self, init: str | None) -> None:
        """Fits what a new run fits to its data, and loads the weights of the checkpoint `init`."""
        if self.data.initial is not None:
            fitted = self.data.initial()
            for network in (self.model, self.ema.module):
                network.load_state_dict(fitted, strict=False)
        if init is not None:
            self._start_from(init)

    def _start_from(self, ref: str) -> None:
        from pixelgen.checkpoints import load_checkpoint

        self.watcher.note(f"loading the weights {ref}")
        start = self.task.warm_start(load_checkpoint(ref), self.model, self.data)
        weights = start.weights | self.data.fitted
        load_weights(self.model, weights, ref)
        load_weights(self.ema.module, weights, ref)
        if start.unchanged:  # they are an average already, which continues at its full decay
            self.ema.n_averaged.fill_(math.ceil(10 / (1 - self.recipe.optimiser.ema)))
        self.started_from, self.history = ref, dict(start.history)
        for other in ("evaluation", "others", "parts"):  # they describe other weights than these
            self.history.pop(other, None)
        extended = "" if start.unchanged else ", with new parts"
        self.watcher.note(f"started from {ref}{extended}")
        if self.recipe.data.holdout and holdout_may_leak(self.recipe, start.history, self.pictures):
            self.watcher.note(
                f"{ref} may have been trained on pictures that are held out now: the card will "
                "omit the held-out figure (seed and data.holdout decide which are held out)"
            )

    def save(self, last: bool = False) -> None:
        """Writes the state (main process only), except while steps fail, when the weights may be
        bad, unless it is the `last` one. The previous state is kept."""
        if self.accelerator.is_main_process and (last or not self._failures):
            state = RunState(
                self.recipe.to_dict(),
                self.data.labels,
                self.counters,
                int(self.ema.n_averaged),
                self.started_from,
                self.history,
                self.pictures,
                self.data.class_names,
                self.data_digest,
            )
            save_state(
                self.folder, state, self.model, self.ema.module, self.optimiser, self.task.critic
            )

    def go(self, stop: StopSignals, limit: TimeLimit) -> Outcome:
        """Steps until the schedule, `limit`, or a signal ends it. In a short time compiling may not
        pay."""
        end, minutes_left = limit.end(), limit.minutes_left()
        self.flops = self._count_flops()
        compiled = self.recipe.compute.compile and compiling_pays(
            self.recipe, self.flops, self.accelerator.device.type, minutes_left
        )
        if compiled:
            self._compile()
        if not self.accelerator.is_main_process:
            reason, number = self._loop(stop, end, None)
            self.accelerator.wait_for_everyone()
            return Outcome(reason, self.counters, number)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PixelgenError(
                f"cannot create the folder {self.folder}: {error.strerror}"
            ) from error
        track = self.accelerator.log if self.accelerator.trackers else None
        with closing(RunLog(self.folder, self.counters.step, track)) as self.log:
            self.log.recipe(recipe_text(self.recipe))
            self._log_start()
            throughput = Throughput(self.flops, self.counters, self.task.loss, self.task.loss_unit)
            if not self.counters.step:
                self.save()
            unmark_start(self.folder)
            if compiled:
                self.watcher.note("compiling the network, which takes a minute or two")
            elif self.recipe.compute.compile:
                self.watcher.note("the network is not compiled: the run is too short")
            reason, number = self._loop(stop, end, throughput)
            self.save(last=True)
            if number is None:
                if len(self.data.held):
                    self.watcher.note(f"measuring {len(self.data.held)} held-out pictures")
                stop.unless_stopped(self._validate)
                if reason == "finished" and self.recipe.intervals.samples:
                    self.watcher.note("drawing samples")
                    stop.unless_stopped(self._sample)
                self.save(last=True)
                if stop.received:
                    number = stop.received[0]
                    reason = _reason(number)
            self.log.write("end", self.counters.step, reason=reason, seconds=self.counters.seconds)
        self.accelerator.wait_for_everyone()
        return Outcome(reason, self.counters, number)

    def _count_flops(self) -> float:
        """Floating-point operations of a step per picture."""
        first = self.batches.draw(0, 0, min(4, self.recipe.optimiser.batch))
        x, *more = first.inputs(self.accelerator.device)
        assert x is not None
        return training_flops(self._plain_objective, x, *more)

    def _log_start(self) -> None:
        """Logs the size of the network, and its floating-point operations per picture."""
        parameters = sum(p.numel() for p in self.model.parameters())
        self.log.write(
            "start", self.counters.step, parameters=parameters, gflops_per_image=self.flops / 1e9
        )
        self.watcher.note(
            f"{parameters / 1e6:.2f} M parameters, {self.flops / 1e9:.2f} GFLOP per picture, "
            f"{len(self.batches.rows)} pictures, {len(self.data.held)} held out"
        )

    def _loop(
        self, stop: StopSignals, end: float, throughput: Throughput | None
    ) -> tuple[Reason, int | None]:
        """Steps until the end of this part; why it ends, and the signal if there was one."""
        recipe, counters = self.recipe, self.counters
        start, last = counters.seconds, time.perf_counter()
        due = dict.fromkeys(("validation", "samples", "checkpoint"), start)
        while True:
            now = time.perf_counter()
            number = stop.received[0] if stop.received else OVERDUE if now >= end else 0
            counters.seconds, number = self._agree(counters.seconds + now - last, number)
            last = now
            reason: Reason | None = None
            if number > 0:
                reason = _reason(number)
            elif progress(recipe.schedule, counters.step, counters.seconds) >= 1:
                reason = "finished"
            elif number == OVERDUE:
                reason = "max-minutes"
            if throughput is not None and (
                values := throughput.record(counters, reason is not None)
            ):
                self.log.write("train", counters.step, **values)
            if reason is not None:
                return reason, number if number > 0 else None
            if throughput is not None:
                self._at_intervals(due, stop)
            lr = learning_rate(recipe.optimiser, recipe.schedule, counters.step, counters.seconds)
            with threads_for(self.flops * recipe.optimiser.batch):
                loss, norm = self._step(lr)
            if throughput is not None:
                throughput.add(loss, norm, lr)
                self.watcher.progress(throughput.progress(recipe, counters))

    def _agree(self, seconds: float, number: int) -> tuple[float, int]:
        """The clock and signals of the main process, in all processes, so that they stop at the
        same step."""
        if self.accelerator.num_processes == 1:
            return seconds, number
        from accelerate.utils import broadcast

        both = torch.tensor([seconds, number], dtype=torch.float64, device=self.accelerator.device)
        both = broadcast(both)
        return float(both[0]), int(both[1])

    def _at_intervals(self, due: dict[str, float], stop: StopSignals) -> None:
        """Does what is due: validation and samples, which a signal cuts off, since they may take
        longer than whoever sent it waits, and a checkpoint."""
        actions = {
            "validation": self._validate,
            "samples": self._sample,
            "checkpoint": self._checkpoint,
        }
        for name, action in actions.items():
            interval = 60 * getattr(self.recipe.intervals, name)
            if interval and self.counters.seconds - due[name] >= interval:
                due[name] = self.counters.seconds
                if name == "checkpoint":
                    action()
                else:
                    stop.unless_stopped(action)

    def _checkpoint(self) -> None:
        """Saves the state; a failure, such as a disk that is full for a while, is only noted."""
        try:
            self.save()
        except PixelgenError as error:
            self.watcher.note(f"{error.message}: training goes on")

    def _compile(self) -> None:
        try:
            self.objective = torch.compile(self.objective, dynamic=False)
        except RuntimeError as error:  # of a system or a Python that torch cannot compile for
            self._goes_on_uncompiled(error)

    def _goes_on_uncompiled(self, error: Exception) -> None:
        self.objective = self._prepared_objective
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self.watcher.note(f"training without compiling, which fails here: {why}")

    def _gradients(self, batch: Batch) -> Tensor:
        """The loss of a batch; its gradients are added to those of the parameters."""
        try:
            return self._loss_and_gradients(batch)
        except Exception as error:
            of_the_compiler = type(error).__module__.startswith(
                ("torch._dynamo", "torch._inductor")
            )
            if not of_the_compiler or self.objective is self._prepared_objective:
                raise
            self._goes_on_uncompiled(error)
        self.optimiser.zero_grad()
        return self._loss_and_gradients(batch)

    def _loss_and_gradients(self, batch: Batch) -> Tensor:
        rank = self.accelerator.process_index
        torch.manual_seed(network_seed(self.recipe.seed, self.counters.step, rank))
        with autocast(self.accelerator.device, self.recipe.compute.precision):
            loss: Tensor = self.objective(*batch.inputs(self.accelerator.device))
        self.accelerator.backward(loss)
        return loss

    def _step(self, lr: float) -> tuple[float, float]:
        """One update; returns the loss and the gradient's norm."""
        recipe, counters = self.recipe.optimiser, self.counters
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        batch = self.batches.draw(counters.step, counters.images, recipe.batch, rank, ranks)
        loss = self._gradients(batch)
        limit = recipe.clip if recipe.clip else math.inf
        networks = (self.model,) if self.task.critic is None else (self.model, self.task.critic)
        norm, *others = (
            float(torch.nn.utils.clip_grad_norm_(network.parameters(), limit))
            for network in networks
        )
        value = float(self.accelerator.reduce(loss.detach(), "mean"))
        counters.step += 1
        counters.images += recipe.batch * ranks
        if all(map(math.isfinite, (value, norm, *others))):
            for group in self.optimiser.param_groups:
                group["lr"] = lr * group["rate"]
            self.optimiser.step()
            self.ema.update_parameters(self.model)
            self._failures = 0
        else:
            counters.skipped += 1
            self._failures += 1
            if self._failures >= recipe.patience:
                raise PixelgenError(
                    f"{self._failures} steps in a row had a loss or gradient that is not finite "
                    f"(step {counters.step})",
                    f"lower optimiser.lr and resume from the last saved state in {self.folder}",
                )
        self.optimiser.zero_grad()
        return value, norm

    def _validate(self) -> None:
        """Measures the averaged weights on the held-out images."""
        if not len(self.data.held):
            return
        figures = self.task.held_out(self.ema.module, self.data.held, self.data.held_condition)
        self.counters.held_out = float(figures.mean())
        self.counters.held_out_step = self.counters.step
        self.counters.held_out_pictures = len(self.data.held)
        self.log.write(
            "validation",
            self.counters.step,
            **{self.task.figure: self.counters.held_out},
            images=self.counters.images,
            seconds=self.counters.seconds,
        )
        self.watcher.note(
            f"step {self.counters.step}: {self.counters.held_out:.4f} {self.task.figure_unit} on "
            f"{len(self.data.held)} held-out pictures"
        )

    def _sample(self) -> None:
        """Writes a sheet of images by the averaged weights; a failure is only noted."""
        path = self.folder / "samples" / f"{self.counters.step:08d}.png"
        try:
            self.task.show(self.ema.module, self.data.held, self.data.held_condition, path)
        except Exception as error:  # a sheet is not worth stopping a run for
            self.watcher.note(f"no samples at step {self.counters.step}: {error!r}")
        else:
            self.log.sheet(path, self.counters.step)
            self.watcher.note(f"step {self.counters.step}: samples in {path}")
