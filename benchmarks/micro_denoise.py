"""Denoising noisy stacks of cells: gencosmo, seeing a pixel and blind to it, against a median and non-local means.

``GENCOSMO_TEST_DATA=... python -m benchmarks.micro_denoise --prior cells --markdown table.md``

No repeated exposures of one field are among the development images, so a stack is made: real frames of the micro test
groups, binned 3x3 to quiet them, are the light; a camera with known gain and read noise takes `--repeats` frames of it.
Everybody sees one frame at a time and the camera's law. Figures by modality: rms error against the light over the rms
noise (1 = nothing gained), and for gencosmo the share of pixels within the stated 68 and 95 % intervals, each pixel in
every repeat. *Again* takes the variance at the first answer instead of at the smooth first pass of `with_noise`, and
denoises once more (`--passes 2` of the command); *counts* takes it at the noisy frame itself. *Blind* fills each pixel
from the others alone, one pixel in nine hidden at a time, in the frame world: it needs no noise and must do without the
pixel itself; *blind + own* then weighs that with the pixel, by the stated spread and the camera's law (Laine, Karras,
Lehtinen & Aila 2019). Median: 3x3. Non-local means: scikit-image, fast mode, patches of 5 within 6, on the
Anscombe-stabilised frame with sigma 1 and its best ``h`` of three on the light, taken back without bias.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import median_filter
from skimage.restoration import denoise_nl_means

import gencosmo
from benchmarks.quality.frames import micro_frames, modality
from gencosmo.photon import PhotonNoise, estimate_noise, with_noise
from gencosmo.photon.anscombe import stabilise, unstabilise

SIDE, BIN, OFFSET = 96, 3, 100.0
STRENGTHS = (0.5, 0.7, 0.9)


@dataclass
class Row:
    """One light, one number of photons: figures over all repeats."""

    modality: str
    file: str
    peak: float
    noise: float
    rms: dict[str, float]
    inside68: float
    inside95: float
    gain: float
    inside68_again: float
    inside95_again: float


def lights(limit: int | None) -> list[tuple[str, str, np.ndarray]]:
    """(modality, file, light 0 to 1) of the test frames: the brightest or busiest place of each."""
    found = []
    for path, frame in micro_frames("test"):
        side = SIDE * BIN
        if min(frame.flux.shape) < side:
            continue
        height, width = frame.flux.shape
        starts = [(r, c) for r in range(0, height - side + 1, side // 2) for c in range(0, width - side + 1, side // 2)]
        row, col = max(starts, key=lambda at: float(frame.flux[at[0] : at[0] + side, at[1] : at[1] + side].std()))
        light = frame.flux[row : row + side, col : col + side].reshape(SIDE, BIN, SIDE, BIN).mean((1, 3))
        low, high = np.quantile(light, (0.001, 0.999))
        found.append((modality(path), path.name, np.clip((light - low) / (high - low), 0, 1.2)))
    return found[:limit]


def blind(frame: np.ndarray, prior: Any) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel from the others, and its spread: nine fills of a lattice of single holes."""
    mean, std = np.empty_like(frame), np.empty_like(frame)
    for row in range(3):
        for col in range(3):
            mask = np.zeros(frame.shape, bool)
            mask[row::3, col::3] = True
            result = gencosmo.inpaint(frame, mask, prior=prior)
            mean[mask], std[mask] = result.mean[mask], result.std[mask]
    return mean, std


def with_own(frame: np.ndarray, mean: np.ndarray, std: np.ndarray, law: PhotonNoise) -> np.ndarray:
    """The blind prediction and the pixel itself, each by its inverse variance."""
    noise = law.variance(mean)
    unknown = np.maximum(std**2 - noise, 0.01 * noise)
    return np.asarray((mean * noise + frame * unknown) / (noise + unknown))


def non_local_means(frame: np.ndarray, law: PhotonNoise, truth: np.ndarray) -> np.ndarray:
    """The best of three strengths, chosen on the truth: more than a user could do."""
    even = stabilise(frame, law)
    fills = []
    for strength in STRENGTHS:
        smooth = denoise_nl_means(even, patch_size=5, patch_distance=6, h=strength, sigma=1.0, fast_mode=True)
        fills.append(unstabilise(smooth, law))
    return np.asarray(min(fills, key=lambda fill: float(np.mean((fill - truth) ** 2))))


def measure(what: str, name: str, light: np.ndarray, peak: float, repeats: int, prior: Any) -> Row:
    """All repeats of one light."""
    law = PhotonNoise.of_camera(gain=0.5, read_noise=2.0, offset=OFFSET)
    truth = (3 + peak * light) / 0.5 + OFFSET
    rng = np.random.default_rng(11)
    errors: dict[str, list[np.ndarray]] = {}
    inside: dict[tuple[str, float], list[float]] = {
        (way, share): [] for way in ("gencosmo", "again") for share in (0.68, 0.95)
    }
    gains = []
    for _ in range(repeats):
        counts = rng.poisson((truth - OFFSET) * 0.5) + 2.0 * rng.normal(size=truth.shape)
        frame = (counts / 0.5 + OFFSET).astype(np.float32)
        gains.append(estimate_noise(frame, offset=OFFSET)[0].gain / 0.5)
        first = gencosmo.denoise(with_noise(frame, law), prior=prior)
        results = {
            "gencosmo": first,
            "again": gencosmo.denoise(with_noise(frame, law, level=first.mean), prior=prior),
            "counts": gencosmo.denoise(with_noise(frame, law, level=frame), prior=prior),
        }
        for (way, share), kept in inside.items():
            told = results[way]
            kept.append(float(np.mean(np.abs(told.mean - truth) < told.quantiles[share] * told.std)))
        mean, std = blind(frame, prior)
        found = {
            **{way: told.mean for way, told in results.items()},
            "blind": mean, "blind + own": with_own(frame, mean, std, law),
            "median": median_filter(frame, 3), "nl-means": non_local_means(frame, law, truth), "frame": frame,
        }  # fmt: skip
        for way, fill in found.items():
            errors.setdefault(way, []).append(fill - truth)
    rms = {way: math.sqrt(float(np.mean(np.square(kept)))) for way, kept in errors.items()}
    noise = rms.pop("frame")
    ratios = {way: value / noise for way, value in rms.items()}
    covered = {key: float(np.mean(kept)) for key, kept in inside.items()}
    shares = [covered[way, share] for way in ("gencosmo", "again") for share in (0.68, 0.95)]
    return Row(what, name, peak, noise, ratios, *shares[:2], float(np.median(gains)), *shares[2:])


def markdown(rows: list[Row], prior: str, repeats: int) -> str:
    """The table for the docs: medians over the lights of a modality."""
    lines = [
        f"Prior `{prior}`, {repeats} repeats of each light; rms error over rms noise, medians over lights.",
        "",
        "| modality, photons | lights | gencosmo | again | counts | blind | blind + own | median | nl-means "
        "| inside 68/95 % | again | gain |",
        "|---" * 12 + "|",
    ]
    for what, peak in sorted({(row.modality, row.peak) for row in rows}):
        mine = [row for row in rows if (row.modality, row.peak) == (what, peak)]
        figures = " | ".join(f"{np.median([row.rms[way] for row in mine]):.2f}" for way in mine[0].rms)
        names = ("inside68", "inside95", "inside68_again", "inside95_again")
        inside = [f"{100 * np.median([getattr(row, name) for row in mine]):.0f}" for name in names]
        gain = np.median([row.gain for row in mine])
        shares = f"{' / '.join(inside[:2])} | {' / '.join(inside[2:])}"
        lines.append(f"| {what}, {peak:g} | {len(mine)} | {figures} | {shares} | {gain:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--prior", default="cells")
    parser.add_argument("--lights", type=int, help="only the first so many")
    parser.add_argument("--peaks", type=float, nargs="+", default=[30.0, 300.0], help="photons at the brightest")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    prior = gencosmo.load_prior(given.prior, "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [
            measure(what, name, light, peak, given.repeats, prior)
            for what, name, light in lights(given.lights)
            for peak in given.peaks
        ]
    text = markdown(rows, prior.card.name, given.repeats)
    print(text)
    if given.markdown:
        given.markdown.write_text(text)
    if given.json:
        facts = {"prior": prior.card.weights_sha256, "repeats": given.repeats}
        given.json.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
