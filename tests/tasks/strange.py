"""Images that no sky prior has seen: the Sun, a raw colour frame, spectra, counts of photons, enlarged stars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Float = NDArray[np.float32]


def ordinary(seed: int, side: int = 160) -> Float:
    """Stars, a galaxy and a gradient on a noisy sky."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    image = 300 + 0.1 * rows
    for _ in range(side // 5):
        row, col = rng.uniform(0, side, 2)
        image = image + 10 ** rng.uniform(2, 4.2) * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 4.5)
    radius = np.hypot(rows - side / 2, (cols - side / 2) / 0.6)
    image = image + 4000 * np.exp(-((radius / 6) ** 0.7))
    return (image + 8 * rng.standard_normal(image.shape)).astype(np.float32)


def granulation(seed: int, side: int = 160) -> Float:
    """The quiet Sun with a spot: cells of a few pixels, noise of one per cent."""
    rng = np.random.default_rng(seed)
    cells = gaussian_filter(rng.normal(size=(side, side)), 4) - gaussian_filter(rng.normal(size=(side, side)), 6)
    rows, cols = np.mgrid[:side, :side]
    spot = np.exp(-((rows - side / 2) ** 2 + (cols - side / 3) ** 2) / (2 * (side / 14) ** 2))
    bright = 3000 * (1 + 0.1 * np.tanh(cells / cells.std()) - 0.7 * spot)
    return (bright + 30 * rng.standard_normal(bright.shape)).astype(np.float32)


def solar_disc(seed: int, side: int = 160) -> Float:
    """The whole disc with limb darkening."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    radius = np.hypot(rows - side / 2, cols - side / 2) / (0.45 * side)
    dark = 0.4 + 0.6 * np.sqrt(np.clip(1 - radius**2, 0, 1))
    bright = np.where(radius < 1, 1e4 * dark * (1 + 0.25 * gaussian_filter(rng.normal(size=dark.shape), 1.5)), 50)
    return (bright + np.sqrt(bright) * rng.standard_normal(bright.shape)).astype(np.float32)


def raw_colour(seed: int, side: int = 160) -> Float:
    """Stars through a Bayer matrix: red, green and blue sky of different brightness."""
    image = ordinary(seed, side)
    image[::2, 1::2] += 500
    image[1::2, ::2] += 500
    image[1::2, 1::2] -= 150
    return np.rint(image)


def long_slit(seed: int, side: int = 320) -> Float:
    """Sky lines along one axis and three traces along the other."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side].astype(float)
    image = np.full((side, side), 100.0)
    for _ in range(side // 10):
        image += 10 ** rng.uniform(1, 3.2) * np.exp(-((cols - rng.uniform(0, side)) ** 2) / 4)
    for _ in range(3):
        image += 10 ** rng.uniform(1.5, 3) * np.exp(-((rows - rng.uniform(0, side)) ** 2) / 8)
    return (image + np.sqrt(image / 4) * rng.standard_normal(image.shape)).astype(np.float32)


def echelle(seed: int, side: int = 160) -> Float:
    """Orders side by side."""
    rows, _cols = np.mgrid[:side, :side].astype(float)
    image = sum(800 * np.exp(-((rows - at) ** 2) / 6) for at in range(0, side, 14)) + np.full((side, side), 50.0)
    return (image + np.sqrt(image) * np.random.default_rng(seed).standard_normal(image.shape)).astype(np.float32)


def photons(seed: int, side: int = 160) -> Float:
    """A few X-ray photons."""
    rng = np.random.default_rng(seed)
    bright = 0.1 + 5 * gaussian_filter((rng.random((side, side)) < 0.001) * 40.0, 3)
    return rng.poisson(bright).astype(np.float32)


def rounded(seed: int, side: int = 160) -> Float:
    """Values rounded to four times the noise."""
    return (np.round(ordinary(seed, side) / 32) * 32).astype(np.float32)


def enlarged(seed: int, side: int = 160) -> Float:
    """Every pixel four times."""
    return np.kron(ordinary(seed, side // 2), np.ones((2, 2), np.float32))


STRANGE = {
    granulation: "structure",
    solar_disc: "structure",
    raw_colour: "mosaic",
    long_slit: "direction",
    echelle: "direction",
    photons: "steps",
    rounded: "steps",
    enlarged: "neighbours",
}
"""Image, and the statistic that should give it away."""
