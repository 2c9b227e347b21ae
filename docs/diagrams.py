"""Draws the diagrams of docs/method.md from the networks themselves.

python docs/diagrams.py      writes docs/diagrams/*.svg

Masks are read off the layers. Fields are where exact derivatives differ from zero, of networks with
random weights. Nothing here says what a mask or a field ought to be: the raster order alone decides
the colours, so that a network which sees what comes later is drawn with red in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from svg import Panel, Sheet
from torch import Tensor

from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    MultiScaleConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
    build_model,
    pixelcnn,
    pixelrnn,
)
from pixelgen.models import masked_conv as conv

FOLDER = Path(__file__).parent / "diagrams"

SEEN, SELF, UNSEEN, LATER, LEAK = "seen", "self", "unseen", "later", "leak"
EARLIER, NOW, NONE, COARSE = "earlier", "now", "none", "coarse"
COLOURS = {
    SEEN: "#4c86c6",
    SELF: "#1f3f66",
    UNSEEN: "#f0b04a",
    LATER: "#e3e3e3",
    LEAK: "#d8342c",
}
FIELD_LEGEND = {
    SELF: (COLOURS[SELF], "the pixel whose distribution this is"),
    SEEN: (COLOURS[SEEN], "before it, and seen"),
    UNSEEN: (COLOURS[UNSEEN], "before it, and not seen"),
    LATER: (COLOURS[LATER], "after it, and not seen"),
    LEAK: (COLOURS[LEAK], "itself or after it, and seen: an error"),
}
KERNEL = 5
SIZE = 11
AT = (7, 4)
LAYERS = (0, 1, 3, 9)
_TINY: dict[str, Any] = {"levels": 4, "output_features": 12, "kernel": 3, "first_kernel": 3}
# A ReLU that is shut hides what it stands before; one network or another has it open.
_SEEDS = range(6)


def network(config: GridConfig, seed: int) -> Any:
    """A network with random weights, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    model = build_model(config).double()
    with torch.no_grad():
        for weight in model.parameters():
            fan_in = max(1, weight[0].numel()) if weight.dim() > 1 else 4
            weight.copy_(torch.randn(weight.shape, generator=generator) / fan_in**0.5)
    return model


def derivatives(run: Callable[[Tensor], Tensor], x: Tensor, at: tuple[int, int]) -> Tensor:
    """Where the outputs [1, F, H, W] of `run` at the position `at` depend on `x`: bool [C, H, W].

    The F outputs are summed with random weights, in which none can vanish.
    """
    x = x.clone().requires_grad_()
    out = run(x)[0, :, at[0], at[1]]
    weights = torch.randn(len(out), dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(out @ weights, x)
    return gradient[0] != 0


def field(
    config: GridConfig, at: tuple[int, int], channel: int = 0, without: str | None = None
) -> Tensor:
    """What the distribution of one value of the network's grid depends on: bool [C, H, W], exact
    for each network; the weight named `without` is zero."""
    picture = torch.zeros(1, config.channels, config.height, config.width)
    found = torch.zeros((), dtype=torch.bool)
    for seed in _SEEDS:
        model = network(config, seed)
        if without is not None:
            model.get_parameter(without).data.zero_()
        generator = torch.Generator().manual_seed(seed)
        shape = model.to_grid(picture).shape
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        condition = model.null_condition(1)

        def outputs(x: Tensor, model: Any = model, condition: Any = condition) -> Tensor:
            return model.parameters_of(x, condition)[:, :, :, channel].permute(0, 3, 1, 2)

        found = found | derivatives(outputs, x, at)
    return found


def reads(layer: Callable[[Tensor], Tensor], at: tuple[int, int], size: int) -> Tensor:
    """What a layer of one feature map reads at a position: bool [H, W]."""
    generator = torch.Generator().manual_seed(0)
    return derivatives(layer, torch.randn(1, 1, size, size, generator=generator), at)[0]


def raster(field: Tensor, at: tuple[int, int], own: tuple[str, str]) -> list[list[str]]:
    """bool [H, W] → names of colours, by what is before the position `at` in raster order; `own`
    are those of that position where it is seen and where it is not."""
    return by_turn(field, torch.arange(field.numel()).view(field.shape), at, own)


def by_turn(
    field: Tensor, turn: Tensor, at: tuple[int, int], own: tuple[str, str]
) -> list[list[str]]:
    """As `raster`, for an order in which positions have the numbers `turn`, [H, W]."""
    height, width = field.shape
    here = int(turn[at])

    def name(i: int, j: int) -> str:
        there = int(turn[i, j])
        if there == here:
            return own[0 if field[i, j] else 1]
        if there < here:
            return SEEN if field[i, j] else UNSEEN
        return LEAK if field[i, j] else LATER

    return [[name(i, j) for j in range(width)] for i in range(height)]


def masks() -> Sheet:
    """Masks A and B: of a 5×5 kernel, and between the channel groups of the current pixel."""
    legend = {
        SEEN: (COLOURS[SEEN], "1: the weight is used"),
        LATER: (COLOURS[LATER], "0: the weight is zero"),
    }
    kernels, channels = [], []
    marks = [["×" if i == j == KERNEL // 2 else "" for j in range(KERNEL)] for i in range(KERNEL)]
    for mask, where in (("A", "first layer"), ("B", "later layers")):
        one = pixelcnn.raster_conv(1, 1, KERNEL, 1, mask).mask[0, 0]  # type: ignore[arg-type]
        kernels.append(Panel(f"mask {mask}\n5×5, {where}", _ones(one), marks))
        three = conv.channel_mask(3, 3, 3, mask)  # type: ignore[arg-type]
        title = f"mask {mask} at ×\nrow reads column"
        channels.append(Panel(title, _ones(three), (), tuple("RGB"), tuple("RGB")))
    return Sheet(legend, [[*kernels, *channels]])


def _ones(mask: Tensor) -> list[list[str]]:
    return [[SEEN if value else LATER for value in row] for row in mask.tolist()]


def stacks() -> Sheet:
    """What one layer of each stack reads, with 5×5 kernels."""
    size, at = 7, (3, 3)
    torch.manual_seed(0)
    vertical = conv.vertical_conv(1, 2, KERNEL)

    def shifted(x: Tensor) -> Tensor:
        return conv.shift_down(vertical(x))

    first = conv.horizontal_conv(1, 2, KERNEL, 1, "A")
    later = conv.horizontal_conv(1, 2, KERNEL, 1, "B")
    parts: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("vertical\nas convolved", vertical),
        ("vertical, moved down\nas handed over", shifted),
        ("horizontal, mask A\nfirst layer", first),
        ("horizontal, mask B\nlater layers", later),
    ]
    panels = []
    for title, layer in parts:
        colours = raster(reads(layer, at, size), at, (SELF, LATER))
        texts = [["" for _ in range(size)] for _ in range(size)]
        texts[at[0]][at[1]] = "×"
        panels.append(Panel(title, colours, texts))
    legend = {
        SEEN: (COLOURS[SEEN], "read, before × in raster order"),
        SELF: (COLOURS[SELF], "× itself, read"),
        LEAK: (COLOURS[LEAK], "read, and not before ×: not to be handed over"),
        UNSEEN: (COLOURS[LATER], ""),
        LATER: (COLOURS[LATER], "not read by this layer"),
    }
    return Sheet(legend, [panels])


def baseline(layers: int) -> GridConfig:
    """A PixelCNN with 3×3 kernels."""
    return PixelCNNConfig(channels=1, height=SIZE, width=SIZE, features=8, layers=layers, **_TINY)


def gated(layers: int) -> GridConfig:
    """A Gated PixelCNN with 3×3 kernels."""
    return GatedPixelCNNConfig(
        channels=1, height=SIZE, width=SIZE, features=8, layers=layers, **_TINY
    )


def blind_spot() -> Sheet:
    """The receptive field of one position, for more and more layers, of both networks."""
    rows = []
    for name, build in (("PixelCNN", baseline), ("Gated PixelCNN", gated)):
        panels = []
        for layers in LAYERS:
            colours = raster(field(build(layers), AT)[0], AT, (LEAK, SELF))
            title = f"{name}\n{layers + 1} layer{'s' * (layers > 0)} of 3×3"
            panels.append(Panel(title, colours))
        rows.append(panels)
    return Sheet(FIELD_LEGEND, rows)


def recurrent(layer: str, layers: int) -> GridConfig:
    """A PixelRNN with kernels of 3."""
    return PixelRNNConfig(
        layer=layer,  # type: ignore[arg-type]
        channels=1,
        height=SIZE,
        width=SIZE,
        features=8,
        layers=layers,
        **_TINY,
    )


def recurrent_fields() -> Sheet:
    """The receptive field of one position in both kinds of PixelRNN."""
    panels = []
    for title, layer, layers, without in (
        ("Row LSTM\n1 layer", "row_lstm", 1, None),
        ("Row LSTM\n4 layers", "row_lstm", 4, None),
        ("Diagonal BiLSTM\nas published", "diagonal_bilstm", 1, "layers.0.picture.weight"),
        ("Diagonal BiLSTM\n1 layer", "diagonal_bilstm", 1, None),
    ):
        found = field(recurrent(layer, layers), AT, without=without)[0]
        panels.append(Panel(title, raster(found, AT, (LEAK, SELF))))
    return Sheet(FIELD_LEGEND, [panels])


def steps_of(layer: str, height: int, width: int) -> list[Tensor]:
    """For each direction of a layer, the step in which it computes the state of every position:
    int64 [H, W], counted while it runs."""
    config = replace(recurrent(layer, 1), height=height, width=width)
    model = network(config, 0)
    computed: list[int] = []
    step = pixelrnn.lstm_step

    def counting(*arguments: Any, **options: Any) -> pixelrnn.LSTMState:
        state = step(*arguments, **options)
        computed.append(state.hidden.numel())
        return state

    x = torch.zeros(1, config.features, height, width, dtype=torch.float64)
    with mock.patch.object(pixelrnn, "lstm_step", counting):
        model.layers[0](x, x[:, :1], None)
    positions = torch.tensor(computed) * height * width // sum(computed)
    number = torch.arange(len(computed)).repeat_interleave(positions)
    orders = getattr(model.layers[0], "orders", torch.arange(height * width)[None])
    return [torch.empty_like(number).scatter(0, o, number).view(height, width) for o in orders]


def skewing() -> Sheet:
    """The steps of both kinds of LSTM layers, and diagonals moved until they are columns."""
    height, width, shown = 5, 7, 4
    (rows,) = steps_of("row_lstm", height, width)
    left, right = steps_of("diagonal_bilstm", height, width)
    skewed = torch.full((height, int(left.max()) + 1), -1)
    skewed.scatter_(1, left, left)
    panels = []
    for title, steps, at in (
        ("Row LSTM", rows, shown // 2),
        ("Diagonal BiLSTM\nfirst direction", left, shown),
        ("Diagonal BiLSTM\nsecond direction", right, shown),
        ("first direction, skewed\nby a column for each row", skewed, shown),
    ):
        names = [[_when(n, at) for n in row] for row in steps.tolist()]
        texts = [[str(n + 1) if n >= 0 else "" for n in row] for row in steps.tolist()]
        panels.append(Panel(title, names, texts))
    legend = {
        EARLIER: ("#a9c6e6", "computed before (the number is that of the step)"),
        NOW: (COLOURS[UNSEEN], "computed in one step, in one product"),
        LATER: (COLOURS[LATER], "computed later"),
        NONE: ("#ffffff", ""),
    }
    return Sheet(legend, [panels])


def _when(step: int, now: int) -> str:
    """The colour of a position of that step; negative for none."""
    if step < 0:
        return NONE
    return EARLIER if step < now else NOW if step == now else LATER


def resolution_fields() -> Sheet:
    """The receptive field of positions in PixelCNN++ with the fewest blocks there may be."""
    panels = []
    for title, resolutions, at in (
        ("1 resolution\neven row", 1, (6, 8)),
        ("3 resolutions\neven row", 3, (6, 8)),
        ("3 resolutions\nodd row", 3, (7, 8)),
    ):
        config = PixelCNNPPConfig(
            channels=1, height=8, width=16, features=4, layers=1, resolutions=resolutions
        )
        panels.append(Panel(title, raster(field(config, at)[0], at, (LEAK, SELF))))
    return Sheet(FIELD_LEGEND, [panels])


def scales() -> Sheet:
    """The order of a model of two scales in a grey picture, and what two of its values see."""
    size, first, later = 6, (2, 2), (2, 3)
    config = MultiScaleConfig(
        channels=1, height=size, width=size, features=8, layers=0, context_features=4, **_TINY
    )
    model = build_model(config)
    channels, height, width = model.to_grid(torch.zeros(1, 1, size, size)).shape[1:]
    places = torch.arange(channels * height * width).view(height, width, channels)
    place = model.from_grid(places.permute(2, 0, 1)[None])[0, 0]  # [H, W]: where in the grid
    turn = place.flatten().argsort().argsort().view(size, size)
    texts = [[str(n + 1) for n in row] for row in turn.tolist()]
    coarse = (size // config.patch) ** 2
    shown = [[COARSE if n < coarse else LATER for n in row] for row in turn.tolist()]
    panels = [Panel("two scales\norder of drawing", shown, texts)]
    for title, at in (
        ("what one of the\nsub-sampled pixels sees", first),
        ("what one of the\nother pixels sees", later),
    ):
        row, column, channel = (int(n) for n in torch.unravel_index(place[at], places.shape))
        found = field(config, (row, column), channel)[None].long()
        # The second network's own copy of the sub-sampled picture counts too.
        copy = model.fine.from_grid(found[:, :, height // 2 :])
        seen = (model.from_grid(found) + copy)[0, 0] > 0
        panels.append(Panel(title, by_turn(seen, turn, at, (LEAK, SELF))))
    legend = FIELD_LEGEND | {COARSE: ("#f7dca8", "the sub-sampled picture, drawn first")}
    return Sheet(legend, [panels])


def order() -> Sheet:
    """The Jacobian of a 2×2 RGB picture: a row for each distribution, in the order of drawing."""
    side, channels = 2, 3
    config = GatedPixelCNNConfig(
        channels=channels, height=side, width=side, features=12, layers=2, **_TINY
    )
    colours: list[list[str]] = []
    for i in range(side):
        for j in range(side):
            for c in range(channels):
                found = field(config, (i, j), c).permute(1, 2, 0).flatten().tolist()
                here = len(colours)
                colours.append([_causal(seen, there, here) for there, seen in enumerate(found)])
    names = list("RGB") * side**2
    title = "2×2 pixels, R G B each\na row depends on the blue columns"
    legend = {
        SEEN: (COLOURS[SEEN], "earlier value, the distribution depends on it"),
        UNSEEN: (COLOURS[UNSEEN], "earlier value, without influence: an error"),
        LATER: (COLOURS[LATER], "the value itself, or a later one"),
        LEAK: (COLOURS[LEAK], "the value itself or a later one, with influence: an error"),
    }
    return Sheet(legend, [[Panel(title, colours, (), names, names)]])


def _causal(seen: bool, there: int, here: int) -> str:
    if there < here:
        return SEEN if seen else UNSEEN
    return LEAK if seen else LATER


def patches() -> Sheet:
    """In which order the values of a grey 4×4 picture are drawn, without and with patches."""
    panels = []
    for patch in (1, 2):
        config = GatedPixelCNNConfig(
            channels=1, height=4, width=4, patch=patch, features=8, layers=1, **_TINY
        )
        shape = config.grid_height, config.grid_width, config.grid_channels
        turn = torch.arange(16).view(shape).permute(2, 0, 1)[None]  # [1, C, H, W]
        numbers = build_model(config).from_grid(turn)[0, 0].tolist()
        shown = [[LATER if (n // patch**2) % 2 else UNSEEN for n in row] for row in numbers]
        texts = [[str(n + 1) for n in row] for row in numbers]
        title = f"patch = {patch}\n{len(numbers) ** 2 // patch**2} positions"
        panels.append(Panel(title, shown, texts))
    legend = {LATER: (COLOURS[LATER], ""), UNSEEN: ("#f7dca8", "")}
    return Sheet(legend, [panels])


DIAGRAMS: dict[str, Callable[[], Sheet]] = {
    "masks": masks,
    "stacks": stacks,
    "blind-spot": blind_spot,
    "skewing": skewing,
    "recurrent": recurrent_fields,
    "resolutions": resolution_fields,
    "scales": scales,
    "order": order,
    "patches": patches,
}


def main(folder: Path = FOLDER, names: Sequence[str] = tuple(DIAGRAMS)) -> None:
    """Write the diagrams as NAME.svg."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.svg").write_text(DIAGRAMS[name]().svg(), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
