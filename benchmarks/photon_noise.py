"""The law of the noise from one image, and fills with and without the Anscombe transform.

``python -m benchmarks.photon_noise estimate`` simulates six fields of soft cells for each camera and compares the law
found with the true one. ``GENCOSMO_TEST_DATA=... python -m benchmarks.photon_noise anscombe`` hides one pixel in ten of
frames of the lights of `benchmarks.micro_denoise` and fills them on three scales; figures are error of the light over
the noise of the pixel.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from gencosmo.photon import PhotonNoise, estimate_noise
from gencosmo.photon.anscombe import stabilise, unstabilise
from tests.photon.scenes import cells, counted

CAMERAS = ((0.5, 2.0, 100.0, 400.0), (2.0, 1.5, 0.0, 150.0), (0.1, 6.0, 500.0, 2000.0), (1.0, 3.0, 0.0, 60.0))
"""Gain, read noise, offset, and electrons of the brightest cell."""


def estimate(fields: int) -> None:
    """Print gain found over gain, and the largest error of the variance at four levels, by camera and size."""
    for side in (200, 320, 640):
        for gain, read_noise, offset, peak in CAMERAS:
            real, gains, worst = PhotonNoise.of_camera(gain, read_noise, offset), [], 0.0
            for seed in range(fields):
                truth = cells(side, peak=peak, seed=seed)
                (law,) = estimate_noise(counted(truth, gain, read_noise, offset, seed + 10), offset=offset)
                levels = np.quantile(truth, (0.02, 0.5, 0.9, 0.99)) / gain + offset
                worst = max(worst, float(np.abs(law.variance(levels) / real.variance(levels) - 1).max()))
                gains.append(law.gain / gain)
            print(f"{side} {real}: gain {np.mean(gains):.2f} +- {np.std(gains):.2f}, variance {100 * worst:.0f} %")


def anscombe(name: str) -> None:
    """Print the rms error and the bias of three fills, medians over the lights."""
    import gencosmo
    from benchmarks.micro_denoise import lights

    prior, law = gencosmo.load_prior(name, "cpu"), PhotonNoise.of_camera(0.5, 2.0, 100.0)
    for peak in (10.0, 100.0):
        rows = []
        for number, (_, _, light) in enumerate(lights(None)):
            rng = np.random.default_rng(number)
            truth = (1 + peak * light) / 0.5 + 100
            counts = rng.poisson((truth - 100) * 0.5) + 2 * rng.normal(size=truth.shape)
            frame = (counts / 0.5 + 100).astype(np.float32)
            mask = rng.random(frame.shape) < 0.1
            even = gencosmo.inpaint(stabilise(frame, law).astype(np.float32), mask, prior=prior)
            fills = (
                gencosmo.inpaint(frame, mask, prior=prior).mean,
                unstabilise(even.mean, law, even.std),
                unstabilise(even.mean, law),
                ((even.mean / 2) ** 2 - 0.375 - law.read_noise**2) / law.gain + law.offset,
            )
            errors = [((fill - truth) / np.sqrt(law.variance(truth)))[mask] for fill in fills]
            rows.append([figure for error in errors for figure in (np.sqrt(np.mean(error**2)), error.mean())])
        names = ("linear", "exact with spread", "exact", "algebraic")
        figures = np.median(rows, axis=0).reshape(-1, 2)
        told = "; ".join(f"{what} {r:.2f}, bias {b:.2f}" for what, (r, b) in zip(names, figures, strict=True))
        print(f"{peak:g} photons, {len(rows)} lights: {told}")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("part", choices=["estimate", "anscombe"])
    parser.add_argument("--fields", type=int, default=6)
    parser.add_argument("--prior", default="sky")
    given = parser.parse_args()
    if given.part == "estimate":
        estimate(given.fields)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anscombe(given.prior)


if __name__ == "__main__":
    main()
