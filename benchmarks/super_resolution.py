"""Super-resolution against classical methods, on simulated truth and on real pairs.

``simulated`` and ``rendered``: scenes of `super_resolution_scenes` (``rendered`` needs GalSim), with sky and shot
noise. ``pairs``: the same galaxies in SDSS (0.339") and KiDS (0.2"), `--data` names the folder of the development
images. ``hst``: cutouts of a Hubble image there, blurred, binned and made noisy. ``spread``: the tables of the
stated spread. ``speed``: seconds per megapixel beside Richardson-Lucy and deepinv's DiffPIR and DPS. The classical
methods are tuned: Richardson-Lucy takes the number of iterations that is best *on the truth* it is judged by, so it is
better here than anybody can have it.

    python benchmarks/super_resolution.py simulated --scenes 6
    python benchmarks/super_resolution.py rendered --scenes 6 --diffpir
    python benchmarks/super_resolution.py rendered --scenes 6 --samples 0 --exposure 10 --held
    python benchmarks/super_resolution.py hst --scenes 2 --samples 0
    python benchmarks/super_resolution.py spread --first 100 --scenes 8
    python benchmarks/super_resolution.py pairs --data ../shared/data --samples 0 --steps 12 --scenes 10
    python benchmarks/super_resolution.py known-answer --noise 0.3 --only "fast 16" [--covariance diagonal]
    python benchmarks/super_resolution.py speed --side 64 --dps --diffpir
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal
from super_resolution_pairs import run_pairs
from super_resolution_rivals import ITERATIONS, bicubic, diffpir, dps, lanczos, ours, posterior, richardson_lucy, wiener
from super_resolution_scenes import Array, Seen, rendered, simulated, space
from super_resolution_spread import run_spread

WIDE = 40.0
"""Radius (fine pixels) of the disc for all of a source's light."""
BINS = (-np.inf, 1, 10, 50, np.inf)
"""Edges, in noise of a pixel of the image, between which coverage is counted."""


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


def photometry(image: Array, seen: Seen) -> dict[str, float]:
    """Errors of flux, centroid and ellipticity of the sources that lie far enough from the edge.

    ``flux_floor``: the error that the noise leaves to somebody who knows all of the scene but how much light is in the
    box of 21 fine pixels; ``flux_over_floor``: the error over it; ``wide_...``: the same for a disc of `WIDE`, which
    holds nearly all of a source, and its error with its sign.
    """
    assert seen.truth is not None
    side = seen.truth.shape[0]
    places = [p for p in seen.sources if min(p) > 12 and max(p) < side - 13]
    if not places:
        return {}
    pairs = [(shape(image, p), shape(seen.truth, p)) for p in places]
    flux = np.array([abs(a[0] / b[0] - 1) for a, b in pairs])
    floor = np.array([flux_floor(seen, box(seen.truth.shape, p)) for p in places])
    discs = [disc(seen.truth.shape, p) for p in places]
    wide = np.array([image[d].sum() / seen.truth[d].sum() - 1 for d in discs])
    return {
        "flux_error": float(np.median(flux)),
        "flux_floor": float(np.median(floor)),
        "flux_over_floor": float(np.sqrt(((flux / floor) ** 2).mean())),
        "wide_flux_error": float(np.median(np.abs(wide))),
        "wide_flux_bias": float(np.median(wide)),
        "wide_flux_floor": float(np.median([flux_floor(seen, d) for d in discs])),
        "centroid_error": float(np.median([np.hypot(a[1] - b[1], a[2] - b[2]) / seen.scale for a, b in pairs])),
        "ellipticity_bias": float(np.mean([a[3] - b[3] for a, b in pairs])),
    }


def box(shape: tuple[int, ...], place: tuple[float, float], reach: int = 10) -> NDArray[np.bool_]:
    rows, cols = np.indices(shape)
    inside: NDArray[np.bool_] = np.maximum(abs(rows - round(place[0])), abs(cols - round(place[1]))) <= reach
    return inside


def disc(shape: tuple[int, ...], place: tuple[float, float], radius: float = WIDE) -> NDArray[np.bool_]:
    rows, cols = np.indices(shape)
    inside: NDArray[np.bool_] = np.hypot(rows - place[0], cols - place[1]) <= radius
    return inside


def flux_floor(seen: Seen, aperture: NDArray[np.bool_]) -> float:
    """Relative error of the amplitude of the truth in an aperture, fitted to the image with everything else known."""
    assert seen.truth is not None
    blurred = signal.fftconvolve(np.where(aperture, seen.truth, 0.0), seen.fine, mode="same")
    light = blurred.reshape(seen.image.shape[0], seen.scale, seen.image.shape[1], seen.scale).sum((1, 3))
    return float(1 / np.sqrt((light**2 / seen.noise**2).sum()))


def coverage(error: Array, std: Array, height: Array, wide: float) -> dict[str, float]:
    """Shares of the truth within 1 and 1.96 standard deviations and within the stated 95 % interval: all, sources and
    blank sky; and by brightness.
    """
    row = {}
    kinds = {"": np.ones(height.shape, bool), "_sources": height > 1, "_blank": height <= 1}
    for name, some in kinds.items():
        if not some.any():
            continue
        for level, width in (("68", 1.0), ("95", 1.96), ("95_stated", wide)):
            row[f"coverage{level}{name}"] = float((error < width * std)[some].mean())
    for low, high in pairwise(BINS):
        some = (height >= low) & (height < high)
        if some.sum() >= 20:
            row[f"coverage68_from_{low:g}"] = float((error < std)[some].mean())
    return row


def judge(seen: Seen, options: argparse.Namespace, prior: object) -> tuple[dict[str, float], list[Array]]:
    """Figures of one scene, and the images for a picture."""
    assert seen.truth is not None
    row = {n: rms(m(seen), seen.truth) for n, m in (("bicubic", bicubic), ("lanczos", lanczos), ("wiener", wiener))}
    trials = {k: rms(richardson_lucy(seen, k), seen.truth) for k in ITERATIONS}
    best = min(trials, key=lambda k: trials[k])
    lucy = richardson_lucy(seen, best)
    row |= {"richardson_lucy": trials[best], "iterations": best}
    row |= {f"lucy_{k}": v for k, v in photometry(lucy, seen).items()}
    row |= {f"bicubic_{k}": v for k, v in photometry(bicubic(seen), seen).items() if k.startswith("wide_flux_e")}
    for name, method in (("diffpir", diffpir), ("dps", dps)):
        if getattr(options, name):
            start = time.process_time()
            row |= {name: rms(method(seen, prior), seen.truth), f"{name}_seconds": time.process_time() - start}
    start = time.process_time()
    found = posterior(seen, options.samples, options.steps, options.mode, prior)
    row["seconds"] = time.process_time() - start
    mean, std = found.mean.astype(np.float64), found.std.astype(np.float64)
    row |= {"gencosmo": rms(mean, seen.truth), "chi2": float(found.chi2 or np.nan)} | photometry(mean, seen)
    row["ratio"] = row["gencosmo"] / min(row[k] for k in ("bicubic", "lanczos", "wiener", "richardson_lucy"))
    inside = (slice(8, -8), slice(8, -8))
    height = (seen.truth * seen.scale**2 / np.median(seen.noise))[inside]
    row |= coverage(np.abs(mean - seen.truth)[inside], std[inside], height, found.quantiles.get(0.95, 1.96))
    panels = [bicubic(seen), lucy, mean, seen.truth, std]
    if found.samples is not None and len(found.samples) > 1:
        row |= of_samples(found.samples.astype(np.float64), seen, height)
        panels[4:] = list(found.samples[:2])
    return row, panels


def of_samples(samples: Array, seen: Seen, height: Array) -> dict[str, float]:
    """What the samples alone say: error of their mean, coverage of mean and spread (as much wider as so few samples ask
    for), their chi-square against the data without a border, and that of the truth.
    """
    assert seen.truth is not None
    mean, std, inside = samples.mean(0), samples.std(0, ddof=1) * (1 + 1 / len(samples)) ** 0.5, (slice(8, -8),) * 2
    shares = coverage(np.abs(mean - seen.truth)[inside], std[inside], height, 1.96)
    row = {f"samples_{k}": v for k, v in shares.items() if k.startswith("coverage68") and "from" not in k}
    return row | {
        "samples_rms": rms(mean, seen.truth),
        "samples_chi2": float(np.mean([chi_square(s, seen) for s in samples])),
        "truth_chi2": chi_square(seen.truth, seen),
    }


def chi_square(scene: Array, seen: Seen, border: int = 8) -> float:
    light = signal.fftconvolve(scene, seen.fine, mode="same")
    light = light.reshape(seen.image.shape[0], seen.scale, seen.image.shape[1], seen.scale).sum((1, 3))
    return float((((seen.image - light) / seen.noise)[border:-border, border:-border] ** 2).mean())


def run_scenes(options: argparse.Namespace) -> dict[str, object]:
    from gencosmo.priors import load_prior

    kinds = {
        "simulated": partial(simulated, exposure=options.exposure),
        "rendered": partial(rendered, exposure=options.exposure, held=options.held),
        "hst": partial(space, folder=Path(options.data) / "astro"),
    }
    make: Callable[..., Seen] = kinds[options.what]
    prior = load_prior(options.prior, "cpu")
    rows: list[dict[str, float]] = []
    for seed in range(options.first, options.first + options.scenes):
        row, panels = judge(make(seed, options.side, options.scale), options, prior)
        rows.append(row)
        print(json.dumps({k: round(v, 4) for k, v in row.items()}), flush=True)
        if options.picture and seed == options.first:
            save(options.picture, panels)
    keys = sorted({key for row in rows for key in row})
    return {"rows": rows, "median": {k: float(np.median([r[k] for r in rows if k in r])) for k in keys}}


def save(path: str, panels: list[Array]) -> None:
    from PIL import Image as Picture

    top = np.percentile(panels[3] if len(panels) > 3 else panels[0], 99.8)
    shown = [np.arcsinh(20 * np.clip(p / top, 0, 1)) / np.arcsinh(20) for p in panels]
    Picture.fromarray((255 * np.kron(np.concatenate(shown, axis=1), np.ones((3, 3)))).astype(np.uint8)).save(path)


def run_known_answer(options: argparse.Namespace) -> dict[str, object]:
    """The table of the tests with many samples: 64 truths."""
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from gencosmo.sampling import linear
    from gencosmo.sampling.lowpass import LowPass
    from tests.sampling.linear_cases import build, evaluate

    class Diagonal(LowPass):
        """The predicted variance alone, as decision 0008 compares it."""

        def __init__(self, var: object, share: object, length: float) -> None:
            super().__init__(var, share * 0 + 1, length)  # type: ignore[arg-type,operator]

    case = build(options.noise)

    class Exact:
        """The field's own covariance at the level of the state, the same everywhere."""

        def __init__(self, var: torch.Tensor, share: torch.Tensor, length: float) -> None:
            level = (var[0] / share[0].clamp(min=1e-30)).sqrt().mean().expand(var.shape[1:])
            self.var, self.cov = var, case.field.posterior_covariance(level)
            self.root = torch.linalg.cholesky(self.cov + 1e-12 * torch.eye(len(self.cov)))

        def __matmul__(self, planes: torch.Tensor) -> torch.Tensor:
            return (planes.flatten(1).double() @ self.cov).float().view(planes.shape)

        def draw(self, noise: Callable[[int], torch.Tensor]) -> torch.Tensor:
            white = noise(0)
            return (white.flatten(1).double() @ self.root.T).float().view(white.shape)

    linear.LowPass = {"low-pass": LowPass, "diagonal": Diagonal, "exact": Exact}[  # type: ignore[misc]
        options.covariance
    ]
    out: dict[str, object] = {}
    for mode, evaluations in (("fast", 16), ("fast", 32), ("quality", 16)):
        if options.only and options.only != f"{mode} {evaluations}":
            continue
        scores = evaluate(case, evaluations=evaluations, samples=options.samples, mode=mode)  # type: ignore[arg-type]
        out[f"{mode} {evaluations}"] = scores.__dict__
        print(mode, evaluations, scores, flush=True)
    return out


def run_speed(options: argparse.Namespace) -> dict[str, object]:
    """Seconds per megapixel of the fine grid: one image, every method once after a small one to warm up."""
    from gencosmo.priors import load_prior

    prior = load_prior(options.prior, "cpu")
    small, seen = simulated(0, 32, options.scale), simulated(1, options.side, options.scale)
    methods: dict[str, Callable[[Seen], object]] = {
        "richardson_lucy 30": lambda s: richardson_lucy(s, 30),
        "gencosmo mean": lambda s: ours(s, 0, options.steps, "fast", prior),
        "gencosmo 8 samples": lambda s: ours(s, 8, options.steps, "fast", prior),
        "gencosmo 1 walk": lambda s: ours(s, 1, options.steps, "walk", prior),
    }
    if options.diffpir:
        methods["diffpir 30"] = lambda s: diffpir(s, prior)
    if options.dps:
        methods["dps 100"] = lambda s: dps(s, prior)
    found = {}
    for name, method in methods.items():
        if not name.startswith("dps"):  # hundreds of evaluations warm themselves up
            method(small)
        start = time.process_time()
        method(seen)
        found[name] = (time.process_time() - start) / ((options.side * options.scale) ** 2 / 1e6)
        print(f"{name}: {found[name]:.1f} s of processor time per megapixel", flush=True)
    return {"median": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["simulated", "rendered", "hst", "pairs", "known-answer", "speed", "spread"])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="seed of the first scene; 0 to 5 are the published ones")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--mode", default="fast")
    parser.add_argument("--prior", default="sky-scenes")
    parser.add_argument("--diffpir", action="store_true", help="DiffPIR with the same prior too; needs deepinv")
    parser.add_argument("--dps", action="store_true", help="DPS with the same prior too; needs deepinv, and minutes")
    parser.add_argument("--exposure", type=float, default=1.0, help="times longer: what is left when noise is not")
    parser.add_argument("--held", action="store_true", help="rendered: a PSF that ends with the array of all methods")
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--only", help='known answer: one line of the table, such as "fast 16"')
    parser.add_argument("--covariance", choices=["low-pass", "diagonal", "exact"], default="low-pass")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--picture")
    parser.add_argument("--json")
    options = parser.parse_args()
    runs = {"pairs": run_pairs, "known-answer": run_known_answer, "speed": run_speed, "spread": run_spread}
    result = runs.get(options.what, run_scenes)(options)
    print(json.dumps(result.get("median", {}), indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
