"""Super-resolution against classical methods, on simulated truth and on real pairs.

``simulated``: scenes of Sersic galaxies and stars from a renderer of this file (analytic profiles on a grid five times
finer than the scene's; not the training simulator), seen through Moffat, Gaussian and Airy PSFs with sky and shot
noise. ``pairs``: the same galaxies in SDSS (0.339") and KiDS (0.2"), `--data` names the folder of the development
images. The classical methods are tuned: Richardson-Lucy takes the number of iterations that is best *on the truth*
it is judged by, so it is better here than anybody can have it.

    python benchmarks/super_resolution.py simulated --scenes 6
    python benchmarks/super_resolution.py pairs --data ../shared/data
    python benchmarks/super_resolution.py known-answer
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, signal

from gencosmo.operators.profiles import airy_psf, fine_psf, gaussian_psf, moffat_psf

Array = NDArray[np.float64]
SUB = 5
ITERATIONS = (5, 10, 20, 30, 50, 80, 120, 200)


@dataclass(frozen=True)
class Seen:
    """An image, its noise and its PSF on both grids; `truth` on the fine grid when it is known."""

    image: Array
    noise: Array
    psf: Array
    fine: Array
    scale: int
    truth: Array | None = None
    sources: tuple[tuple[float, float], ...] = ()


def sersic(side: int, row: float, col: float, *, index: float, radius: float, ratio: float, angle: float) -> Array:
    """Unit-flux Sersic profile (Sersic 1963), averaged over each pixel; positions and radius in fine pixels."""
    rows, cols = (np.indices((side * SUB, side * SUB)) + 0.5) / SUB - 0.5
    u = (cols - col) * np.cos(angle) + (rows - row) * np.sin(angle)
    v = ((rows - row) * np.cos(angle) - (cols - col) * np.sin(angle)) / ratio
    b = 2 * index - 1 / 3 + 4 / (405 * index)
    values = np.exp(-b * (np.hypot(u, v) / radius) ** (1 / index))
    binned: Array = values.reshape(side, SUB, side, SUB).mean((1, 3))
    return binned / binned.sum()


def scene(rng: np.random.Generator, side: int) -> tuple[Array, tuple[tuple[float, float], ...]]:
    """Three to five galaxies, some with a bulge, and where they are."""
    total, places = np.zeros((side, side)), []
    for _ in range(rng.integers(3, 6)):
        place = tuple(rng.uniform(0.18 * side, 0.82 * side, 2))
        flux, angle = 10 ** rng.uniform(3.3, 4.9), rng.uniform(0, np.pi)
        disc = {"index": 1.0, "radius": rng.uniform(3, 9), "ratio": rng.uniform(0.25, 0.95), "angle": angle}
        bulge = {
            "index": rng.uniform(1.5, 4),
            "radius": rng.uniform(1.5, 4),
            "ratio": rng.uniform(0.6, 1),
            "angle": angle,
        }
        share = rng.uniform(0, 0.6)
        total += flux * ((1 - share) * sersic(side, *place, **disc) + share * sersic(side, *place, **bulge))
        places.append((float(place[0]), float(place[1])))
    return total, tuple(places)


def simulated(seed: int, side: int = 48, scale: int = 2) -> Seen:
    """One image of a scene."""
    rng = np.random.default_rng(seed)
    width = rng.uniform(2.4, 3.6) * scale
    fine = [
        moffat_psf(width, rng.uniform(2.5, 4.5), size=51),
        gaussian_psf(width, size=35),
        airy_psf(width / 0.5145, 1, 1, size=61),
    ][seed % 3]
    border = 16
    wide, places = scene(rng, side * scale + 2 * border)
    blurred = signal.fftconvolve(wide, fine, mode="same")[border:-border, border:-border]
    clean = blurred.reshape(side, scale, side, scale).sum((1, 3))
    sky, gain = 10 ** rng.uniform(0.3, 1.0), 10 ** rng.uniform(0, 1)
    noise = np.sqrt(sky**2 + np.maximum(clean, 0) / gain)
    image = clean + noise * rng.normal(size=clean.shape)
    box = np.ones((scale, scale)) / scale**2
    native = signal.fftconvolve(fine, box)
    return Seen(
        image,
        noise,
        native,
        fine,
        scale,
        wide[border:-border, border:-border],
        tuple((r - border, c - border) for r, c in places),
    )


def bicubic(seen: Seen) -> Array:
    out: Array = ndimage.zoom(seen.image, seen.scale, order=3, mode="grid-constant", grid_mode=True) / seen.scale**2
    return out


def lanczos(seen: Seen, taps: int = 4) -> Array:
    """Lanczos-4 interpolation (Duchon 1979)."""
    values, scale = seen.image, seen.scale
    for axis in (0, 1):
        place = (np.arange(values.shape[axis] * scale) + 0.5) / scale - 0.5
        start = np.floor(place).astype(int)
        total = np.zeros([n * scale if a == axis else n for a, n in enumerate(values.shape)])
        weights = np.zeros(place.size)
        for k in range(-taps + 1, taps + 1):
            x = place - (start + k)
            w = np.sinc(x) * np.sinc(x / taps) * (np.abs(x) < taps)
            picked = np.take(values, np.clip(start + k, 0, values.shape[axis] - 1), axis=axis)
            total += picked * (w[:, None] if axis == 0 else w[None])
            weights += w
        values = total / (weights[:, None] if axis == 0 else weights[None])
    return values / scale**2


def richardson_lucy(seen: Seen, iterations: int) -> Array:
    """scikit-image on the interpolated image (a pedestal keeps it positive), with the whole PSF of the fine grid."""
    from skimage.restoration import richardson_lucy as deconvolve

    up = bicubic(seen)
    pedestal = 3 * float(np.median(seen.noise)) / seen.scale**2
    shifted = np.clip(up + pedestal, 1e-6, None)
    top = shifted.max()
    out: Array = deconvolve(shifted / top, _whole(seen), num_iter=iterations, clip=False) * top - pedestal
    return out


def wiener(seen: Seen) -> Array:
    from skimage.restoration import unsupervised_wiener

    up = bicubic(seen)
    top = np.abs(up).max()
    out: Array = unsupervised_wiener(up / top, _whole(seen), clip=False, rng=0)[0] * top
    return out


def _whole(seen: Seen) -> Array:
    """PSF with the width of a pixel of the image, odd."""
    box = np.ones(seen.scale) / seen.scale
    if seen.scale % 2 == 0:
        box = np.convolve(box, [0.5, 0.5])
    return signal.fftconvolve(seen.fine, np.outer(box, box))


def ours(seen: Seen, samples: int, steps: int, mode: str, prior: str) -> tuple[Array, Array, float]:
    from gencosmo import super_resolve

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = super_resolve(
            seen.image, seen.scale, psf=seen.fine, psf_sampling=seen.scale, ivar=1 / seen.noise**2, samples=samples,
            steps=steps, mode=mode, prior=prior,  # type: ignore[arg-type]
        )  # fmt: skip
    return result.mean.astype(np.float64), result.std.astype(np.float64), float(result.chi2 or np.nan)


def rms(image: Array, truth: Array, border: int = 8) -> float:
    """Without a border: what Richardson-Lucy and Wiener make of an edge is not their point."""
    inside = slice(border, -border)
    return float(np.sqrt(((image - truth)[inside, inside] ** 2).mean()))


def shape(image: Array, place: tuple[float, float], reach: int = 10) -> tuple[float, float, float, float]:
    """Flux, centroid (row, column) and ellipticity e1 of a source in a Gaussian-weighted aperture."""
    r0, c0 = round(place[0]), round(place[1])
    rows, cols = np.mgrid[r0 - reach : r0 + reach + 1, c0 - reach : c0 + reach + 1]
    part = image[rows, cols]
    weight = np.exp(-((rows - place[0]) ** 2 + (cols - place[1]) ** 2) / (2 * (reach / 3) ** 2))
    total = (part * weight).sum()
    row, col = (part * weight * rows).sum() / total, (part * weight * cols).sum() / total
    q = [(part * weight * a * b).sum() / total for a, b in ((rows - row, rows - row), (cols - col, cols - col))]
    return float(part.sum()), float(row), float(col), float((q[1] - q[0]) / (q[1] + q[0]))


def run_simulated(options: argparse.Namespace) -> dict[str, object]:
    rows: list[dict[str, float]] = []
    for seed in range(options.scenes):
        seen = simulated(seed, options.side, options.scale)
        assert seen.truth is not None
        row: dict[str, float] = {}
        for name, method in {"bicubic": bicubic, "lanczos": lanczos, "wiener": wiener}.items():
            row[name] = rms(method(seen), seen.truth)
        trials = {k: rms(richardson_lucy(seen, k), seen.truth) for k in ITERATIONS}
        row["richardson_lucy"] = min(trials.values())
        row["iterations"] = min(trials, key=lambda k: trials[k])
        start = time.perf_counter()
        mean, std, chi2 = ours(seen, options.samples, options.steps, options.mode, options.prior)
        row["seconds"] = time.perf_counter() - start
        row |= {"gencosmo": rms(mean, seen.truth), "chi2": chi2}
        pull = np.abs(mean - seen.truth) / np.maximum(std, 1e-9)
        bright = seen.truth > 0.5 * np.median(seen.noise) / options.scale
        row |= {"coverage68": float((pull < 1).mean()), "coverage68_sources": float((pull < 1)[bright].mean())}
        row["ratio"] = row["gencosmo"] / min(row[k] for k in ("bicubic", "lanczos", "wiener", "richardson_lucy"))
        measured = [
            (shape(mean, p), shape(seen.truth, p))
            for p in seen.sources
            if min(p) > 12 and max(p) < seen.truth.shape[0] - 13
        ]
        if measured:
            row["flux_error"] = float(np.median([abs(a[0] / b[0] - 1) for a, b in measured]))
            # what the noise alone does to an aperture of that size on the image itself
            aperture = np.median(seen.noise) * 21 / seen.scale
            row["flux_noise"] = float(np.median([aperture / b[0] for _, b in measured]))
            row["centroid_error"] = float(
                np.median([np.hypot(a[1] - b[1], a[2] - b[2]) / seen.scale for a, b in measured])
            )
            row["ellipticity_bias"] = float(np.mean([a[3] - b[3] for a, b in measured]))
        rows.append(row)
        print(json.dumps({k: round(v, 4) for k, v in row.items()}), flush=True)
        if options.picture and seed == 0:
            save(options.picture, [bicubic(seen), richardson_lucy(seen, int(row["iterations"])), mean, seen.truth, std])
    keys = sorted({key for row in rows for key in row})
    return {"rows": rows, "median": {k: float(np.median([r[k] for r in rows if k in r])) for k in keys}}


def save(path: str, panels: list[Array]) -> None:
    from PIL import Image as Picture

    top = np.percentile(panels[3] if len(panels) > 3 else panels[0], 99.8)
    shown = [np.arcsinh(20 * np.clip(p / top, 0, 1)) / np.arcsinh(20) for p in panels]
    Picture.fromarray((255 * np.kron(np.concatenate(shown, axis=1), np.ones((3, 3)))).astype(np.uint8)).save(path)


def half_light(image: Array, centre: tuple[float, float], pixel: float, reach: float) -> float:
    """Radius (arcsec) that holds half of the light within `reach` (arcsec)."""
    rows, cols = np.indices(image.shape)
    radius = np.hypot(rows - centre[0], cols - centre[1]) * pixel
    edges = np.arange(0, reach, pixel / 2)
    curve = np.array([(image * np.clip((edge - radius) / pixel + 0.5, 0, 1)).sum() for edge in edges])
    return float(np.interp(0.5, np.maximum.accumulate(curve) / curve.max(), edges))


def run_pairs(options: argparse.Namespace) -> dict[str, object]:
    """SDSS brought to half its pixel, laid on KiDS, both at KiDS' resolution or worse, one flux scale fitted."""
    root, rows = Path(options.data) / "astro", []
    for path in sorted((root / "profit_sdss").glob("*fitim.fits"))[: options.scenes]:
        other = root / "profit_kids" / path.name
        if not other.exists():
            continue
        image, noise, native = (plane(path, kind) for kind in ("fitim", "sigma", "psfim"))
        kids = plane(other, "fitim")
        unit = float(np.median(noise))
        native = native / native.sum()
        seen = Seen(image / unit, noise / unit, native, fine_psf(native, (2, 2)), 2)
        images = {"bicubic": bicubic(seen), "lanczos": lanczos(seen)}
        images |= {f"richardson_lucy_{k}": richardson_lucy(seen, k) for k in (5, 10, 20, 40, 80)}
        images["gencosmo"] = ours(seen, options.samples, options.steps, options.mode, options.prior)[0]
        found = {name: compare(fine, kids) for name, fine in images.items()}
        lucy = min((n for n in found if n.startswith("rich")), key=found.__getitem__)
        scores = {}
        for name in ("bicubic", "lanczos", "richardson_lucy", "gencosmo"):
            scores[f"rms_{name}"], scores[f"r50_{name}"] = found[lucy if name == "richardson_lucy" else name]
        if options.picture and not rows:
            save(options.picture, [images["lanczos"], images[lucy], images["gencosmo"]])
        rows.append(scores)
        print(path.name, json.dumps({k: round(v, 4) for k, v in scores.items()}), flush=True)
    keys = list(rows[0]) if rows else []
    return {"rows": rows, "median": {k: float(np.median([r[k] for r in rows])) for k in keys}}


def plane(path: Path, kind: str) -> Array:
    from astropy.io import fits

    values: Array = fits.getdata(str(path).replace("fitim", kind)).astype(np.float64)
    return values


def compare(fine: Array, kids: Array) -> tuple[float, float]:
    """rms over KiDS' peak, and relative error of the half-light radius.

    The fine image (0.1695") is laid on KiDS (0.2") by a fitted shift, flux scale, pedestal, and the Gaussian blur that
    brings it closest to what KiDS saw through its own PSF: the same freedom for every method.
    """
    pixel, target = 0.339 / 2, 0.2
    peak = np.unravel_index(np.argmax(ndimage.gaussian_filter(kids, 2)), kids.shape)
    side = min(24, peak[0], peak[1], kids.shape[0] - peak[0] - 1, kids.shape[1] - peak[1] - 1)
    part = kids[peak[0] - side : peak[0] + side + 1, peak[1] - side : peak[1] + side + 1]
    start = np.unravel_index(np.argmax(ndimage.gaussian_filter(fine, 2)), fine.shape)
    grid = np.mgrid[-side : side + 1, -side : side + 1] * target / pixel

    def laid(at: Array) -> Array:
        width = abs(at[2])
        blurred = ndimage.gaussian_filter(fine, width) if width > 0.05 else fine
        out: Array = ndimage.map_coordinates(
            blurred, [grid[0] + start[0] + at[0], grid[1] + start[1] + at[1]], order=3, mode="nearest"
        )
        return out

    def fitted(at: Array) -> Array:
        values = laid(at)
        basis = np.stack([values.ravel(), np.ones(values.size)], 1)
        factors = np.linalg.lstsq(basis, part.ravel(), rcond=None)[0]
        return (basis @ factors).reshape(part.shape)

    def miss(at: Array) -> float:
        return float(((fitted(at) - part) ** 2).mean())

    tries = [
        optimize.minimize(miss, [0, 0, w], method="Nelder-Mead", options={"xatol": 0.02, "fatol": 0, "maxfev": 120})
        for w in (0.3, 2.0)
    ]
    best = min(tries, key=lambda t: t.fun)
    model, centre, reach = fitted(best.x), (float(side), float(side)), side * target
    sky = float(np.percentile(part, 10))
    truth = half_light(part - sky, centre, target, reach)
    return float(np.sqrt(best.fun) / part.max()), abs(half_light(model - sky, centre, target, reach) / truth - 1)


def run_known_answer(options: argparse.Namespace) -> dict[str, object]:
    """The table of the tests with many samples: 64 truths x 64 samples."""
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from gencosmo.sampling import linear
    from gencosmo.sampling.lowpass import LowPass
    from tests.sampling.linear_cases import build, evaluate

    class Diagonal(LowPass):
        """The predicted variance alone, as decision 0008 compares it."""

        def __init__(self, var: object, share: object, length: float) -> None:
            super().__init__(var, share * 0 + 1, length)  # type: ignore[arg-type,operator]

    if options.diagonal:
        linear.LowPass = Diagonal  # type: ignore[misc]
    out: dict[str, object] = {}
    for mode, evaluations in (("fast", 16), ("fast", 32), ("quality", 16)):
        scores = evaluate(build(options.noise), evaluations=evaluations, samples=options.samples, mode=mode)  # type: ignore[arg-type]
        out[f"{mode} {evaluations}"] = scores.__dict__
        print(mode, evaluations, scores, flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["simulated", "pairs", "known-answer"])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--mode", default="fast")
    parser.add_argument("--prior", default="sky")
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--diagonal", action="store_true", help="known answer with diag(V) as covariance")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--picture")
    parser.add_argument("--json")
    options = parser.parse_args()
    run = {"simulated": run_simulated, "pairs": run_pairs, "known-answer": run_known_answer}[options.what]
    result = run(options)
    print(json.dumps(result.get("median", {}), indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
