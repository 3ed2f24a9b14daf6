"""Known-answer table of the sampler: ``python benchmarks/known_answer.py [--evaluations 9 17 32] [--cases
...]``.

Prints markdown: how far samples are from posteriors that are known exactly (tests/sampling/cases.py). Ideal:
ratios 1, coverage 68/95, mean error ``1/sqrt(samples)``, probability error 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script: the repository root, for tests

from gencosmo.sampling.steps import METHODS
from tests.sampling.cases import NAMES, build, evaluate

COLUMNS = (
    "case",
    "method",
    "evaluations",
    "mean error",
    "sd ratio",
    "coverage",
    "six widest modes",
    "dP",
    "seconds",
)


def main() -> None:
    """Read the options, print one row per case, method and number of evaluations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[9, 17, 32])
    parser.add_argument("--cases", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["flow"])
    parser.add_argument("--truths", type=int, default=64)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for name in options.cases:
        case = build(name, truths=options.truths, seed=options.seed)
        for method in options.methods:
            for evaluations in options.evaluations:
                start = time.perf_counter()
                s = evaluate(case, evaluations=evaluations, samples=options.samples, method=method)
                modes = " ".join(f"{ratio:.2f}" for ratio in s.modes)
                chance = "" if s.probability_error is None else f"{s.probability_error:+.3f}"
                print(
                    f"| {name} | {method} | {s.evaluations} | {s.mean_error:.3f} | {s.std_ratio:.3f} "
                    f"| {s.coverage68:.1f} / {s.coverage95:.1f} | {modes} | {chance} "
                    f"| {time.perf_counter() - start:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
