"""Tiles for training: random crops of packed frames, turned, flipped, binned, resampled and rescaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from gencosmo.scaling import difference_noise
from gencosmo.training.pack import Frame

Float = NDArray[np.float32]
GROUP_POWER = 0.5
"""A group's share of the draws grows with its pixels to this power, a frame's within its group as well."""
FLUX_LIMIT = 3e5
BINNED_SHARE, TURNED_SHARE = 0.3, 0.2
"""Of the tiles: summed 2x2; resampled onto a turned and finer grid, as mosaics and maps are."""
FINEST = 3.0
"""A turned tile's grid is at most so many times finer, log-uniformly: infrared maps are smooth over several pixels."""
WHITE = 0.1
"""Neighbouring pixels of frames with white noise are correlated less than this."""
WHITE_PIXELS = 4096
"""Smaller frames do not tell their noise well enough."""


def binned(flux: Float) -> Float:
    """2x2 sums over two: coarser sampling, white noise kept at its level."""
    height, width = (side // 2 * 2 for side in flux.shape)
    summed: Float = flux[:height, :width].reshape(height // 2, 2, width // 2, 2).sum((1, 3))
    return (summed / 2).astype(np.float32)


def is_white(flux: Float) -> bool:
    """True where the noise of a frame is white and known: neighbours differ as much as pixels two apart do."""
    good = np.isfinite(flux)
    if good.sum() < WHITE_PIXELS:
        return False
    near, far = (difference_noise(np.where(good, flux, 0).astype(np.float32), good, lag) for lag in (1, 2))
    return bool(far > 0 and abs(1 - (near / far) ** 2) < WHITE and 0.9 < far < 1.1)


def turned(tile: Float, size: int, rng: np.random.Generator) -> Float:
    """The middle of a larger tile, resampled onto a grid that is turned, shifted and up to `FINEST` times finer."""
    angle, fine = rng.uniform(0, np.pi / 2), np.exp(rng.uniform(0, np.log(FINEST)))
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / fine
    centre = (np.array(tile.shape) - 1) / 2 + rng.uniform(-0.5, 0.5, 2)
    offset = centre - matrix @ np.full(2, (size - 1) / 2)
    order = 1 if rng.random() < 0.4 else 3
    return np.asarray(affine_transform(tile, matrix, offset, (size, size), order=order, mode="nearest"), np.float32)


def frame_shares(frames: Sequence[Frame], power: float = GROUP_POWER) -> NDArray[np.float64]:
    """Probability of drawing from each frame; `power` 1 gives every pixel the same chance."""
    sizes = np.array([frame.flux.size for frame in frames], dtype=float)
    groups = np.array([frame.group for frame in frames])
    shares = np.zeros(len(frames))
    for group in np.unique(groups):
        mine = groups == group
        within = sizes[mine] ** power
        shares[mine] = within / within.sum() * sizes[mine].sum() ** power
    return np.asarray(shares / shares.sum())


def hold_out(frames: Sequence[Frame], every: int = 8, strip_rows: int = 128) -> tuple[list[Frame], list[Frame]]:
    """Split frames into training and validation, by position and not by chance.

    In groups of at least `every` frames each `every`-th is held out; larger single frames give up a strip at the
    bottom, an `every`-th of their rows.
    """
    train: list[Frame] = []
    validation: list[Frame] = []
    seen: dict[str, int] = {}
    sizes = Counter(frame.group for frame in frames)
    for frame in frames:
        index = seen[frame.group] = seen.get(frame.group, -1) + 1
        rows = frame.flux.shape[0]
        if sizes[frame.group] >= every:
            (validation if index % every == 0 else train).append(frame)
        elif rows >= 2 * strip_rows:
            cut = rows - max(strip_rows // 2, rows // every)
            train.append(Frame(frame.flux[:cut], frame.group))
            validation.append(Frame(frame.flux[cut:], frame.group))
        else:
            train.append(frame)
    return train, validation


class TileSource:
    """Draws batches of tiles from frames.

    Parameters
    ----------
    frames : sequence of Frame
        Network flux with NaN = bad.
    size : int
        Side of a tile; smaller frames are padded with NaN.
    seed : int
    """

    def __init__(self, frames: Sequence[Frame], size: int, seed: int) -> None:
        self.frames, self.size = list(frames), size
        self.shares = frame_shares(frames)
        self.white = [is_white(frame.flux) for frame in self.frames]
        self.rng = np.random.default_rng(seed)

    def draw(self, batch: int) -> tuple[Float, NDArray[np.bool_], NDArray[np.float32]]:
        """Tiles (batch, size, size), which of their pixels are good, and their white noise (batch,), 0 = unknown."""
        chosen = self.rng.choice(len(self.frames), batch, p=self.shares)
        drawn = [self._tile(self.frames[index].flux, self.white[index]) for index in chosen]
        tiles = np.stack([tile for tile, _ in drawn])
        good = np.isfinite(tiles)
        noise = np.array([noise for _, noise in drawn], np.float32)
        return np.clip(np.where(good, tiles, 0), -1e3, FLUX_LIMIT).astype(np.float32), good, noise

    def _tile(self, flux: Float, white: bool) -> tuple[Float, float]:
        rng, size = self.rng, self.size
        dice, large = rng.random(), min(flux.shape) >= 2 * size
        if large and dice < BINNED_SHARE:
            tile = binned(self._crop(flux, 2 * size))
        elif large and dice < BINNED_SHARE + TURNED_SHARE:
            piece = self._crop(flux, 2 * size)
            whole = bool(np.isfinite(piece).all())
            tile, white = (turned(piece, size, rng) if whole else piece[:size, :size]), white and not whole
        else:
            tile = self._crop(flux, size)
        tile = np.rot90(tile, int(rng.integers(4)))
        tile = tile[:, ::-1] if rng.random() < 0.5 else tile
        factor = float(np.exp(rng.normal(0, 0.4)))
        return np.asarray(tile * np.float32(factor)), factor if white else 0.0

    def _crop(self, flux: Float, size: int) -> Float:
        height, width = flux.shape
        row = self.rng.integers(0, max(1, height - size + 1))
        col = self.rng.integers(0, max(1, width - size + 1))
        cut = flux[row : row + size, col : col + size]
        pad = [(0, size - side) for side in cut.shape]
        return np.pad(cut, pad, constant_values=np.nan) if cut.shape != (size, size) else cut
