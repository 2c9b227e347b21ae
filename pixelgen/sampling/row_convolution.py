"""A convolution over the last few rows, one row of results at a time."""

from __future__ import annotations

from torch import Tensor


class RowKernel:
    """A kernel [out, in, rows, columns] as one matrix [rows · in, out] per column."""

    def __init__(self, weight: Tensor) -> None:
        self.maps, self.depth = weight.shape[1:3]
        self.columns = list(weight.permute(3, 2, 1, 0).flatten(1, 2).contiguous())


class RowConvolution:
    """Holds the last rows of its input, as many as the kernel has.

    They are stored position by position, [W + 2·padding, B, rows, in], with zeros left and right of
    the grid. The kernel's columns then read shifted windows of one buffer, each a plain matrix
    [W·B, rows · in], and a row of results is one product per column, added up in place.
    """

    def __init__(self, kernel: RowKernel, width: int, batch: int) -> None:
        self.kernel, self.width = kernel, width
        columns, size = kernel.columns, kernel.depth * kernel.maps
        self.padding = len(columns) // 2
        self.rows = columns[0].new_zeros(width + 2 * self.padding, batch, kernel.depth, kernel.maps)
        self.windows = [
            self.rows[t : t + width].view(width * batch, size) for t in range(len(columns))
        ]

    def push(self, row: Tensor) -> None:
        """Drops the oldest row for `row` [W, B, in]."""
        if self.kernel.depth == 0:
            return
        for age in range(self.kernel.depth - 1):
            self.rows[:, :, age] = self.rows[:, :, age + 1]
        self.rows[self.padding : self.padding + self.width, :, -1] = row

    def add_to(self, out: Tensor) -> None:
        """Adds the results of one row to `out` [W·B, out]."""
        if self.kernel.depth:
            for window, column in zip(self.windows, self.kernel.columns, strict=True):
                out.addmm_(window, column)
