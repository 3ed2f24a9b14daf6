"""Reading a survey frame: ours against astropy with NumPy, on one 4096x4096 RICE frame with DQ and variance.

    python -m benchmarks.ingest_file [--size 4096] [--rounds 3]

Both sides make the same three arrays of the same file: native float32 pixels, inverse variance, and the mask of what
asks for filling. They are compared first; then each is timed, in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.io import decode
from gencosmo.io.hdus import open_fits

BITS = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "DETECTED": 5}
FILLED = ("BAD", "SAT", "CR")


def make_frame(path: Path, size: int) -> None:
    """Image, mask and variance of the lsst-v1 layout, all RICE-compressed, with NaN and bad variances."""
    rng = np.random.default_rng(0)
    image = rng.normal(200, 12, (size, size)).astype(np.float32)
    mask = np.zeros((size, size), np.int32)
    for bit in BITS.values():
        mask[rng.random((size, size)) < 0.002] |= 1 << bit
    variance = rng.uniform(100, 180, (size, size)).astype(np.float32)
    image[rng.random((size, size)) < 1e-4] = np.nan
    hdus = [
        fits.CompImageHDU(array, name=name, compression_type="RICE_1", tile_shape=(1, size))
        for name, array in (("IMAGE", image), ("MASK", mask), ("VARIANCE", variance))
    ]
    for name, bit in BITS.items():
        hdus[1].header[f"MP_{name}"] = bit
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


def by_astropy(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a careful user writes: decode, native float32, inverse variance, chosen bits, NaN."""
    with fits.open(path) as hdus:
        data = hdus["IMAGE"].data.astype(np.float32)
        dq = hdus["MASK"].data
        variance = hdus["VARIANCE"].data.astype(np.float64)
        chosen = sum(1 << hdus["MASK"].header[f"MP_{name}"] for name in FILLED)
    known = variance > 0
    ivar = np.divide(1.0, variance, out=np.zeros_like(variance), where=known).astype(np.float32)
    lost = ~np.isfinite(data)
    data[lost], ivar[lost] = 0, 0
    return data, ivar, lost | ((dq & chosen) != 0) | ~known


def by_gencosmo(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same through the package, which also counts, names the causes and checks the header."""
    image = gio.read(path)
    assert image.ivar is not None
    return image.data[0], image.ivar[0], image.mask[0]


def decode_only(path: Path) -> None:
    """Unpack the three planes one after the other and do nothing else."""
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        for hdu in hdus[1:]:
            np.asarray(hdu.data)


def decode_together(path: Path) -> None:
    """Unpack them side by side, as the package does where it may use more than one CPU: what no reader can save."""
    with open_fits(str(path)) as file:
        decode.decode_together(file, file.hdus)


def seconds(call: Callable[[Path], object], path: Path) -> float:
    start = time.perf_counter()
    call(path)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.fits"
        make_frame(path, options.size)
        ours, theirs = by_gencosmo(path), by_astropy(path)
        for name, one, other in zip(("data", "ivar", "mask"), ours, theirs, strict=True):
            assert np.array_equal(one, other), f"{name} differs in {np.count_nonzero(one != other)} pixels"
        calls = {
            "decoding": decode_only,
            "decoding side by side": decode_together,
            "astropy and NumPy": by_astropy,
            "gencosmo": by_gencosmo,
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(options.rounds):
            for name, call in calls.items():
                times[name].append(seconds(call, path))
        best = {name: round(min(values), 3) for name, values in times.items()}
        words = {
            "machine": platform.processor() or platform.machine(),
            "CPUs": len(os.sched_getaffinity(0)),
            "size": options.size,
            "rounds": options.rounds,
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "equal": True,
            "seconds": best,
            "astropy and NumPy over gencosmo": round(best["astropy and NumPy"] / best["gencosmo"], 2),
        }
    print(json.dumps(words, indent=2))


if __name__ == "__main__":
    main()
