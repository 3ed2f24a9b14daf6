"""What the sampler costs beside the network: ``python -m benchmarks.overhead [--side 512] [--samples 2] [--out FILE]``.

Repairs a frame with holes with a shipped prior on one thread and says which share of the time is not spent in the
network, and where. Time inside the network is what its forward pass takes; everything else is overhead, with the ops,
the search for holes, the planning and all of Python.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import time
from pathlib import Path

import numpy as np
import torch

import gencosmo
from benchmarks.large_frame import frame
from gencosmo.commands.memory import keep_memory
from gencosmo.ops._tuning import cpu_name
from gencosmo.priors import load_prior


def timed(network: torch.nn.Module) -> list[float]:
    """Seconds of every forward pass, collected as they come."""
    seconds: list[float] = []
    forward = network.forward

    def clocked(*inputs: torch.Tensor) -> torch.Tensor:
        start = time.thread_time()
        result = forward(*inputs)
        seconds.append(time.thread_time() - start)
        return result

    network.forward = clocked
    return seconds


def measure(side: int, samples: int, steps: int | None, profile: bool) -> dict[str, float | int | str]:
    """One run."""
    image, mask = frame(side, 0.005)
    prior = load_prior("sky", device="cpu")
    torch.set_num_threads(1)
    keep_memory()  # as the command line does
    wanted = {"samples": samples, "prior": prior, **({"steps": steps} if steps else {})}
    gencosmo.inpaint(image[:128, :128], mask[:128, :128], **wanted)  # first calls load and choose
    seconds = timed(prior.network)
    watcher = cProfile.Profile(time.thread_time)
    start = time.thread_time()
    if profile:
        watcher.enable()
    gencosmo.inpaint(image, mask, **wanted)
    watcher.disable()
    total = time.thread_time() - start
    if profile:
        pstats.Stats(watcher).sort_stats("tottime").print_stats(18)
    return {
        "cpu": cpu_name(), "side": side, "bad_share": round(float(np.mean(mask)), 4), "samples": samples,
        "windows": len(seconds), "seconds": round(total, 3), "network_seconds": round(sum(seconds), 3),
        "overhead_share": round(1 - sum(seconds) / total, 4),
        "overhead_over_network": round(total / sum(seconds) - 1, 4),
    }  # fmt: skip


def main() -> None:
    """Measure and print; `--profile` also says where the rest goes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    row = measure(given.side, given.samples, given.steps, given.profile)
    print(json.dumps(row, indent=1))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
