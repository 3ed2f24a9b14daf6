"""How far does a block of a large plane have to see? ``python -m benchmarks.block_margin [--side 1536]``.

Fills a plane in one piece, and its middle again from sections with growing margins. Prints for each the root mean
square and the largest difference of filled pixels in units of their predicted std, and how many differ after rounding
to uint16. Margins that are no power of two lay the quadtree of the base fill across the section in another way.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from scipy.ndimage import gaussian_filter

SCENES = ("stars", "tissue")


def plane(scene: str, side: int) -> np.ndarray:
    """Point sources on blank sky, or smooth structure everywhere; uint16."""
    rng = np.random.default_rng(0)
    if scene == "tissue":
        wide, fine = (gaussian_filter(rng.standard_normal((side, side)), s) for s in (12, 3))
        image = 3000 + 8000 * wide + 3000 * fine + 30 * rng.standard_normal((side, side))
    else:
        image = 500 + 7 * rng.standard_normal((side, side))
        rows, cols = np.mgrid[-9:10, -9:10]
        for _ in range(side * side // 4000):
            r, c = rng.integers(10, side - 10, 2)
            image[r - 9 : r + 10, c - 9 : c + 10] += rng.pareto(1.2) * 60 * np.exp(-(rows**2 + cols**2) / 5)
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)


def holes(side: int) -> np.ndarray:
    """A dead column, dust, single pixels and one hole of 100 x 100."""
    rng = np.random.default_rng(1)
    mask = np.zeros((side, side), bool)
    mask[:, side // 3 + 30] = True
    for _ in range(side // 10):
        (r, c), (h, w) = rng.integers(0, side - 40, 2), rng.integers(1, 30, 2)
        mask[r : r + h, c : c + w] = True
    mask[tuple(rng.integers(0, side, (2, 2 * side)))] = True
    mask[side // 2 - 50 : side // 2 + 50, side // 2 - 20 : side // 2 + 80] = True
    return mask


def main() -> None:
    """Print a row per scene and margin."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--side", type=int, default=1536)
    parser.add_argument("--core", type=int, default=512)
    parser.add_argument("--prior", default="sky")
    parser.add_argument("--margins", type=int, nargs="+", default=[64, 128, 192, 256, 384])
    given = parser.parse_args()
    import gencosmo
    from gencosmo.image import as_image
    from gencosmo.scaling import measure_scaling

    warnings.simplefilter("ignore")
    prior = gencosmo.load_prior(given.prior, "cpu")
    mask, at = holes(given.side), (given.side - given.core) // 2
    core = (slice(at, at + given.core),) * 2
    print("| scene | margin | rms difference / std | largest | uint16 that differ |\n|---|---|---|---|---|")
    for scene in SCENES:
        image = as_image(plane(scene, given.side), mask)
        scaling = measure_scaling(image.data[0], ~mask)
        meta = {"scaling": ((scaling.background, scaling.noise),)}
        whole = gencosmo.inpaint(image.replace(meta=meta | {"core": (slice(None), *core)}), prior=prior)
        for margin in given.margins:
            low, high = max(0, at - margin), min(given.side, at + given.core + margin)
            part = as_image(image.data[0, low:high, low:high], mask[low:high, low:high])
            inner = (slice(at - low, at - low + given.core),) * 2
            part = part.replace(origin=(low, low), meta=meta | {"core": (slice(None), *inner)})
            result = gencosmo.inpaint(part, prior=prior)
            hit = mask[core]
            mean, std, own = whole.mean[core][hit], whole.std[core][hit], result.mean[inner][hit]
            away = np.abs(own - mean) / std
            rounded = int((np.rint(own) != np.rint(mean)).sum())
            rms = np.sqrt(np.mean(away**2))
            print(f"| {scene} | {margin} | {rms:.1e} | {away.max():.1e} | {rounded} of {hit.sum()} |", flush=True)


if __name__ == "__main__":
    main()
