"""What every parameter of the likelihood depends on: exactly the positions that it should.

The expected dependencies are derived here from the papers alone, by walking which inputs can reach
which output, and compared with the non-zero pattern of the network's exact Jacobian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pixelgen.models import (
    GatedPixelCNNConfig,
    GridConfig,
    PixelCNNConfig,
    PixelCNNPPConfig,
    PixelRNNConfig,
)

from .cases import (
    PAIRS,
    TRIPLES,
    baseline_config,
    double_condition,
    gated_config,
    grid_shape,
    plus_plus_config,
    random_condition,
    random_model,
    random_pictures,
    recurrent_config,
)

Bools = npt.NDArray[np.bool_]


def jacobian_pattern(model: Any, seed: int) -> Bools:
    """Which derivatives differ from zero: [C or 1, H, W of the output, C, H, W of the input].

    The embedded input is random and not of the embedding's values. One copy of it goes through the
    network for every output; the copies do not meet, so that one backward pass gives all rows. The
    numbers that describe one value are summed with random weights, in which none can vanish.
    """
    config = model.config
    channels, height, width = grid_shape(config)
    generator = torch.Generator().manual_seed(seed)
    outputs = 1 if model.likelihood.coupled else channels
    rows = outputs * height * width
    like = model.embed(torch.zeros(1, channels, height, width, dtype=torch.long))
    one = torch.randn(like.shape, generator=generator, dtype=torch.float64)
    embedded = one.repeat(rows, 1, 1, 1).requires_grad_()
    condition = double_condition(random_condition(config, 1, seed)).repeat(rows)
    parameters = model.parameters_of(embedded, condition)
    assert parameters.shape[:4] == (rows, height, width, outputs)
    mixed = parameters.double() @ torch.randn(
        parameters.shape[-1], generator=generator, dtype=torch.float64
    )
    mixed = mixed.permute(0, 3, 1, 2).flatten(1)  # [rows, rows]
    (gradient,) = torch.autograd.grad(mixed.diagonal().sum(), embedded)
    assert gradient.isfinite().all()
    nonzero = (gradient.unflatten(1, (channels, -1)) != 0).any(2)
    return nonzero.view(outputs, height, width, channels, height, width).numpy()


def shifted(seen: Bools, rows: int, columns: int) -> Bools:
    """What the node `rows` down and `columns` to the right sees; nothing outside the picture.

    The two axes before the last three are the node's row and column.
    """
    height, width = seen.shape[-5:-3]
    result = np.zeros_like(seen)
    for i in range(height):
        for j in range(width):
            if 0 <= i + rows < height and 0 <= j + columns < width:
                result[..., i, j, :, :, :] = seen[..., i + rows, j + columns, :, :, :]
    return result


def union(parts: list[Bools]) -> Bools:
    """What any of them sees."""
    result = np.zeros_like(parts[0])
    for part in parts:
        result = result | part
    return result


def inputs_alone(channels: int, height: int, width: int) -> Bools:
    """[C, H, W, C, H, W]: every input sees itself."""
    size = channels * height * width
    return np.eye(size, dtype=bool).reshape(channels, height, width, channels, height, width)


def groups_up_to(seen: Bools, own: bool) -> Bools:
    """Every channel group (first axis) sees what the groups before it see, and its own if `own`."""
    total = np.logical_or.accumulate(seen, axis=0)
    if own:
        return total
    result = np.zeros_like(total)
    result[1:] = total[:-1]
    return result


def before_in_order(channels: int, height: int, width: int) -> Bools:
    """Strictly before: rows, then columns, then channels. [C, H, W, C, H, W]."""
    order = np.arange(channels * height * width).reshape(height, width, channels).transpose(2, 0, 1)
    return order[:, :, :, None, None, None] > order[None, None, None]


def gated_field(config: GatedPixelCNNConfig) -> Bools:
    """The receptive field of the Gated PixelCNN (Figure 2), [C or 1, H, W, C, H, W]."""
    channels, height, width = grid_shape(config)
    pixels = inputs_alone(channels, height, width)
    grouped = config.channel_order == "groups"
    vertical = union(list(pixels))
    horizontal = pixels if grouped else vertical[None]
    for layer in range(config.layers + 1):
        reach = (config.kernel if layer else config.first_kernel) // 2
        vertical = union(
            [
                shifted(vertical, -up, across)
                for up in range(reach + 1)
                for across in range(-reach, reach + 1)
            ]
        )
        here = groups_up_to(horizontal, own=layer > 0)
        everything = union(list(horizontal))
        for left in range(1, reach + 1):
            here = here | shifted(everything, 0, -left)
        horizontal = here | shifted(vertical, -1, 0)
    if config.channel_order == "head":
        return horizontal | groups_up_to(pixels, own=False)
    return horizontal


def raster_field(config: PixelCNNConfig) -> Bools:
    """The receptive field of the baseline: what sums of the masked kernel's offsets reach."""
    seen = inputs_alone(*grid_shape(config))
    for layer in range(config.layers + 1):
        reach = (config.kernel if layer else config.first_kernel) // 2
        offsets = [
            (row, column)
            for row in range(-reach, 1)
            for column in range(-reach, reach + 1)
            if row < 0 or column < 0
        ]
        here = groups_up_to(seen, own=layer > 0)
        everything = union(list(seen))
        seen = here | union([shifted(everything, *o) for o in offsets])
    return seen


def first_field(config: GridConfig) -> Bools:
    """What the masked first convolution (mask A) of a picture sees."""
    pixels = inputs_alone(*grid_shape(config))
    reach = config.first_kernel // 2
    everything = union(list(pixels))
    offsets = [(-up, across) for up in range(1, reach + 1) for across in range(-reach, reach + 1)]
    offsets += [(0, -left) for left in range(1, reach + 1)]
    return union(
        [groups_up_to(pixels, own=False)] + [shifted(everything, *o)[None] for o in offsets]
    )


def row_lstm_field(config: PixelRNNConfig) -> Bools:
    """The receptive field of Row LSTMs (section 3.1), row by row as the states are computed."""
    seen, reach = first_field(config), config.kernel // 2
    height, width = seen.shape[1:3]
    for _ in range(config.layers):
        everything = union(list(seen))
        own = groups_up_to(seen, own=True)
        own = union([own] + [shifted(everything, 0, -left)[None] for left in range(1, reach + 1)])
        states = own.copy()
        for i in range(1, height):
            above = union(list(states[:, i - 1]))  # [W, C, H, W]
            for j in range(width):
                near = above[max(0, j - reach) : j + reach + 1]
                states[:, i, j] |= union(list(near))
        seen = seen | groups_up_to(states, own=True)
    return seen


def diagonal_bilstm_field(config: PixelRNNConfig) -> Bools:
    """The receptive field of Diagonal BiLSTMs (section 3.2), position by position. The second
    direction of the first layer also reads the picture."""
    seen = first_field(config)
    height, width = seen.shape[1:3]
    pixels = union(list(inputs_alone(*grid_shape(config))))
    for layer in range(config.layers):
        inputs = groups_up_to(seen, own=True)
        left, right = inputs.copy(), inputs.copy()
        if layer == 0:
            right = right | pixels
        for i in range(height):
            for states, columns, beside in (
                (left, range(width), -1),
                (right, range(width - 1, -1, -1), 1),
            ):
                for j in columns:
                    if i:
                        states[:, i, j] |= union(list(states[:, i - 1, j]))
                    if 0 <= j + beside < width:
                        states[:, i, j] |= union(list(states[:, i, j + beside]))
        seen = seen | groups_up_to(left | shifted(right, -1, 0), own=True)
    return seen


def plus_plus_field(config: PixelCNNPPConfig) -> Bools:
    """The receptive field of PixelCNN++ (section 2.3), [1, H, W, C, H, W]."""
    pixels = union(list(inputs_alone(*grid_shape(config))))

    def reached(seen: Bools, rows: int, columns: list[int]) -> Bools:
        return union([shifted(seen, -up, across) for up in range(rows) for across in columns])

    down = shifted(reached(pixels, 2, [-1, 0, 1]), -1, 0)
    right = shifted(reached(pixels, 1, [-1, 0, 1]), -1, 0)
    right = right | shifted(reached(pixels, 2, [0]), 0, -1)

    def block(down: Bools, right: Bools, kept: tuple[Bools, Bools] | None) -> tuple[Bools, Bools]:
        # Two convolutions each; the short-cuts enter between them.
        down = reached(down, 2, [-1, 0, 1])
        if kept is not None:
            down = down | kept[0]
        down = reached(down, 2, [-1, 0, 1])
        right = reached(right, 2, [-1, 0]) | down
        if kept is not None:
            right = right | kept[1]
        return down, reached(right, 2, [-1, 0])

    def resolution(down: Bools, right: Bools, lower: int) -> tuple[Bools, Bools]:
        kept = [(down, right)]
        for _ in range(config.layers):
            down, right = block(down, right, None)
            kept.append((down, right))
        if not lower:
            kept.pop()
        else:
            down, right = reached(down, 2, [-1, 0, 1]), reached(right, 2, [-1, 0])
            small = resolution(down[::2, ::2], right[::2, ::2], lower - 1)
            wide, right = (each.repeat(2, axis=0).repeat(2, axis=1) for each in small)
            down = wide | shifted(wide, 0, 1)  # an even column gets the same twice
            down[:, ::2] = wide[:, ::2]
        while kept:
            down, right = block(down, right, kept.pop())
        return down, right

    return resolution(down, right, config.resolutions - 1)[1][None]


def check_pattern(config: GridConfig, expected: Bools) -> None:
    """The Jacobian is non-zero where expected and exactly zero elsewhere.

    A ReLU that is shut may hide a dependence at one input, so that what is expected may come from
    any of several inputs and weights; what is forbidden must be absent for every one of them.
    """
    found = np.zeros_like(expected)
    for seed in range(40):
        pattern = jacobian_pattern(random_model(config, seed).double(), seed)
        leaks = np.argwhere(pattern & ~expected)
        assert not len(leaks), f"{len(leaks)} leaks; first (c, i, j, c', i', j'): {leaks[0]}"
        found |= pattern
        if seed and (found == expected).all():
            return
    blind = np.argwhere(expected & ~found)
    pytest.fail(f"{len(blind)} not seen; first (c, i, j, c', i', j'): {blind[0]}")


@pytest.mark.parametrize("name", TRIPLES)
def test_gated_jacobian_is_exactly_the_receptive_field(name: str) -> None:
    """Odd sizes and few layers, so that the field ends inside the grid."""
    config = gated_config(TRIPLES[name], 4, 5, layers=1)
    assert isinstance(config, GatedPixelCNNConfig)
    expected = gated_field(config)
    before = before_in_order(*grid_shape(config))
    # For the coupled likelihood no channel of the position itself: as for its first channel.
    assert not (expected & ~before[: len(expected)]).any()
    check_pattern(config, expected)


@pytest.mark.parametrize("name", PAIRS)
def test_gated_has_no_blind_spot(name: str) -> None:
    """With enough layers for a 6×6 grid, every position sees everything before it."""
    settings = PAIRS[name]
    config = gated_config(settings, 6, 6, layers=4 if settings["kernel"] == 3 else 2)
    assert isinstance(config, GatedPixelCNNConfig)
    before = before_in_order(*grid_shape(config))
    expected = before[:1] if config.channel_order == "likelihood" else before
    np.testing.assert_array_equal(gated_field(config), expected)
    check_pattern(config, expected)


@pytest.mark.parametrize("settings", [{}, {"channel_order": "head"}])
def test_kernels_of_the_first_layer_and_the_others_may_differ(settings: dict[str, Any]) -> None:
    for kernels in ({"kernel": 3, "first_kernel": 7}, {"kernel": 5, "first_kernel": 1}):
        config = gated_config(settings, 5, 6, layers=1, **kernels)
        assert isinstance(config, GatedPixelCNNConfig)
        check_pattern(config, gated_field(config))


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
@pytest.mark.parametrize("order", ["groups", "head"])
def test_narrow_grids_are_causal(shape: tuple[int, int], order: str) -> None:
    config = gated_config({"channel_order": order}, *shape, kernel=5, first_kernel=5)
    expected = before_in_order(*grid_shape(config))
    check_pattern(config, expected)


@pytest.mark.parametrize("order", ["groups", "head", "likelihood"])
def test_three_channels_in_order(order: str) -> None:
    """R, then G, then B: with two channels the middle one is missing."""
    settings = {"channel_order": order, "likelihood": "logistic", "features": 12}
    config = gated_config(settings, 3, 3, channels=3, output_features=24, first_kernel=3)
    before = before_in_order(3, 3, 3)
    check_pattern(config, before[:1] if order == "likelihood" else before)


@pytest.mark.parametrize(("likelihood", "classes"), [("softmax", 3), ("logistic", 0)])
@pytest.mark.parametrize("kernels", [(3, 3), (3, 5), (5, 3), (3, 7)])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_baseline_jacobian_is_exactly_the_raster_field(
    likelihood: str, classes: int, kernels: tuple[int, int], layers: int
) -> None:
    config = baseline_config(
        5,
        6,
        likelihood=likelihood,
        classes=classes if layers else 0,
        kernel=kernels[0],
        first_kernel=kernels[1],
        layers=layers,
    )
    assert isinstance(config, PixelCNNConfig)
    expected = raster_field(config)
    assert not (expected & ~before_in_order(*grid_shape(config))).any()
    check_pattern(config, expected)


def test_baseline_with_three_channels() -> None:
    config = baseline_config(4, 4, channels=3, features=12, output_features=24)
    assert isinstance(config, PixelCNNConfig)
    check_pattern(config, raster_field(config))


@pytest.mark.parametrize(("likelihood", "classes"), [("softmax", 3), ("logistic", 0)])
@pytest.mark.parametrize("kernels", [(3, 3), (3, 7), (5, 3), (1, 3), (3, 1)])
@pytest.mark.parametrize("layers", [1, 2])
def test_row_lstm_jacobian_is_exactly_its_field(
    likelihood: str, classes: int, kernels: tuple[int, int], layers: int
) -> None:
    config = recurrent_config(
        "row_lstm",
        5,
        6,
        likelihood=likelihood,
        classes=classes,
        kernel=kernels[0],
        first_kernel=kernels[1],
        layers=layers,
    )
    assert isinstance(config, PixelRNNConfig)
    expected = row_lstm_field(config)
    assert not (expected & ~before_in_order(*grid_shape(config))).any()
    check_pattern(config, expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_row_lstm_sees_a_triangle(layers: int) -> None:
    """Position by position: a row up is a step (of k // 2) to either side. With F and K the reaches
    of the kernels, u rows up a position sees from F + K · (u + layers) columns to the left, since
    every layer steps to the left in its own row too, to F + K · (u - 1) columns to the right."""
    height, width = 5, 12
    config = recurrent_config("row_lstm", height, width, channels=1, layers=layers)
    f = k = 1
    i, j, row, column = np.indices((height, width, height, width))
    up, right = i - row, column - j
    triangle = (up > 0) & (right >= -f - k * (up + layers)) & (right <= f + k * (up - 1))
    own = (up == 0) & (right < 0) & (right >= -f - k * layers)
    expected = (triangle | own)[None, :, :, None]
    assert (before_in_order(1, height, width) & ~expected).any()  # it is not everything
    check_pattern(config, expected)


@pytest.mark.parametrize(("likelihood", "classes"), [("softmax", 3), ("logistic", 0)])
@pytest.mark.parametrize("first_kernel", [1, 3, 7])
@pytest.mark.parametrize("layers", [1, 2])
def test_diagonal_bilstm_jacobian_is_exactly_its_field(
    likelihood: str, classes: int, first_kernel: int, layers: int
) -> None:
    config = recurrent_config(
        "diagonal_bilstm",
        4,
        5,
        likelihood=likelihood,
        classes=classes,
        first_kernel=first_kernel,
        layers=layers,
    )
    assert isinstance(config, PixelRNNConfig)
    expected = diagonal_bilstm_field(config)
    assert not (expected & ~before_in_order(*grid_shape(config))).any()
    check_pattern(config, expected)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (1, 5), (5, 1), (1, 1)])
def test_diagonal_bilstm_sees_everything_before(channels: int, shape: tuple[int, int]) -> None:
    """One layer suffices, at every position and channel: nothing before it is missing."""
    config = recurrent_config(
        "diagonal_bilstm", *shape, channels=channels, features=12, output_features=24, layers=1
    )
    check_pattern(config, before_in_order(channels, *shape))


@pytest.mark.parametrize("channels", [1, 3])
def test_without_the_picture_the_second_direction_misses_the_last_value_of_a_row(
    channels: int,
) -> None:
    """Why its first layer reads more than in the paper."""
    height, width = 4, 6
    config = recurrent_config(
        "diagonal_bilstm", height, width, channels=channels, features=12, output_features=24
    )
    found = np.zeros((channels, height, width) * 2, dtype=bool)
    for seed in range(4):
        model = random_model(config, seed).double()
        model.layers[0].picture.weight.data.zero_()
        found |= jacobian_pattern(model, seed)
    missing = before_in_order(channels, height, width) & ~found
    expected = np.zeros_like(missing)
    for i in range(1, height):  # the next row, left of the first convolution's reach
        expected[:, i, : width - 2, channels - 1, i - 1, width - 1] = True
    np.testing.assert_array_equal(missing, expected)


@pytest.mark.parametrize("layer", ["row_lstm", "diagonal_bilstm"])
def test_recurrent_with_three_channels(layer: str) -> None:
    """R, then G, then B."""
    config = recurrent_config(layer, 3, 4, channels=3, features=12, output_features=24)
    assert isinstance(config, PixelRNNConfig)
    field = row_lstm_field if layer == "row_lstm" else diagonal_bilstm_field
    check_pattern(config, field(config))


@pytest.mark.parametrize("more", [{}, {"classes": 3}, {"channels": 1}, {"layers": 2}])
@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_plus_plus_jacobian_is_exactly_its_field(resolutions: int, more: dict[str, Any]) -> None:
    """No channel of the position itself: these meet in the likelihood alone."""
    config = plus_plus_config(4, 8, resolutions=resolutions, **more)
    assert isinstance(config, PixelCNNPPConfig)
    expected = plus_plus_field(config)
    assert not (expected & ~before_in_order(*grid_shape(config))[:1]).any()
    check_pattern(config, expected)


def test_the_field_of_plus_plus_may_end_inside_the_grid() -> None:
    """What the test above compares with is not always everything."""
    config = plus_plus_config(2, 12, resolutions=1)
    assert isinstance(config, PixelCNNPPConfig)
    expected = plus_plus_field(config)
    assert (before_in_order(*grid_shape(config))[:1] & ~expected).any()
    check_pattern(config, expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_how_far_plus_plus_sees_in_odd_rows(layers: int) -> None:
    """In the row of a position and the one above, 4 · layers + 2 columns to the left and to the
    right: the lower resolutions have seen the rows of even numbers and those before. What lies
    farther up, and all that precedes a position in an even row, is seen whole."""
    height, width, reach = 4, 16, 4 * layers + 2
    config = plus_plus_config(height, width, channels=1, layers=layers)
    assert isinstance(config, PixelCNNPPConfig)
    i, j, row, column = np.indices((height, width) * 2)
    far = (row == i) & (j - column > reach) | (row == i - 1) & (column - j > reach)
    expected = before_in_order(1, height, width) & ~(far & (i % 2 == 1))[None, :, :, None]
    np.testing.assert_array_equal(plus_plus_field(config), expected)
    check_pattern(config, expected)


@pytest.mark.parametrize("shape", [(8, 8), (4, 8), (12, 4)])
def test_plus_plus_has_no_blind_spot(shape: tuple[int, int]) -> None:
    """Every position sees all positions before it, whole, if the grid is narrow enough for the
    blocks of the first resolution (see above)."""
    config = plus_plus_config(*shape, channels=1 if shape == (8, 8) else 2, layers=2)
    assert isinstance(config, PixelCNNPPConfig)
    before = before_in_order(*grid_shape(config))[:1]
    np.testing.assert_array_equal(plus_plus_field(config), before)
    check_pattern(config, before)


def test_blind_spot_of_the_baseline_that_the_gated_model_lacks() -> None:
    """With 3×3 kernels a step to the right costs a row: what lies flatter is never seen, however
    many layers there are. The gated model with the same kernels sees all of it."""
    size, layers = 6, 8
    i, j = np.indices((size, size))
    rows_up = i[:, :, None, None] - i
    right = j - j[:, :, None, None]
    flat = (rows_up > 0) & (right > rows_up)  # [H, W, H, W]
    assert flat.any()
    baseline = baseline_config(size, size, layers=layers)
    gated = gated_config({"kernel": 3, "first_kernel": 3}, size, size, layers=layers)
    seen_by_baseline = np.zeros((size,) * 4, dtype=bool)
    seen_by_gated = seen_by_baseline.copy()
    for seed in range(4):
        model = random_model(baseline, seed).double()
        seen_by_baseline |= jacobian_pattern(model, seed).any(axis=(0, 3))
        model = random_model(gated, seed).double()
        seen_by_gated |= jacobian_pattern(model, seed).all(axis=(0, 3))
    assert not (seen_by_baseline & flat).any()
    assert ((seen_by_baseline | flat) >= ((rows_up > 0) | ((rows_up == 0) & (right < 0)))).all()
    assert (seen_by_gated & flat).sum() == flat.sum()


def _check_values(model: Any) -> None:
    """Changing one value of a picture changes log p of itself and of later values, no earlier."""
    config = model.config
    channels, height, width = grid_shape(config)
    count = channels * height * width
    grid = model.to_grid(random_pictures(config, 1, seed=3)).expand(count, -1, -1, -1)
    order = torch.arange(count).view(height, width, channels).permute(2, 0, 1)
    changed = torch.where(
        order == torch.arange(count)[:, None, None, None], (grid + 1) % config.levels, grid
    )
    condition = random_condition(config, 1).repeat(count)
    with torch.no_grad():
        a = model.to_grid(model.log_prob(model.from_grid(grid), condition))
        b = model.to_grid(model.log_prob(model.from_grid(changed), condition))
    differs = (a - b).abs().permute(0, 2, 3, 1).flatten(1)  # [value changed, log p]
    # Rounding may differ between the rows of a batch; what is exact is in the Jacobian's tests.
    noise = 2e-5 * (1 + a.abs().permute(0, 2, 3, 1).flatten(1))
    assert (differs.tril(-1) <= noise).all()
    # A saturated likelihood may hide a change, but not often.
    assert (differs.diagonal() > 1e-5).float().mean() > 0.9
    assert (differs.triu(1).amax(1)[:-1] > 1e-5).float().mean() > 0.8


@pytest.mark.parametrize("name", PAIRS)
def test_values_of_pictures_follow_the_order(name: str) -> None:
    """The same through the public interface, where channels of the coupled likelihood count too."""
    _check_values(random_model(gated_config(PAIRS[name], 3, 3)))


@pytest.mark.parametrize("likelihood", ["softmax", "logistic"])
def test_values_of_pictures_follow_the_order_in_the_baseline(likelihood: str) -> None:
    _check_values(random_model(baseline_config(3, 3, likelihood=likelihood)))


@pytest.mark.parametrize("likelihood", ["softmax", "logistic"])
@pytest.mark.parametrize("layer", ["row_lstm", "diagonal_bilstm"])
def test_values_of_pictures_follow_the_order_in_recurrent_networks(
    layer: str, likelihood: str
) -> None:
    _check_values(random_model(recurrent_config(layer, 3, 3, likelihood=likelihood)))


@pytest.mark.parametrize("channels", [2, 3])
def test_values_of_pictures_follow_the_order_in_plus_plus(channels: int) -> None:
    """The channels of a position depend on the ones before through the coupled means."""
    _check_values(random_model(plus_plus_config(4, 4, channels=channels), gain=0.8))


def test_pictures_of_a_batch_do_not_meet() -> None:
    recurrent = [
        recurrent_config(layer, 3, 3, classes=3) for layer in ("row_lstm", "diagonal_bilstm")
    ]
    others = [*recurrent, plus_plus_config(4, 4, classes=3)]
    for config in others + [gated_config(TRIPLES[n], 3, 3) for n in list(TRIPLES)[:12]]:
        model = random_model(config)
        x, condition = random_pictures(config, 3), random_condition(config, 3)
        with torch.no_grad():
            together = model.log_prob(x, condition)
            for k in range(3):
                alone = model.log_prob(x[k : k + 1], condition[k : k + 1])
                torch.testing.assert_close(alone, together[k : k + 1], atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only_and_keeps_the_order() -> None:
    config = gated_config({"dropout": 0.5}, 4, 4)
    model = random_model(config)
    x = random_pictures(config, 1)
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    model.train()
    assert not torch.equal(model.log_prob(x), model.log_prob(x))
    pattern = jacobian_pattern(model.double(), 0)
    assert not (pattern & ~before_in_order(*grid_shape(config))).any()
