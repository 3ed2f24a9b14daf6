"""Settings with which each rival does best on the training groups, kind by kind of hole: writes `tuned.toml`.

``GENCOSMO_TEST_DATA=... python -m benchmarks.quality.tune_rivals``. The figure is the median excess error over that of
the defaults, crop by crop; nothing of the test groups is looked at.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from benchmarks.quality.compare import MIN_HIDDEN, Crop, crops, excess, noise_of
from benchmarks.quality.holes import PATTERNS
from benchmarks.quality.rivals import RIVALS, SETTINGS, TUNED


def best_settings(chosen: list[Crop], kind: str) -> dict[str, tuple[dict[str, object], float]]:
    """Best setting of each rival and its median ratio to the defaults."""
    ratios: dict[str, list[list[float]]] = {name: [[] for _ in tried] for name, tried in SETTINGS.items()}
    for number, crop in enumerate(chosen):
        mask = PATTERNS[kind](np.random.default_rng(number), crop.flux.shape)
        if mask.sum() < MIN_HIDDEN or mask.mean() > 0.5:
            continue
        holed = np.where(mask, np.float32(np.median(crop.flux[~mask])), crop.flux)
        truth, noise = crop.flux[mask], noise_of(crop, mask)
        for name, fill in RIVALS.items():
            default = excess(fill(holed, mask)[mask] - truth, noise)
            for place, setting in enumerate(SETTINGS[name]):
                ratios[name][place].append(excess(fill(holed, mask, **setting)[mask] - truth, noise) / default)
    found = {}
    for name, tried in SETTINGS.items():
        medians = [float(np.median(each)) for each in ratios[name]]
        # a tie goes to the mean of the logarithms, so that nothing is left to the order of the list
        means = [float(np.mean(np.log(each))) for each in ratios[name]]
        best = min(range(len(tried)), key=lambda place: (round(medians[place], 3), means[place]))
        found[name] = (tried[best], medians[best])
    return found


def main() -> None:
    """Tune."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--crops", type=int, default=24, help="so many, evenly over the training frames")
    given = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = crops("sky", None, "train")
        chosen = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, given.crops).astype(int))]
        lines = [f"# Made by `python -m benchmarks.quality.tune_rivals --crops {given.crops}`, training groups.\n"]
        for kind in PATTERNS:
            lines.append(f"\n[{kind}]\n")
            for name, (setting, ratio) in best_settings(chosen, kind).items():
                words = ", ".join(f"{key} = {str(value).lower()}" for key, value in setting.items())
                if words:
                    lines.append(f'"{name}" = {{ {words} }}  # {ratio:.3f} of the defaults\n')
            print("".join(lines[-4:]), flush=True)
    TUNED.write_text("".join(lines))


if __name__ == "__main__":
    main()
