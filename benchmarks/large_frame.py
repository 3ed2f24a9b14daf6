"""Time and memory of a large frame: ``python -m benchmarks.large_frame [--side 4096] [--share 0.005]``.

Writes a frame of sky and stars with cosmic rays, a dead column and a bleed trail as FITS, repairs it with the command
line in a process of its own, and prints wall time, peak memory and throughput; then the same frame without bad pixels.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits


def frame(side: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask."""
    rng = np.random.default_rng(0)
    image = rng.normal(500, 7, (side, side)).astype(np.float32)
    for _ in range(side * side // 20_000):
        row, col = rng.integers(8, side - 8, 2)
        rows, cols = np.mgrid[-8:9, -8:9]
        star = rng.pareto(1.2) * 50 * np.exp(-(rows**2 + cols**2) / 6.0)
        image[row - 8 : row + 9, col - 8 : col + 9] += star.astype(np.float32)[: side - row + 8, : side - col + 8]
    mask = np.zeros((side, side), bool)
    mask[:, side // 3] = True
    mask[side // 4 : side // 2, side // 2 : side // 2 + 3] = True
    while mask.mean() < share:
        row, col, length = (*rng.integers(0, side, 2).tolist(), int(rng.integers(1, 20)))
        mask[row : row + 1, col : col + length] = True
    return image, mask


def run(image: np.ndarray, mask: np.ndarray, folder: Path, name: str, prior: str) -> None:
    """Repair one frame in a process of its own and print what it took."""
    path, out = folder / f"{name}.fits", folder / f"{name}-filled.fits"
    planes = [fits.PrimaryHDU(), fits.ImageHDU(image, name="SCI"), fits.ImageHDU(mask.astype(np.int32), name="DQ")]
    fits.HDUList(planes).writeto(path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    start = time.perf_counter()
    command = [sys.executable, "-m", "gencosmo.cli", "inpaint", str(path), "-o", str(out), "--prior", prior]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    peak = max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024**2
    print(
        f"{name}: {image.shape[0]}x{image.shape[1]}, {100 * mask.mean():.2f} % bad: {seconds:.1f} s, "
        f"{image.size / seconds / 1e6:.2f} Mpix/s, peak {peak:.2f} GiB"
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--share", type=float, default=0.005)
    parser.add_argument("--prior", default="sky")
    given = parser.parse_args()
    image, mask = frame(given.side, given.share)
    with tempfile.TemporaryDirectory() as folder:
        run(image, np.zeros_like(mask), Path(folder), "clean", given.prior)
        run(image, mask, Path(folder), "damaged", given.prior)


if __name__ == "__main__":
    main()
