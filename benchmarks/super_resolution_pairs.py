"""The same galaxies in SDSS (0.339") and KiDS (0.2"): super-resolution of the one against the other.

The fine SDSS image (0.1695") is laid on KiDS. Fitted are a shift, one flux scale, width and wings of a Moffat blur
(none at width 0), the same freedom for every method. No pedestal: each frame's own sky, a clipped median, is taken
away before. A fitted pedestal would make up for what a method does to faint light, a Gaussian blur leaves out the
wings of KiDS' PSF, and the PSF images that come with KiDS have none (their background was taken away too much). The
half-light radius is that of the curve of growth within 4.8" on that sky.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import ndimage, optimize, signal
from super_resolution_rivals import lanczos, ours, richardson_lucy
from super_resolution_scenes import Array, Seen

from gencosmo.operators.profiles import fine_psf, moffat_psf

__all__ = ["run_pairs"]

PIXEL, TARGET = 0.339 / 2, 0.2
"""Arcsec per pixel of the fine image and of KiDS."""
SIDE = 24
"""Pixels of KiDS from the middle of what is compared to its edge."""
ITERATIONS = (10, 20, 40)
STARTS = (0.4, 3.0, 5.0)
"""Widths of the blur (fine pixels) from which the fit starts."""


def half_light(image: Array, reach: float) -> float:
    """Radius (arcsec) around the middle that holds half of the light within `reach` (arcsec)."""
    rows, cols = np.indices(image.shape) - (np.array(image.shape) // 2)[:, None, None]
    radius = np.hypot(rows, cols) * TARGET
    edges = np.arange(0, reach, TARGET / 2)
    curve = np.array([(image * np.clip((edge - radius) / TARGET + 0.5, 0, 1)).sum() for edge in edges])
    return float(np.interp(0.5, np.maximum.accumulate(curve) / curve.max(), edges))


def run_pairs(options: argparse.Namespace) -> dict[str, object]:
    """All galaxies: rms over KiDS' peak, and by how much the half-light radius is too large."""
    root, rows = Path(options.data) / "astro", []
    for path in sorted((root / "profit_sdss").glob("*fitim.fits"))[options.first : options.first + options.scenes]:
        other = root / "profit_kids" / path.name
        if not other.exists():
            continue
        noise, native = plane(path, "sigma"), plane(path, "psfim")
        unit, native = float(np.median(noise)), native / native.sum()
        seen = Seen(without_sky(path) / unit, noise / unit, native, fine_psf(native, (2, 2)), 2)
        kids, images = middle_of(without_sky(other)), {"lanczos": lanczos(seen)}
        images |= {f"richardson_lucy_{k}": richardson_lucy(seen, k) for k in ITERATIONS}
        images["gencosmo"] = ours(seen, options.samples, options.steps, options.mode, options.prior)[0]
        found = {name: compare(fine, kids) for name, fine in images.items()}
        lucy = min((n for n in found if n.startswith("rich")), key=lambda n: found[n]["rms"])
        best = {"lanczos": found["lanczos"], "richardson_lucy": found[lucy], "gencosmo": found["gencosmo"]}
        scores = {f"{key}_{name}": value for name, one in best.items() for key, value in one.items()}
        rows.append(scores)
        print(path.name, json.dumps({k: round(v, 4) for k, v in scores.items()}), flush=True)
    keys = list(rows[0]) if rows else []
    median = {k: float(np.median([r[k] for r in rows])) for k in keys}
    for key in keys:
        if key.startswith(("r50", "core")):
            median[f"abs_{key}"] = float(np.median([abs(r[key]) for r in rows]))
    return {"rows": rows, "median": median}


def plane(path: Path, kind: str) -> Array:
    from astropy.io import fits

    values: Array = fits.getdata(str(path).replace("fitim", kind)).astype(np.float64)
    return values


def without_sky(path: Path) -> Array:
    """A frame minus its sky: the median of what is left when pixels far from it are left out, again and again."""
    image = plane(path, "fitim")
    kept = image.ravel()
    for _ in range(20):
        middle = float(np.median(kept))
        kept = kept[np.abs(kept - middle) < 2.5 * 1.4826 * np.median(np.abs(kept - middle))]
    return image - float(np.median(kept))


def middle_of(kids: Array) -> Array:
    """What is compared: around the galaxy in the middle of the frame."""
    row, col = brightest(kids)
    side = min(SIDE, row, col, kids.shape[0] - row - 1, kids.shape[1] - col - 1)
    return kids[row - side : row + side + 1, col - side : col + side + 1]


def brightest(image: Array) -> tuple[int, int]:
    """Of the middle third."""
    low = [n // 3 for n in image.shape]
    part = ndimage.gaussian_filter(image, 2)[low[0] : -low[0], low[1] : -low[1]]
    row, col = np.unravel_index(np.argmax(part), part.shape)
    return int(row) + low[0], int(col) + low[1]


def compare(fine: Array, kids: Array) -> dict[str, float]:
    """rms over KiDS' peak; relative errors of the half-light radius and of the light in the 5x5 pixels of the core; the
    FWHM of the blur (arcsec).
    """
    side = kids.shape[0] // 2
    reach = int(side * TARGET / PIXEL) + 24
    row, col = (n + reach for n in brightest(fine))
    near = np.pad(fine, reach)[row - reach : row + reach + 1, col - reach : col + reach + 1]
    grid = np.mgrid[-side : side + 1, -side : side + 1] * TARGET / PIXEL + reach

    def fitted(at: Array) -> Array:
        width, wings = abs(at[2]), 1.2 + min(abs(at[3]), 8.0)
        blurred = signal.fftconvolve(near, moffat_psf(width, wings, size=61), mode="same") if width > 0.5 else near
        laid = ndimage.map_coordinates(blurred, [grid[0] + at[0], grid[1] + at[1]], order=3, mode="nearest")
        out: Array = laid * ((laid * kids).sum() / (laid * laid).sum())
        return out

    def miss(at: Array) -> float:
        return float(((fitted(at) - kids) ** 2).mean())

    steps = {"xatol": 0.02, "fatol": 0, "maxfev": 110}
    tries = [optimize.minimize(miss, [0, 0, w, 0.8], method="Nelder-Mead", options=steps) for w in STARTS]
    best = min(tries, key=lambda t: t.fun)
    model, core = fitted(best.x), (slice(side - 2, side + 3),) * 2
    return {
        "rms": float(np.sqrt(best.fun) / kids.max()),
        "r50": half_light(model, side * TARGET) / half_light(kids, side * TARGET) - 1,
        "core": float(model[core].sum() / kids[core].sum() - 1),
        "blur": abs(float(best.x[2])) * PIXEL,
    }
