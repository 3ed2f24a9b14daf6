"""gencosmo against classical fillers on the same hidden pixels of real frames that no training has seen.

``GENCOSMO_TEST_DATA=... python -m benchmarks.quality.compare --json out.json --markdown table.md``

For every test frame (groups of split.toml [test]) up to three crops; for every kind of hole: hide pixels, fill,
compare. Figures per crop and kind: rms; *excess error* ``sqrt(max(rms^2 - noise^2, (0.1 noise)^2))``; both as ratios
to the best of the four rivals on that crop; coverage of the stated std. The table gives medians over crops with at
least 200 hidden pixels. The noise is that of neighbouring pixels' differences in the crop (MAD-scaled, over sqrt 2):
where resampling has correlated the noise it is the part that neighbours do not tell, and a filler is judged on the
rest. ``--simulated N`` takes frames of the training's simulator, whose law the prior could know.
``--kind micro`` takes the microscopy groups instead, a row for each modality and kind of hole; there the noise
grows with the light, and is the mean over the hidden pixels of what `gencosmo.estimate_noise` reads off the crop.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.quality.frames import KINDS, modality
from benchmarks.quality.holes import PATTERNS
from benchmarks.quality.more import TABLES, more_frames
from benchmarks.quality.rivals import RIVALS, Fill, rivals
from gencosmo.errors import InputError
from gencosmo.photon import estimate_noise, smooth_level
from gencosmo.priors.cards import Card
from gencosmo.scaling import difference_noise, digitiser_step

CROP = 160
MIN_HIDDEN, MIN_SOURCE = 200, 60
SMOOTHING = 1.5
SOURCE_SN = 3.0
MIN_VALUES = 12
"""Crops with fewer grey levels are blank."""


@dataclass
class Row:
    """One crop and one kind of hole."""

    group: str
    modality: str
    file: str
    crop: int
    kind: str
    hidden: int
    noise: float
    rms: float
    excess: float
    raw: float
    sources: float | None
    coverage68: float
    coverage95: float
    interval68: float
    interval95: float
    bias: float
    rivals: dict[str, float]
    seconds: float
    between: float | None = None


@dataclass(frozen=True)
class Crop:
    """A piece of a test frame, (H, W) of network flux."""

    group: str
    modality: str
    file: str
    flux: np.ndarray


def crops(kind: str, limit: int | None, side: str = "test") -> list[Crop]:
    """Pieces of the frames of one kind of image, in a fixed order."""
    rng = np.random.default_rng(7)
    found = []
    for path, frame in KINDS[kind][1](side):
        shows = "sky" if kind == "sky" else modality(path)
        found += [Crop(frame.group, shows, path.name, cut) for cut in _cuts(frame.flux, rng)]
    return found[:limit]


def listed_crops(folder: Path, limit: int | None) -> list[Crop]:
    """Pieces of the frames of more_sky.toml, which `sky` has not seen; `folder` as in `benchmarks.quality.more`."""
    rng = np.random.default_rng(7)
    frames, faults = more_frames(folder, TABLES["sky"])
    for fault in faults:
        print(f"left out: {fault}")
    found = []
    for number, frame in enumerate(frames):
        found += [Crop(frame.group, "sky", f"{frame.group} {number}", cut) for cut in _cuts(frame.flux, rng)]
    return found[:limit]


def simulated_crops(kind: str, count: int) -> list[Crop]:
    """Frames of the simulator that a prior was taught by, whose law it could know; not those of the training."""
    import torch

    from gencosmo.training.draws import SIMULATORS

    name = "sky" if kind == "sky" else "cells"
    generator = torch.Generator().manual_seed(20_261_123)
    found = []
    for number in range(count):
        drawn = SIMULATORS[name](1, CROP, generator, "cpu")
        noise = drawn.variance[0].sqrt() * torch.randn(CROP, CROP, generator=generator)
        flux = np.clip((drawn.truth[0] + noise).numpy(), -1e3, 3e5)
        found.append(Crop("simulated", "sky" if kind == "sky" else "simulated", f"{name} {number}", flux))
    return found


def _cuts(flux: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Up to three pieces of a frame at random places, without bad pixels."""
    height, width = (min(CROP, side) for side in flux.shape)
    for _ in range(1 if flux.size < 4e5 else 2 if flux.size < 3e6 else 3):
        row, col = rng.integers(0, flux.shape[0] - height + 1), rng.integers(0, flux.shape[1] - width + 1)
        cut = flux[row : row + height, col : col + width]
        if min(height, width) >= 32 and np.isfinite(cut).all() and np.unique(cut).size >= MIN_VALUES:
            yield np.ascontiguousarray(np.clip(cut, -1e3, 3e5))


def excess(error: np.ndarray, noise: float) -> float:
    """Excess error over `noise`, in network flux."""
    return math.sqrt(max(float(np.mean(error**2)) - noise**2, 0.01 * noise**2))


def rms(error: np.ndarray) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(error**2)))


def noise_of(crop: Crop, mask: np.ndarray) -> float:
    """Noise of the hidden pixels, in network flux."""
    flux, good = crop.flux, np.ones(crop.flux.shape, bool)
    even = difference_noise(flux, good, lag=1) or digitiser_step(flux, good)
    if crop.modality == "sky":
        return even
    try:
        (law,) = estimate_noise(flux)
    except InputError:
        return even
    return math.sqrt(float(law.variance(smooth_level(flux, good, law))[mask].mean()))


def compare(
    crop: Crop, number: int, kind: str, prior: object, fillers: Mapping[str, Fill] = RIVALS, **how: Any
) -> Row | None:
    """Fill one crop with one kind of hole by everybody; `how` goes to `gencosmo.inpaint`."""
    import gencosmo

    flux = crop.flux
    mask = PATTERNS[kind](np.random.default_rng(number), flux.shape)
    if mask.sum() < MIN_HIDDEN or mask.mean() > 0.5:
        return None
    truth = flux[mask]
    holed = np.where(mask, np.float32(np.median(flux[~mask])), flux)
    start = time.perf_counter()
    result = gencosmo.inpaint(holed, mask, prior=prior, **how)
    seconds = time.perf_counter() - start
    noise = noise_of(crop, mask)
    error, std = result.mean[mask] - truth, result.std[mask]
    others = {rival: fill(holed, mask)[mask] - truth for rival, fill in fillers.items()}
    # a point source of one pixel's flux has, smoothed, this much less noise
    bright = (gaussian_filter(flux, SMOOTHING) * 2 * SMOOTHING * math.sqrt(math.pi) > SOURCE_SN)[mask]
    on_sources = None
    if bright.sum() >= MIN_SOURCE:
        on_sources = excess(error[bright], noise) / min(excess(e[bright], noise) for e in others.values())
    half68, half95 = (result.quantiles[q] * std for q in (0.68, 0.95))
    best = min(excess(e, noise) for e in others.values())
    return Row(
        group=crop.group, modality=crop.modality, file=crop.file, crop=number, kind=kind,
        hidden=int(mask.sum()), noise=noise, rms=rms(error),
        excess=excess(error, noise) / best,
        raw=rms(error) / min(rms(e) for e in others.values()), sources=on_sources,
        coverage68=float(np.mean(np.abs(error) < std)), coverage95=float(np.mean(np.abs(error) < 1.96 * std)),
        interval68=float(np.mean(np.abs(error) < half68)), interval95=float(np.mean(np.abs(error) < half95)),
        bias=float(np.mean(error)), rivals={rival: excess(e, noise) / best for rival, e in others.items()},
        seconds=seconds, between=_between(result.samples, mask, truth),
    )  # fmt: skip


def _between(samples: np.ndarray | None, mask: np.ndarray, truth: np.ndarray) -> float | None:
    """Share of the truth that lies between the lowest and the highest sample, over what is due: (n - 1) / (n + 1)."""
    if samples is None or len(samples) < 2:
        return None
    drawn, count = samples[:, mask], len(samples)
    inside = np.mean((drawn.min(0) <= truth) & (truth <= drawn.max(0)))
    return float(inside) * (count + 1) / (count - 1)


def markdown(rows: list[Row], prior: str, crop_count: int, tuned: bool = False, source: str = "the test groups") -> str:
    """The table for the docs."""
    names = list(RIVALS)
    shown = sorted({row.modality for row in rows})
    single = len(shown) < 2
    lines = [
        f"Prior `{prior}`, {crop_count} crops of {source}; medians over crops with at least {MIN_HIDDEN} hidden "
        "pixels.",
        "Figures are ratios to the best of the four rivals on the same crop, so each rival is above 1 somewhere. "
        f"Rivals {'tuned per kind of hole on the training groups' if tuned else 'with their defaults'}.",
        "",
        f"| {'holes' if single else 'modality, holes'} | crops | gencosmo excess | geometric mean "
        "| raw rms | on sources | worst crop | std 68/95 % | interval 68/95 % | " + " | ".join(names) + " |",
        "|---" * (9 + len(names)) + "|",
    ]
    for what, kind in product(shown, PATTERNS):
        mine = [row for row in rows if row.kind == kind and row.modality == what]
        if not mine:
            continue

        def median(key: str, mine: list[Row] = mine) -> float:
            values = [v for row in mine if (v := getattr(row, key)) is not None]
            return float(np.median(values)) if values else float("nan")

        rivals = " | ".join(f"{np.median([row.rivals[name] for row in mine]):.2f}" for name in names)
        lines.append(
            f"| {kind if single else f'{what}, {kind}'} | {len(mine)} "
            f"| {median('excess'):.2f} | {np.exp(np.mean(np.log([row.excess for row in mine]))):.2f} "
            f"| {median('raw'):.3f} | {median('sources'):.2f} "
            f"| {max(row.excess for row in mine):.2f} "
            f"| {100 * median('coverage68'):.0f} / {100 * median('coverage95'):.0f} "
            f"| {100 * median('interval68'):.0f} / {100 * median('interval95'):.0f} | {rivals} |"
        )
    return "\n".join([*lines, *_by_group(rows), *_by_samples(rows)]) + "\n"


def _by_samples(rows: list[Row]) -> list[str]:
    """How often the truth lies between the samples, by group of images."""
    seen = [row for row in rows if row.between is not None]
    if not seen:
        return []
    lines = ["", "| group | cases | truth between the samples, over what is due |", "|---" * 3 + "|"]
    for group in dict.fromkeys(row.group for row in seen):
        mine = [row.between for row in seen if row.group == group]
        lines.append(f"| {group} | {len(mine)} | {np.median(mine):.3f} |")
    return lines


def _by_group(rows: list[Row]) -> list[str]:
    """Medians of crop and kind of hole, by group of images, and how many are worse than a quarter."""
    lines = ["", "| group | cases | excess | raw rms | std 68/95 % | interval 68/95 % | above 1.25 |", "|---" * 7 + "|"]
    for group in dict.fromkeys(row.group for row in rows):
        mine = [row for row in rows if row.group == group]
        wanted = ("excess", "raw", "coverage68", "coverage95", "interval68", "interval95")
        excess_, raw, std68, std95, in68, in95 = (np.median([getattr(row, name) for row in mine]) for name in wanted)
        lines.append(
            f"| {group} | {len(mine)} | {excess_:.2f} | {raw:.3f} | {100 * std68:.0f} / {100 * std95:.0f} "
            f"| {100 * in68:.0f} / {100 * in95:.0f} | {sum(row.excess > 1.25 for row in mine)} |"
        )
    return lines


def put_into_card(path: Path, rows: list[Row], weights_sha256: str, crop_count: int, tuned: bool) -> None:
    """Write medians by kind of hole (and modality) into the card's `validation`.

    Raises
    ------
    SystemExit
        When the card has other weights than those compared.
    """
    card = Card.read(path)
    if card.weights_sha256 != weights_sha256:
        raise SystemExit(f"{path} has weights {card.weights_sha256[:12]}..., compared were {weights_sha256[:12]}...")
    table = []
    for what, kind in product(sorted({row.modality for row in rows}), PATTERNS):
        mine = [row for row in rows if row.kind == kind and row.modality == what]
        if mine:
            figures = {name: _median(mine, name) for name in CARD_FIGURES}
            table.append({"images": what, "holes": kind, "crops": len(mine), **figures,
                          "worst": round(max(row.excess for row in mine), 3)})  # fmt: skip
    words = {
        "what": "medians over crops of frames that no training has seen; excess error, raw rms and excess on "
        f"sources as ratios to the best of {', '.join(RIVALS)} ({'tuned' if tuned else 'defaults'}) on the same pixels",
        "command": "python -m benchmarks.quality.compare --card",
        "groups": sorted({row.group for row in rows}),
        "crops": crop_count,
        "table": table,
    }
    replace(card, validation=words).write(path)


CARD_FIGURES = ("excess", "raw", "sources", "coverage68", "coverage95", "interval68", "interval95", "bias")


def _median(rows: list[Row], name: str) -> float | None:
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return round(float(np.median(values)), 4) if values else None


def _chosen(given: argparse.Namespace) -> tuple[list[Crop], str]:
    """Crops, and where they come from in words."""
    if given.simulated:
        return simulated_crops(given.kind, given.simulated), "the simulator"
    if given.listed:
        return listed_crops(given.listed, given.crops), "more_sky.toml"
    return crops(given.kind, given.crops), "the test groups"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--prior", default="sky")
    parser.add_argument("--kind", choices=list(KINDS), default="sky", help="of image")
    parser.add_argument(
        "--listed", type=Path, metavar="FOLDER", help="frames of more_sky.toml instead of the test groups"
    )
    parser.add_argument("--simulated", type=int, metavar="N", help="N simulated frames instead of the test groups")
    parser.add_argument("--crops", type=int, help="only the first so many")
    parser.add_argument("--kinds", nargs="+", choices=list(PATTERNS), default=list(PATTERNS), help="of holes")
    parser.add_argument("--turns", type=int, default=1, help="orientations that the prior is asked in")
    parser.add_argument("--samples", type=int, default=0, help="draw so many: is the truth between them?")
    parser.add_argument("--no-recalibrate", action="store_true", help="leave out what each crop says of the prior")
    parser.add_argument("--tuned", action="store_true", help="rivals as `tuned.toml` sets them")
    parser.add_argument("--card", type=Path, help="put the table into this card, for `gencosmo info`")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    import gencosmo

    prior = gencosmo.load_prior(given.prior, "cpu", turns=given.turns)
    if given.listed and (given.kind != "sky" or given.card):
        parser.error("--listed is about the sky, and no card's test: `cells` has learnt from the listed images")
    if given.simulated and (given.listed or given.card):
        parser.error("--simulated is about the simulator, and no card's test")
    chosen, source = _chosen(given)
    how = {"samples": given.samples, "recalibrate": not given.no_recalibrate}
    if given.card and how != {"samples": 0, "recalibrate": True}:
        parser.error("--card is about fills as they are by default")
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, crop in enumerate(chosen):
            for kind in given.kinds:
                row = compare(crop, number, kind, prior, rivals(kind, tuned=given.tuned), **how)
                if row is not None:
                    rows.append(row)
    named = prior.card.name if given.turns == 1 else f"{prior.card.name} in {given.turns} orientations"
    text = markdown(rows, named, len(chosen), given.tuned, source)
    print(text)
    if given.markdown:
        given.markdown.write_text(text)
    if given.card:
        put_into_card(given.card, rows, prior.card.weights_sha256, len(chosen), given.tuned)
    if given.json:
        facts = {"prior": prior.card.weights_sha256, "machine": platform.processor() or platform.machine()}
        given.json.write_text(json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
