"""How much of its surroundings does a window need, and how large should it be?

``GENCOSMO_TEST_DATA=... python -m benchmarks.halo`` fills the same holes of test frames with growing halos and prints,
for each, the largest and the root mean square difference of hidden pixels to the widest halo, in units of their
predicted std. ``python -m benchmarks.halo --cores 128 256 384`` fills the frame of `benchmarks.large_frame` with few
and with many bad pixels in windows of growing cores: processor time on one thread, and differences to the first.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from benchmarks.large_frame import frame
from benchmarks.quality.compare import crops
from benchmarks.quality.holes import PATTERNS

CORE = 64
"""Pixels; small, so that the crops hold many borders between windows."""


def fill_frames(given: argparse.Namespace) -> None:
    """Print one row per halo."""
    import gencosmo
    from gencosmo.priors.diffusion import DiffusionPrior

    shipped = gencosmo.load_prior(given.prior, "cpu")
    found = crops("sky", None)
    frames = found[:: max(1, len(found) // given.crops)]
    fills: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    seconds: dict[int, float] = {}
    for halo in sorted(given.halos, reverse=True):
        card = replace(shipped.card, core=CORE, halo=halo)
        prior = DiffusionPrior(shipped.network, card, shipped.calibration)
        start = time.perf_counter()
        fills[halo] = []
        for index, crop in enumerate(frames):
            flux = crop.flux
            mask = PATTERNS["discs" if index % 2 else "cosmic"](np.random.default_rng(index), flux.shape)
            result = gencosmo.inpaint(flux, mask, prior=prior, recalibrate=False)
            fills[halo].append((result.mean[mask], result.std[mask]))
        seconds[halo] = time.perf_counter() - start
    widest = max(given.halos)
    print(f"receptive field {shipped.network.shape.receptive_field} px, core {CORE} px, {len(frames)} crops")
    print("| halo | rms difference / std | largest | seconds |\n|---|---|---|---|")
    for halo in given.halos:
        away = [np.abs(a[0] - b[0]) / b[1] for a, b in zip(fills[halo], fills[widest], strict=True)]
        joined = np.concatenate(away)
        print(f"| {halo} | {np.sqrt(np.mean(joined**2)):.1e} | {joined.max():.1e} | {seconds[halo]:.1f} |")


def fill_large(given: argparse.Namespace) -> None:
    """Print one row per core."""
    import gencosmo
    from gencosmo.priors.diffusion import DiffusionPrior

    torch.set_num_threads(1)
    shipped = gencosmo.load_prior(given.prior, "cpu")
    print("| bad pixels | core | cpu s | rms difference / std | largest |\n|---|---|---|---|---|")
    for share in (0.0003, 0.005):
        image, mask = frame(given.side, share)
        first = None
        for core in given.cores:
            prior = DiffusionPrior(shipped.network, replace(shipped.card, core=core), shipped.calibration)
            gencosmo.inpaint(image[:300, :300], mask[:300, :300], prior=prior, recalibrate=False)
            start = time.process_time()
            result = gencosmo.inpaint(image, mask, prior=prior, recalibrate=False)
            seconds = time.process_time() - start
            first = first or result
            away = np.abs(result.mean - first.mean)[mask] / first.std[mask]
            rms = np.sqrt(np.mean(away**2))
            print(f"| {100 * share:.2f} % | {core} | {seconds:.1f} | {rms:.1e} | {away.max():.1e} |")


def main() -> None:
    """Fill with growing halos, or with growing cores."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--prior", default="sky")
    parser.add_argument("--crops", type=int, default=12)
    parser.add_argument("--halos", type=int, nargs="+", default=[16, 32, 48, 64, 80])
    parser.add_argument("--cores", type=int, nargs="+")
    parser.add_argument("--side", type=int, default=2048, help="of the large frame")
    given = parser.parse_args()
    (fill_large if given.cores else fill_frames)(given)


if __name__ == "__main__":
    main()
