"""A network that shares nothing with those of the project: it only fulfils the protocol."""

from __future__ import annotations

from torch import Tensor, nn

from pixelgen.models import GridConfig
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import Likelihood, Softmax
from pixelgen.models.masked_conv import shift_down


class RowModel(nn.Module):
    """Every value depends on the sum of the row above it."""

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        self._config = config
        self._likelihood = Softmax(config.channels, config.levels)
        self.layer = nn.Linear(1, config.channels * config.levels)

    @property
    def config(self) -> GridConfig:
        return self._config

    @property
    def likelihood(self) -> Likelihood:
        return self._likelihood

    def null_condition(self, batch: int) -> Condition:
        return Condition()

    def complete_condition(self, condition: Condition | None, batch: int) -> Condition:
        return Condition()

    def drop_condition(self, condition: Condition, dropped: Tensor) -> Condition:
        return Condition()

    def to_grid(self, x: Tensor) -> Tensor:
        return x

    def from_grid(self, grid: Tensor) -> Tensor:
        return grid

    def embed(self, grid: Tensor) -> Tensor:
        return grid.float()

    def parameters_of(self, embedded: Tensor, condition: Condition) -> Tensor:
        above = shift_down(embedded).sum((1, 3), keepdim=True).expand(-1, 1, -1, embedded.shape[3])
        out = self.layer(above.permute(0, 2, 3, 1))  # [B, H, W, C·P]
        parameters: Tensor = out.unflatten(-1, (self.config.channels, -1))
        return parameters

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        return self.parameters_of(self.embed(x), self.complete_condition(condition, len(x)))

    def log_prob(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        parameters = self(x, condition)
        log_prob = self.likelihood.log_prob(parameters, x.permute(0, 2, 3, 1))
        return log_prob.permute(0, 3, 1, 2)
