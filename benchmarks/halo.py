"""How much of its surroundings does a window need? Difference to a halo of the whole receptive field, and the cost.

``GENCOSMO_TEST_DATA=... python -m benchmarks.halo`` fills the same holes of test frames with growing halos and prints,
for each, the largest and the root mean square difference of hidden pixels to the widest halo, in units of their
predicted std.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from benchmarks.quality.compare import crops
from benchmarks.quality.holes import PATTERNS


def main() -> None:
    """Print one row per halo."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--prior", default="sky")
    parser.add_argument("--crops", type=int, default=12)
    parser.add_argument("--halos", type=int, nargs="+", default=[16, 32, 48, 64, 80])
    given = parser.parse_args()
    import gencosmo
    from gencosmo.priors.diffusion import DiffusionPrior

    shipped = gencosmo.load_prior(given.prior, "cpu")
    frames = crops(None)[:: max(1, len(crops(None)) // given.crops)]
    fills: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    seconds: dict[int, float] = {}
    for halo in sorted(given.halos, reverse=True):
        prior = DiffusionPrior(shipped.network, replace(shipped.card, halo=halo), shipped.calibration)
        start = time.perf_counter()
        fills[halo] = []
        for index, (_group, _name, flux) in enumerate(frames):
            mask = PATTERNS["discs" if index % 2 else "cosmic"](np.random.default_rng(index), flux.shape)
            result = gencosmo.inpaint(flux, mask, prior=prior)
            fills[halo].append((result.mean[mask], result.std[mask]))
        seconds[halo] = time.perf_counter() - start
    widest = max(given.halos)
    print(
        f"receptive field {shipped.network.shape.receptive_field} px, core {shipped.card.core} px, {len(frames)} crops"
    )
    print("| halo | rms difference / std | largest | seconds |\n|---|---|---|---|")
    for halo in given.halos:
        away = [np.abs(a[0] - b[0]) / b[1] for a, b in zip(fills[halo], fills[widest], strict=True)]
        joined = np.concatenate(away)
        print(f"| {halo} | {np.sqrt(np.mean(joined**2)):.1e} | {joined.max():.1e} | {seconds[halo]:.1f} |")


if __name__ == "__main__":
    main()
