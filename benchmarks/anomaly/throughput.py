"""Seconds of processor time for maps and scores: one frame, and cutouts of 64 pixels; on one thread, then on all.

``python -m benchmarks.anomaly.throughput --side 2048 --threads 2``: processor seconds count what this process computed,
wall seconds what a user waits on this machine.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import gencosmo
from gencosmo.priors import load_prior


def frame(side: int, seed: int = 0) -> np.ndarray:
    """Sky of 500 counts with noise 7 and a star for every 800 pixels."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side), 500.0)
    for _ in range(side * side // 800):
        row, col = rng.integers(6, side - 6, 2)
        r, c = np.mgrid[-6:7, -6:7]
        image[row - 6 : row + 7, col - 6 : col + 7] += rng.pareto(1.2) * 60 * np.exp(-(r**2 + c**2) / 4.5)
    return (image + 7 * rng.standard_normal(image.shape)).astype(np.float32)


class Clock:
    """Processor seconds that a network takes, and windows that it sees."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.seconds, self.windows, self.start = 0.0, 0, 0.0
        network.register_forward_pre_hook(self._before)
        network.register_forward_hook(self._after)

    def _before(self, *_: object) -> None:
        self.start = time.process_time()

    def _after(self, _network: object, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
        self.seconds += time.process_time() - self.start
        self.windows += inputs[0].shape[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--cutouts", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--prior", default="sky-small")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    prior = load_prior(given.prior, "cpu")
    gencosmo.score(frame(64), prior=prior)  # first calls are slower
    network = Clock(prior.network)
    wall, processor = time.perf_counter(), time.process_time()
    result = gencosmo.score(frame(given.side), prior=prior)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(
        f"frame {given.side}^2, {result.meta['passes']} passes: {wall:.1f} s wall, {processor:.1f} s of processors, "
        f"{network.seconds:.1f} s of them in the network ({network.windows} windows)",
        flush=True,
    )
    detector = gencosmo.AnomalyDetector(given.prior, device="cpu").fit([frame(64, k) for k in range(12)])
    cutouts = [frame(64, 100 + k) for k in range(given.cutouts)]
    wall, processor = time.perf_counter(), time.process_time()
    detector.evaluate(cutouts)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    rates = f"{given.cutouts / wall:.1f} per second of wall, {given.cutouts / processor:.1f} of one processor"
    print(f"cutouts of 64^2 with all views: {rates}")


if __name__ == "__main__":
    main()
