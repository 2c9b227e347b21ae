"""The figures of a comparison, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pixelgen.errors import counted
from pixelgen.evaluation.results import BitsPerDim, result_from_dict

Kind = Literal["closed form", "trained", "published"]


@dataclass(frozen=True)
class Row:
    """One model."""

    name: str
    """Of its recipe or peer; for the other rows the key of the published figure."""
    title: str
    """The name in the table."""
    kind: Kind
    """Fitted in closed form, trained here, or only published."""
    bound: bool
    """The figures `test` and `train` are upper bounds."""
    test: BitsPerDim | None = None
    train: BitsPerDim | None = None
    published_test: float | None = None
    published_train: float | None = None
    published_bound: bool = False
    source: str = ""
    """Of the published figures."""
    parameters: int | None = None
    flops_per_picture: float | None = None
    """Of a forward and a backward pass."""
    pictures: int | None = None
    """Seen in training, repeated ones included."""
    epochs: float | None = None
    flops: float | None = None
    """Of the training."""
    minutes: float | None = None
    """Of the training."""
    pictures_per_second: float | None = None
    """Of the training."""
    seconds_per_sample: float | None = None
    """Of a batch of samples, over their number."""
    sampler: str = ""
    """`incremental` or `naive`."""
    curve: tuple[tuple[float, float], ...] = ()
    """(FLOP of training, bits per dimension on held-out pictures)."""


@dataclass(frozen=True)
class Comparison:
    """A finished comparison."""

    data: str
    split: str
    """Of the test pictures."""
    budget: str
    paper: bool
    """The models have the sizes of the papers."""
    training_pictures: int
    test_pictures: int
    test_total: int
    """Test pictures that there are: more than `test_pictures` if these were limited."""
    train_measured: int
    """Training pictures that the column "train" is measured on."""
    classes: int | None
    """Different labels of the training pictures; None without labels."""
    published: str
    """The data set of the published figures; empty without."""
    samples: int
    """Of every model, drawn at once."""
    device: str
    threads: int
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Comparison:
        """Inverse of `to_dict`. Raises ValueError for something else."""
        return result_from_dict(Comparison, values)


COLUMNS = (
    "model", "test", "train", "published", "parameters", "GFLOP/picture", "pictures", "epochs",
    "PFLOP", "minutes", "pictures/s", "s/sample",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """The row as texts, by `COLUMNS`; empty where there is no figure."""
    published = ""
    if row.published_test is not None:
        published = f"{'≤ ' * row.published_bound}{row.published_test:.2f}"
        published += f" ({row.published_train:.2f})" if row.published_train is not None else ""
    naive = " (naive)" if row.sampler == "naive" else ""
    return [
        row.title,
        _bits(row.test, row.bound),
        _bits(row.train, row.bound),
        published,
        "" if row.parameters is None else f"{row.parameters:,}",
        _number(row.flops_per_picture, 1e9),
        "" if row.pictures is None else f"{row.pictures:,}",
        "" if row.epochs is None else f"{row.epochs:.2f}",
        _number(row.flops, 1e15),
        "" if row.minutes is None else f"{row.minutes:.1f}",
        _number(row.pictures_per_second, 1),
        _number(row.seconds_per_sample, 1) + naive if row.sampler else "",
    ]


def _bits(bits: BitsPerDim | None, bound: bool) -> str:
    if bits is None:
        return ""
    error = "" if not bits.standard_error else f" ± {bits.standard_error:.3f}"
    return f"{'≤ ' * bound}{bits.bits_per_dim:.3f}{error}"


def _number(value: float | None, unit: float) -> str:
    """Three digits."""
    return "" if value is None else f"{value / unit:.3g}"


def notes(comparison: Comparison) -> list[str]:
    """What the table's figures are, a sentence or two each."""
    c = comparison
    classes = "" if not c.classes else f" of {c.classes} classes"
    limited = f", {c.test_pictures} of them, evenly spread" * (c.test_pictures < c.test_total)
    lines = [
        f"Data: {c.data}, {c.training_pictures} training pictures{classes}; test: split "
        f"{c.split}, {c.test_total} pictures{limited}.",
        f"Every model was trained for {c.budget}, in turns on one machine ({c.device}, "
        f"{counted(c.threads, 'thread')})"
        + (", in the size of its paper." if c.paper else "; these are small models."),
        "test, train: bits per dimension ± standard error of the mean over pictures, of the "
        f"averaged weights. train is of {c.train_measured} training pictures, evenly spread. "
        "≤: an upper bound; without it, a figure is exact.",
        "parameters: weights that a mask always sets to 0 are counted, too.",
        "GFLOP/picture: a forward and a backward pass, matrix products and convolutions counted. "
        "PFLOP, minutes, pictures/s: of the training, compiling included.",
    ]
    if c.samples:
        lines.append(f"s/sample: the time of {c.samples} samples drawn at once, over their number.")
    if c.published:
        lines.append(
            f"published: test (train) as published for {c.published}, with the papers' sizes and "
            "lengths of training."
        )
    if c.published.startswith("imagenet") and c.classes and c.classes != 1000:
        lines.append(
            "The published figures are of all 1000 classes of ImageNet; this data has "
            f"{c.classes}, so the figures cannot be compared with each other."
        )
    return lines


def markdown(comparison: Comparison, curves: str, samples: str) -> str:
    """The table as Markdown, with the drawing `curves` and the sheet `samples` (empty: none)."""
    lines = [_line(COLUMNS), _line(["---", *["---:"] * (len(COLUMNS) - 1)])]
    lines += [_line([cell or "–" for cell in cells(row)]) for row in comparison.rows]
    text = [f"# Models of {comparison.data} at an equal budget", "", *lines, ""]
    text += [f"- {note}" for note in notes(comparison)]
    text += ["", f"![Bits per dimension over operations of training]({curves})"]
    if samples:
        trained = [row.title for row in comparison.rows if row.sampler]
        text += ["", f"![Samples of {', '.join(trained)}, a row each]({samples})"]
    return "\n".join(text) + "\n"


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
