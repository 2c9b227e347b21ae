"""The three networks of MTCNN: boxes, scores and landmarks of faces, coarse to fine.

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks",
2016, figure 2. Pictures are [B, 3, H, W] of about -1 … 1. A box offset moves an edge by a fraction
of the window's width or height.
"""

from __future__ import annotations

from torch import Tensor, nn


class ProposalNetwork(nn.Module):
    """P-Net: every window of 12×12 pixels, in steps of 2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, 10, 3, _pool(2)),
            *_conv(10, 16, 3),
            *_conv(16, 32, 3),
        )
        self.face = nn.Conv2d(32, 2, 1)
        self.box = nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, H', W'] and box offsets [B, 4, H', W'], with H' = ceil(H / 2) - 5."""
        features = self.features(images)  # [B, 32, H', W']
        return self.face(features).softmax(1)[:, 1], self.box(features)


class RefinementNetwork(nn.Module):
    """R-Net: windows of 24×24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, 28, 3, _pool(3)),
            *_conv(28, 48, 3, _pool(3)),
            *_conv(48, 64, 2),
            *_flat(64 * 3 * 3, 128),
        )
        self.face = nn.Linear(128, 2)
        self.box = nn.Linear(128, 4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B] and box offsets [B, 4]."""
        features = self.features(images)  # [B, 128]
        return self.face(features).softmax(1)[:, 1], self.box(features)


class OutputNetwork(nn.Module):
    """O-Net: windows of 48×48 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_conv(3, 32, 3, _pool(3)),
            *_conv(32, 64, 3, _pool(3)),
            *_conv(64, 64, 3, _pool(2)),
            *_conv(64, 128, 2),
            *_flat(128 * 3 * 3, 256),
        )
        self.face = nn.Linear(256, 2)
        self.box = nn.Linear(256, 4)
        self.landmarks = nn.Linear(256, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [B], box offsets [B, 4], and landmarks [B, 10] as fractions of the window: x of
        left eye, right eye, nose, left and right corner of the mouth, then their y."""
        features = self.features(images)  # [B, 256]
        return self.face(features).softmax(1)[:, 1], self.box(features), self.landmarks(features)


class Mtcnn(nn.Module):
    """The three networks, with the names of their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.proposal = ProposalNetwork()
        self.refinement = RefinementNetwork()
        self.output = OutputNetwork()


def _conv(inputs: int, outputs: int, kernel: int, *pool: nn.Module) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel), nn.PReLU(outputs), *pool


def _pool(kernel: int) -> nn.Module:
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def _flat(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Flatten(), nn.Linear(inputs, outputs), nn.PReLU(outputs)
