"""The figures that matter while a prior trains: how well it fills holes in tiles that it never trains on.

The questions are drawn once, so that a run's figures compare with each other: real pixels of held-out frames hidden by
the training's own hole shapes, everything else exact. The yardstick is the better of the two classical bases that the
network starts from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from gencosmo.errors import InputError
from gencosmo.ops.apply_kernels import apply_kernels_reference
from gencosmo.ops.precondition import precondition_reference
from gencosmo.priors.bases import tile_windows
from gencosmo.priors.network import DenoiserNetwork
from gencosmo.training.data import TileSource, hold_out
from gencosmo.training.masks import draw_holes
from gencosmo.training.pack import MIN_SIDE, Frame

__all__ = ["HeldOut", "Marks", "split_frames"]

STRIP_SHARE = 6
"""Of a few small frames, one row in so many is held out."""
QUESTION_SEED = 424_242
TILES = 48
MIN_HIDDEN = 30
BATCH = 12
BASE, SMOOTH = 2, 4
"""Rows of a window that hold the two bases."""


@dataclass(frozen=True)
class Marks:
    """One look at the held-out tiles.

    Attributes
    ----------
    tiles, hidden : int
        Tiles that count, and hidden pixels in them.
    rms_over_base : float
        Root mean square error over that of the better base, tile by tile; the median tile.
    rms : float
        Root mean square error of the median tile, in units of the frame's noise.
    coverage68, coverage95 : float
        Share of hidden pixels within 1 and 1.96 of the network's own standard deviation, before calibration.
    """

    tiles: int
    hidden: int
    rms_over_base: float
    rms: float
    coverage68: float
    coverage95: float

    def __str__(self) -> str:
        inside = f"{100 * self.coverage68:.0f}/{100 * self.coverage95:.0f} %"
        return f"held-out rms {self.rms_over_base:.3f} of base ({self.rms:.2f} noise), within 1/1.96 std {inside}"

    def to_dict(self) -> dict[str, float]:
        """Rounded, for a card."""
        return {key: value if isinstance(value, int) else round(value, 4) for key, value in asdict(self).items()}


def split_frames(frames: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Frames to train on and frames that are held out; never a pixel in both.

    :func:`gencosmo.training.data.hold_out` where it holds something out; of a few small frames, the bottom rows of
    each.

    Raises
    ------
    InputError
        When the frames are too small for that.
    """
    train, held = hold_out(frames)
    if held:
        return train, held
    train, held = [], []
    for frame in frames:
        rows = frame.flux.shape[0]
        strip = max(MIN_SIDE, rows // STRIP_SHARE)
        if rows - strip < MIN_SIDE:
            train.append(frame)
            continue
        train.append(Frame(frame.flux[: rows - strip], frame.group))
        held.append(Frame(frame.flux[rows - strip :], frame.group))
    if not held:
        raise InputError(
            f"nothing can be held out of {len(frames)} frames of less than {2 * MIN_SIDE} rows",
            code="too_small",
            hint="give larger frames, or at least eight",
        )
    return train, held


class HeldOut:
    """Questions about held-out frames, and what a network makes of them.

    Parameters
    ----------
    frames : sequence of Frame
        Frames that no training sees.
    tile : int
        Side of the tiles.
    prior_var : float
        Variance of the prior, in squared network flux.
    surface : str
        Second base of the windows.
    tiles : int
        How many questions.
    device : str
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        tile: int,
        prior_var: float,
        surface: str = "biharmonic",
        tiles: int = TILES,
        device: str = "cpu",
    ) -> None:
        source = TileSource(frames, tile, QUESTION_SEED)
        values, good = source.draw(tiles)[:2]
        rng = np.random.default_rng(QUESTION_SEED)
        hidden = draw_holes(values, rng) & good
        unknown = torch.from_numpy(hidden | ~good)
        self.target, self.hidden = torch.from_numpy(values).to(device), torch.from_numpy(hidden).to(device)
        sigma = torch.where(unknown, math.inf, 0.0).to(device)
        z = torch.where(unknown.to(device), 0 * self.target, self.target)
        self.prior_var = prior_var
        self.windows = tile_windows(z, sigma, prior_var, surface)
        self.counts = self.hidden.sum((1, 2)) >= MIN_HIDDEN
        bases = [self._tile_rms(self.windows[:, row]) for row in (BASE, SMOOTH)]
        self.base_rms = torch.minimum(*bases)
        if not bool(self.counts.any()):
            raise InputError(
                f"no held-out tile has {MIN_HIDDEN} good pixels to hide", code="too_small", hint="give larger frames"
            )

    def _tile_rms(self, mean: Tensor) -> Tensor:
        error2 = torch.where(self.hidden, mean - self.target, torch.zeros_like(mean)) ** 2
        return (error2.sum((1, 2)) / self.hidden.sum((1, 2)).clamp(min=1)).sqrt()

    @torch.no_grad()
    def measure(self, network: DenoiserNetwork) -> Marks:
        """Fill all tiles; the network is asked in batches, in evaluation mode."""
        world = torch.zeros(BATCH, device=self.target.device)
        means, variances = [], []
        for win in torch.split(self.windows, BATCH):
            features, local = precondition_reference(win, world[: win.shape[0]], self.prior_var)
            mean, var = apply_kernels_reference(network(features), win, local)
            means.append(mean[:, 0])
            variances.append(var[:, 0])
        mean, std = torch.cat(means), torch.cat(variances).sqrt()
        rms, seen = self._tile_rms(mean), self.counts[:, None, None] & self.hidden
        z = ((mean - self.target).abs() / std.clamp(min=1e-9))[seen]
        ratio = (rms / self.base_rms.clamp(min=1e-9))[self.counts]
        return Marks(
            tiles=int(self.counts.sum()),
            hidden=int(seen.sum()),
            rms_over_base=float(ratio.median()),
            rms=float(rms[self.counts].median()),
            coverage68=float((z < 1).float().mean()),
            coverage95=float((z < 1.96).float().mean()),
        )
