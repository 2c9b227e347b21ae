"""Train every bundled model within a budget of minutes, on one GPU or on a processor.

    python recipes/reproduce.py runs/all --minutes 10 --data ../shared/data
    python recipes/reproduce.py runs/all --minutes 10 --data ../shared/data --only decoder
    python recipes/reproduce.py runs/all --minutes 6 --data ../shared/data --resume

A model starts as soon as those that it builds on are exported; on a GPU, models that do not depend
on each other train side by side. The budget counts from the start of the script: each model gets
what is left when it starts, shared with those that wait for it, or for a place among --jobs. Models
with bundled weights of the same build start from them; with --fresh from scratch. States are saved
every minute, so a run that is cut short can be resumed, with the budget that is left, and exported.
Every model is exported in half precision to OUTPUT/NAME-weights, beside its log and its run folder
OUTPUT/NAME.

DATA holds the folders imagenet64/ and faces64/ (docs/training.md says what lies in them) and, where
the model cifar10 is wanted, cifar10/ (docs/tables.md).
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import typer

HERE = Path(__file__).parent
EXPORT_SECONDS = 20.0
"""Set aside for the export of a model."""
SHORTEST = 0.1
"""Minutes of training that a model gets at least."""
OPTIONAL_DATA = "cifar10"
"""The folder of DATA without which the models of the others are trained all the same."""


@dataclass(frozen=True)
class Model:
    """One bundled network, and how it is trained on the budget."""

    name: str
    recipe: str
    data: str
    """The folder of DATA with its pictures."""
    start: str = ""
    """Bundled weights to start from."""
    needs: tuple[str, ...] = ()
    """Models that must be exported before this one trains."""
    share: float = 1.0
    """Of the budget that is left when it starts; the rest is for the models that need it."""
    settings: tuple[str, ...] = ()
    """KEY=VALUE for the recipe."""
    gpu: tuple[str, ...] = ()
    """KEY=VALUE for the recipe on a GPU, where launching costs more than computing."""
    fresh: tuple[str, ...] = ()
    """KEY=VALUE for the recipe with --fresh."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Recipe keys that name weights, with the model that makes these."""
    smoothing: float | None = None
    """Of an exported tokenizer."""
    ensemble: tuple[str, ...] = ()
    """Models whose face embedders are averaged with that of the exported one."""


DECODER = (
    "losses.decoder_only=true",
    "data.jitter=2",
    "losses.perceptual_share=0.5",
    "optimiser.batch=48",
    "optimiser.lr=8e-4",
    "optimiser.ema=0.998",
)
SMALL_EMBEDDER = (
    "model.patch=4", "model.place_features=32", "model.deep_features=160", "seed=3",
)  # fmt: skip
LARGE = ("optimiser.batch=256", "optimiser.ema=0.998")

MODELS = (
    Model(
        "decoder", "tokenizer64", "imagenet64", "imagenet64", share=0.5, settings=DECODER,
        gpu=("losses.decoder_only=false", "losses.classifier=0.2", "optimiser.batch=128"),
        fresh=("losses.decoder_only=false",), smoothing=0.4,
    ),
    Model("embedder", "embedder64", "faces64", share=0.3),
    Model(
        "embedder-2", "embedder64", "faces64", share=0.3, settings=SMALL_EMBEDDER,
    ),
    Model(
        "face-tokenizer", "tokenizer64-faces", "faces64", "imagenet64", needs=("embedder",),
        share=0.5, gpu=LARGE[:1], inputs={"losses.embedder": "embedder"},
    ),
    Model(
        "faces", "faces64", "faces64", "imagenet64",
        needs=("embedder", "embedder-2", "face-tokenizer"), ensemble=("embedder-2",),
        gpu=(*LARGE, "optimiser.lr=1.2e-3", "model.dropout=0.1"),
        inputs={"data.tokenizer": "face-tokenizer", "data.embedder": "embedder"},
    ),
    Model(
        "imagenet32", "imagenet32", "imagenet64", "imagenet32",
        settings=("data.vectors=imagenet32",),
        gpu=("optimiser.batch=192", "optimiser.lr=1.2e-3", "schedule.decay_from=0.1"),
    ),
    Model("cifar10", "cifar10", "cifar10", "imagenet32", gpu=LARGE),
    Model("autoencoder32", "autoencoder32", "imagenet64", "autoencoder32", gpu=LARGE),
    Model(
        "prior", "imagenet64", "imagenet64", "imagenet64", needs=("decoder",),
        settings=("schedule.steps=0", "data.vectors=imagenet64"),
        gpu=("optimiser.lr=1.5e-3", "data.jitter=3", "model.dropout=0.1"),
        inputs={"data.tokenizer": "decoder"},
    ),
)  # fmt: skip
"""In the order in which they start where not all can."""


def minutes_for(model: Model, waiting: Sequence[Model], jobs: int, seconds: float) -> float:
    """Minutes of training that a model gets of the `seconds` that are left when it starts, and
    other models wait. `jobs` run side by side: those that start later share what is left."""
    rounds = math.ceil((1 + len(waiting)) / jobs)
    wanted = any(model.name in other.needs for other in waiting)
    left = seconds / rounds - EXPORT_SECONDS
    return max(left / 60 * (model.share if wanted else 1.0), SHORTEST)


def command(model: Model, output: Path, data: Path, minutes: float, gpu: bool) -> list[str]:
    """The words of `pixelgen train` for a model, but for how it starts. `minutes` are those of the
    whole run, also where it is resumed."""
    settings = [
        *model.settings,
        *(model.gpu if gpu else ()),
        f"data.path={data / model.data}",
        f"schedule.minutes={minutes:.2f}",
        "intervals.checkpoint=1",
        "intervals.samples=0",
        f"intervals.validation={max(minutes / 5, 1):.2f}",
        *(f"{key}={output / f'{needed}-weights'}" for key, needed in model.inputs.items()),
    ]
    words = ["train", str(HERE / f"{model.recipe}.toml"), "-o", str(output / model.name)]
    return words + [word for setting in settings for word in ("--set", setting)]


def exports(model: Model, output: Path, data: Path) -> list[list[str]]:
    """The words of the commands that export a model, one after the other."""
    weights = str(output / f"{model.name}-weights")
    words = ["export", str(output / model.name), "-o", weights, "--force"]
    if model.smoothing is not None:
        words += ["--smoothing", str(model.smoothing)]
    if not model.ensemble:
        return [words]
    again = ["export", weights, "-o", weights, "--force", "--faces", str(data / model.data)]
    for other in model.ensemble:
        again += ["--ensemble", str(output / f"{other}-weights")]
    return [words, again]


def minutes_trained(run: Path) -> float:
    """Minutes of training that a run has behind it, by its log."""
    lines = (run / "log.jsonl").read_text().splitlines()
    seconds = [json.loads(line).get("seconds", 0.0) for line in lines if line.endswith("}")]
    return max(seconds, default=0.0) / 60


def pixelgen(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts the command; all that it prints goes to the end of `log`."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "pixelgen", *words], stdout=stream, stderr=stream
        )


class Run:
    """A model on its way: training, then export."""

    def __init__(self, model: Model, output: Path, commands: list[list[str]]) -> None:
        """`commands` are the words of `pixelgen`, one call after the other."""
        self.model, self.commands = model, commands[1:]
        self.log = output / f"{model.name}.log"
        self.process = pixelgen(commands[0], self.log)

    def done(self) -> bool:
        """Whether all commands have run; starts the next one when one has ended. Raises
        RuntimeError where one failed."""
        code = self.process.poll()
        if code is None:
            return False
        if code:
            raise RuntimeError(f"{self.model.name} failed, see {self.log}")
        if not self.commands:
            return True
        self.process = pixelgen(self.commands.pop(0), self.log)
        return False


def main(
    output: Annotated[Path, typer.Argument(help="Folder for runs, logs and weights.")],
    data: Annotated[Path, typer.Option(help="Folder that holds imagenet64/, faces64/, cifar10/.")],
    minutes: Annotated[float, typer.Option(min=0.5, help="Budget for everything.")] = 10.0,
    only: Annotated[
        list[str] | None, typer.Option(help="Train this model; may be repeated. Default: all.")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=0, help="Models side by side. Default: all on a GPU, 1 elsewhere.")
    ] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start from scratch.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the runs in OUTPUT.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="For every recipe.")
    ] = None,
) -> None:
    """Train the bundled models."""
    known = [model.name for model in MODELS]
    for name in only or ():
        if name not in known:
            raise typer.BadParameter(f"no model {name!r}, expected one of {', '.join(known)}")
    waiting = [model for model in MODELS if not only or model.name in only]
    for model in [model for model in waiting if not (data / model.data).is_dir()]:
        if only or model.data != OPTIONAL_DATA:
            raise typer.BadParameter(f"no folder {data / model.data}")
        typer.echo(f"{model.name}: left out, there is no folder {data / model.data}", err=True)
        waiting.remove(model)
    gpu = torch.cuda.is_available()
    jobs = jobs or (len(MODELS) if gpu else 1)
    output.mkdir(parents=True, exist_ok=True)
    output, data = output.resolve(), data.resolve()
    end = time.monotonic() + 60 * minutes
    exported = {name for name in known if (output / f"{name}-weights" / "config.json").is_file()}
    if not resume:
        exported -= {model.name for model in waiting}
    running: list[Run] = []
    try:
        while waiting or running:
            for run in [run for run in running if run.done()]:
                running.remove(run)
                exported.add(run.model.name)
                typer.echo(f"{run.model.name}: exported", err=True)
            ready = [model for model in waiting if exported.issuperset(model.needs)]
            for model in ready[: jobs - len(running)]:
                waiting.remove(model)
                budget = minutes_for(model, waiting, jobs, end - time.monotonic())
                going_on = resume and (output / model.name / "state.safetensors").exists()
                before = minutes_trained(output / model.name) if going_on else 0.0
                words = command(model, output, data, before + budget, gpu)
                more = (*(model.fresh if fresh else ()), *(settings or ()))
                words += [word for key in more for word in ("--set", key)]
                if going_on:
                    words.append("--resume")
                elif model.start and not fresh:
                    words += ["--init", model.start]
                typer.echo(f"{model.name}: {budget:.1f} minutes", err=True)
                running.append(Run(model, output, [words, *exports(model, output, data)]))
            if waiting and not running:
                missing = ", ".join({n for m in waiting for n in m.needs} - exported)
                raise RuntimeError(f"these models are needed first: {missing}")
            time.sleep(0.2)
    except RuntimeError as error:
        for run in running:
            run.process.terminate()
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
