"""The demonstration: a real frame of M13 is damaged, repaired by the command line, and compared with the truth.

The frame is the SkyView cutout that astropy's wheel ships among its test data; the damage is drawn from a fixed seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gencosmo.errors import InputError

__all__ = ["run"]

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
COSMIC_RAY_BIT, BLEED_BIT, DEAD_BIT = 4, 1, 10
"""JWST data-quality bits: outlier, saturated, dead."""
SEED = 13


def m13_path() -> Path:
    """The frame inside the installed astropy.

    Raises
    ------
    InputError
        When this astropy came without its test data.
    """
    import astropy

    path = Path(astropy.__file__).parent / "io/fits/hdu/compressed/tests/data/m13.fits"
    if not path.is_file():
        raise InputError(
            f"this astropy {astropy.__version__} has no {path.name} in its test data",
            code="not_found",
            hint="install astropy from its wheel, or run `gencosmo inpaint` on a frame of your own",
        )
    return path


def cosmic_rays(rng: np.random.Generator, shape: tuple[int, int], count: int) -> Mask:
    """Tracks of one or two pixels' width, up to 25 pixels long."""
    mask = np.zeros(shape, bool)
    for _ in range(count):
        row, col = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        angle, length, wide = rng.uniform(0, 2 * np.pi), int(rng.gamma(2.0, 4.0)) + 1, rng.random() < 0.4
        for _step in range(min(length, 25)):
            r, c = int(row), int(col)
            if 0 <= r < shape[0] and 0 <= c < shape[1]:
                mask[r, c : c + 1 + wide] = True
            row, col = row + np.sin(angle), col + np.cos(angle)
    return mask


def damage(truth: Float) -> tuple[Float, NDArray[np.int32]]:
    """The damaged frame and its data-quality plane: 120 cosmic rays, a dead column, a bleed trail."""
    rng = np.random.default_rng(SEED)
    dq = np.zeros(truth.shape, np.int32)
    broken = truth.copy()
    rays = cosmic_rays(rng, (truth.shape[0], truth.shape[1]), 120)
    broken[rays] += rng.gamma(2.0, 800.0, int(rays.sum())).astype(np.float32)
    dq[rays] |= 1 << COSMIC_RAY_BIT
    star_row, star_col = np.unravel_index(int(np.argmax(truth)), truth.shape)
    trail = np.zeros(truth.shape, bool)
    trail[max(0, int(star_row) - 60) : int(star_row) + 60, int(star_col) - 1 : int(star_col) + 2] = True
    broken[trail] = truth.max()
    dq[trail] |= 1 << BLEED_BIT
    column = int(truth.shape[1] * 0.3)
    broken[:, column] = 0
    dq[:, column] |= 1 << DEAD_BIT
    return broken, np.where(dq > 0, dq | 1, dq)


def write_frame(path: Path, data: Float, dq: NDArray[np.int32], header: object) -> None:
    """SCI with the frame's own WCS, and DQ."""
    from astropy.io import fits

    science = fits.ImageHDU(data, header=header, name="SCI")
    for key in ("CHECKSUM", "DATASUM"):
        science.header.remove(key, ignore_missing=True)
    fits.HDUList([fits.PrimaryHDU(), science, fits.ImageHDU(dq, name="DQ")]).writeto(
        path, overwrite=True, checksum=True
    )


def biharmonic(data: Float, mask: Mask) -> Float:
    """scikit-image's biharmonic fill."""
    from skimage.restoration import inpaint_biharmonic

    return np.asarray(inpaint_biharmonic(data.astype(float), mask, split_into_regions=True), dtype=np.float32)


def interpolation(data: Float, mask: Mask) -> Float:
    """Astropy's `interpolate_replace_nans`, Gaussian kernel of 2 pixels."""
    from astropy.convolution import Gaussian2DKernel, interpolate_replace_nans

    holed = np.where(mask, np.nan, data)
    return np.asarray(interpolate_replace_nans(holed, Gaussian2DKernel(2.0), boundary="extend"), dtype=np.float32)


RIVALS: dict[str, Callable[[Float, Mask], Float]] = {
    "scikit-image biharmonic": biharmonic,
    "astropy interpolate_replace_nans": interpolation,
}


def repair(damaged: Path, repaired: Path, prior: str) -> None:
    """Run the command line as a user would.

    Raises
    ------
    InputError
        When it fails; its own message has been printed.
    """
    command = ["inpaint", str(damaged), "-o", str(repaired), "--prior", prior, "--overwrite"]
    print("$ gencosmo " + " ".join(command), flush=True)
    done = subprocess.run([sys.executable, "-m", "gencosmo.cli", *command], check=False)
    if done.returncode:
        raise InputError(f"gencosmo inpaint ended with exit code {done.returncode}", code="demo_failed")


def measure(truth: Float, fills: dict[str, Float], std: Float, dq: NDArray[np.int32]) -> dict[str, dict[str, float]]:
    """Root mean square error of each filler by kind of damage, and how often the truth lies within one and two std."""
    kinds = {"cosmic rays": COSMIC_RAY_BIT, "bleed trail": BLEED_BIT, "dead column": DEAD_BIT}
    table = {}
    for kind, where in [*((k, dq >> bit & 1 > 0) for k, bit in kinds.items()), ("all", dq > 0)]:
        row = {name: float(np.sqrt(np.mean((fill[where] - truth[where]) ** 2))) for name, fill in fills.items()}
        error = np.abs(fills["gencosmo"][where] - truth[where])
        row["within 1 std"] = float(np.mean(error < std[where]))
        row["within 1.96 std"] = float(np.mean(error < 1.96 * std[where]))
        row["pixels"] = int(where.sum())
        table[kind] = row
    return table


def table_lines(table: dict[str, dict[str, float]]) -> list[str]:
    """The table as text."""
    names = list(next(iter(table.values())))
    lines = [f"{'rms error (counts)':34s}" + "".join(f"{kind:>14s}" for kind in table)]
    for name in names:
        form = "{:14.0f}" if name == "pixels" else "{:14.2f}"
        lines.append(f"{name:34s}" + "".join(form.format(table[kind][name]) for kind in table))
    return lines


def run(out: str, *, prior: str = "sky") -> dict[str, dict[str, float]]:
    """Damage, repair, compare, draw; returns the table of errors.

    Parameters
    ----------
    out : str
        Folder for ``m13-damaged.fits``, ``m13-repaired.fits``, ``m13.png`` and ``m13.json``; made if missing.
    prior : str
        Name or card of a prior.
    """
    from astropy.io import fits

    from gencosmo.image import as_image
    from gencosmo.report import picture
    from gencosmo.result import Result

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with fits.open(m13_path()) as hdus:
        truth, header = hdus[0].data.astype(np.float32), hdus[0].header
    broken, dq = damage(truth)
    damaged, repaired = folder / "m13-damaged.fits", folder / "m13-repaired.fits"
    write_frame(damaged, broken, dq, header)
    repair(damaged, repaired, prior)
    with fits.open(repaired) as hdus:
        filled, std = hdus["SCI"].data.astype(np.float32), hdus["GCM_STD"].data.astype(np.float32)
    mask = dq > 0
    fills = {"gencosmo": filled, **{name: fill(broken, mask) for name, fill in RIVALS.items()}}
    table = measure(truth, fills, std, dq)
    (folder / "m13.json").write_text(json.dumps(table, indent=2) + "\n")
    print("\n".join(table_lines(table)))
    words = ", ".join(f"{name} {table['all'][name]:.1f}" for name in fills)
    shown = Result(mean=filled, std=std, filled=mask, unit="counts")
    picture(str(folder / "m13.png"), as_image(broken, mask), shown, title=f"M13, rms error: {words}", overwrite=True)
    print(f"picture: {folder / 'm13.png'}")
    return table
