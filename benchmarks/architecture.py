"""Which head, which base, which units: small networks trained from nothing on the same tiles, side by side.

``python -m benchmarks.architecture runs/sky.packed.npz --json out.json --markdown out.md`` draws every batch once and
gives it to all arms: the same tiles, loss, curriculum and number of steps. The widths of an arm's network make up for
its head, so that a pixel costs every arm about the same multiply-adds. Then each fills hidden pixels of the frames that
the training held out, beside the classical fillers; the test groups are not touched.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from benchmarks.heads import (
    ARMS,
    SOFTENING,
    Arm,
    View,
    asinh,
    asinh_state,
    both_bases,
    build,
    in_flux,
    multiply_adds,
    predict,
    slope,
)
from benchmarks.heads_table import SAME, Rows, markdown
from benchmarks.quality.compare import SMOOTHING, SOURCE_SN, excess, rms
from benchmarks.quality.holes import PATTERNS
from benchmarks.quality.rivals import RIVALS
from gencosmo.priors.bases import tile_windows
from gencosmo.scaling import difference_noise, digitiser_step
from gencosmo.training.data import hold_out
from gencosmo.training.levels import Task
from gencosmo.training.loss import SURPRISE_LIMIT, denoising_loss, observed_moments
from gencosmo.training.pack import Frame, read_packed
from gencosmo.training.trainer import Settings, sky_draws

CROP, CROPS_PER_GROUP = 96, 5
STRIDE = 8
"""Sides of windows are multiples of it."""
MIN_HIDDEN, MIN_PART = 80, 30
DRAWN_BATCHES = 16
"""Batches of the training's own questions, all levels and both worlds, about held-out frames."""
QUESTION_SEED = 424_242


class Runner:
    """Trains one arm as `gencosmo.training.trainer.Trainer` does."""

    def __init__(self, arm: Arm) -> None:
        self.arm, self.seconds, self.step = arm, 0.0, 0
        self.network, self.average = build(arm), build(arm)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=Settings.rate, weight_decay=Settings.weight_decay
        )

    def update(self, view: View, progress: float) -> float:
        start = time.process_time()
        falling = max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = Settings.rate * min(1, (self.step + 1) / 200) * falling
        task = view.task
        mean, var = predict(self.arm, self.network, view)
        mean, var = observed_moments(mean, var, task.z, task.sigma, task.noise)
        loss = denoising_loss(mean, var, task.target, task.sigma, view.local[:, 3], task.supervised, Settings.reach)
        self.step += 1
        if torch.isfinite(loss.total):
            self.optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            decay = min(Settings.average, (self.step + 1) / (self.step + 10))
            with torch.no_grad():
                for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
                    slow.lerp_(fast, 1 - decay)
        self.seconds += time.process_time() - start
        return float(loss.likelihood)


class Views:
    """Each kind of view of one task, made once."""

    def __init__(self, task: Task) -> None:
        self.task, self.made = task, dict[Callable[[Task, Tensor], View], View]()
        self.win = tile_windows(task.z, task.sigma, Settings.prior_var)

    def of(self, arm: Arm) -> View:
        if arm.view not in self.made:
            self.made[arm.view] = arm.view(self.task, self.win)
        return self.made[arm.view]


@dataclass(frozen=True)
class Budget:
    """What a run may take: tiles for each arm, or minutes of all arms together."""

    tiles: int | None
    minutes: float

    def progress(self, tiles: int, seconds: float) -> float:
        return tiles / self.tiles if self.tiles else seconds / (60 * self.minutes)


def train(frames: Sequence[Frame], arms: dict[str, Arm], settings: Settings, budget: Budget) -> dict[str, Runner]:
    """All arms on the same draws; each has taken every step when the budget is spent."""
    draws, runners = sky_draws(frames, settings, settings.seed), {name: Runner(arm) for name, arm in arms.items()}
    watch, steps, start = dict.fromkeys(arms, math.nan), 0, time.perf_counter()
    while (progress := budget.progress(steps * settings.batch, time.perf_counter() - start)) < 1:
        views = Views(draws.draw())
        for name, runner in runners.items():
            value = runner.update(views.of(runner.arm), progress)
            watch[name] = value if math.isnan(watch[name]) else watch[name] + 0.02 * (value - watch[name])
        steps += 1
        if steps % 20 == 0:
            print(
                f"{progress:.3f} step {steps} " + ", ".join(f"{name} {v:.3f}" for name, v in watch.items()), flush=True
            )
    return runners


@dataclass(frozen=True)
class Question:
    """One crop of a held-out frame with one kind of hole, and what the rivals make of it."""

    group: str
    kind: str
    crop: int
    noise: float
    flux: np.ndarray
    mask: np.ndarray
    bright: np.ndarray
    errors: dict[str, np.ndarray]


def cuts(frames: Sequence[Frame]) -> list[tuple[str, np.ndarray]]:
    """Crops side by side from the held-out frames, a few of each group."""
    found: dict[str, list[np.ndarray]] = {}
    for frame in frames:
        height, width = (min(CROP, side // STRIDE * STRIDE) for side in frame.flux.shape)
        if min(height, width) < 32:
            continue
        for row in range(0, frame.flux.shape[0] - height + 1, height):
            for col in range(0, frame.flux.shape[1] - width + 1, width):
                cut = frame.flux[row : row + height, col : col + width]
                if np.isfinite(cut).all():
                    found.setdefault(frame.group, []).append(np.ascontiguousarray(np.clip(cut, -1e3, 3e5)))
    chosen = {group: mine[:: max(1, len(mine) // CROPS_PER_GROUP)][:CROPS_PER_GROUP] for group, mine in found.items()}
    return [(group, cut) for group, mine in chosen.items() for cut in mine]


def questions(frames: Sequence[Frame], limit: int | None = None) -> list[Question]:
    """Every crop with every kind of hole that hides enough of it."""
    asked = []
    for number, (group, flux) in enumerate(cuts(frames)[:limit]):
        good = np.ones(flux.shape, bool)
        noise = difference_noise(flux, good, lag=1) or digitiser_step(flux, good)
        bright = gaussian_filter(flux, SMOOTHING) * 2 * SMOOTHING * math.sqrt(math.pi) > SOURCE_SN
        for kind, pattern in PATTERNS.items():
            mask = pattern(np.random.default_rng(number), flux.shape)
            if mask.sum() < MIN_HIDDEN or mask.mean() > 0.5:
                continue
            holed = np.where(mask, np.float32(np.median(flux[~mask])), flux)
            errors = {name: fill(holed, mask)[mask] - flux[mask] for name, fill in RIVALS.items()}
            asked.append(Question(group, kind, number, noise, flux, mask, bright[mask], errors))
    return asked


def likelihood(error2: Tensor, var: Tensor) -> Tensor:
    """Negative Gaussian log density, as the training counts it."""
    return 0.5 * ((error2 / var.clamp(min=1e-12)).clamp(max=SURPRISE_LIMIT) + var.clamp(min=1e-12).log())


def native_likelihood(mean: Tensor, var: Tensor, flux: Tensor) -> Tensor:
    """Negative log density in flux of a value whose asinh state is Gaussian."""
    return likelihood((asinh(flux) - mean) ** 2, var) - slope(flux).log()


@torch.no_grad()
def fill(question: Question, runners: dict[str, Runner]) -> dict[str, dict[str, np.ndarray]]:
    """Errors of the mean, over std, and negative log density of the hidden pixels, by arm."""
    hidden, flux = torch.from_numpy(question.mask)[None], torch.from_numpy(question.flux)[None]
    zero = torch.zeros_like(flux)
    sigma = torch.where(hidden, math.inf, 0.0)
    views = Views(Task(torch.where(hidden, zero, flux), sigma, flux, hidden, torch.zeros(1), zero))
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, runner in runners.items():
        mean, var = (x[hidden] for x in predict(runner.arm, runner.average, views.of(runner.arm)))
        truth, (value, spread) = flux[hidden], in_flux(runner.arm, mean, var)
        found[name] = _figures(value - truth, spread)
        if runner.arm.view is asinh_state:
            # what it says in its own units, mapped back point by point: a median instead of a mean
            bent = SOFTENING * torch.sinh(mean / SOFTENING)
            found[f"{name}, sinh of the mean"] = {
                "error": (bent - truth).double().numpy(),
                "pull": ((asinh(truth) - mean) / var.sqrt()).numpy(),
                "nll": native_likelihood(mean, var, truth).numpy(),
            }
    spread = views.win[:, 3][hidden]
    bent = SOFTENING * torch.sinh(views.of(ARMS["asinh state"]).win / SOFTENING)
    for name, row in (("base: pyramid", 2), ("base: biharmonic", 4)):
        for words, win in ((name, views.win), (f"{name}, of asinh", bent)):
            found[words] = _figures((win[:, row] - flux)[hidden], spread)
    return found


def _figures(error: Tensor, var: Tensor) -> dict[str, np.ndarray]:
    kept = {"error": error.double(), "pull": error / var.sqrt(), "nll": likelihood(error**2, var)}
    return {key: value.numpy() for key, value in kept.items()}


def score(question: Question, found: dict[str, dict[str, np.ndarray]]) -> Rows:
    """A row for each arm: excess error and rms of all, bright and blank hidden pixels, against the best rival."""
    rows: Rows = []
    parts = {"all": np.ones(question.bright.shape, bool), "sources": question.bright, "blank": ~question.bright}
    for name, figures in found.items():
        row: dict[str, object] = {"arm": name, "group": question.group, "kind": question.kind, "crop": question.crop}
        for part, here in parts.items():
            if here.sum() < MIN_PART:
                continue
            error, others = figures["error"][here], [e[here] for e in question.errors.values()]
            row[f"{part} excess"] = excess(error, question.noise)
            row[f"{part} ratio"] = excess(error, question.noise) / min(excess(e, question.noise) for e in others)
            row[f"{part} rms"] = rms(error)
            row[f"{part} raw"] = rms(error) / max(min(rms(e) for e in others), 1e-9)
            row[f"{part} bias"] = float(error.mean() / question.noise)
        row["nll"] = float(figures["nll"].mean())
        row["within 1"], row["within 1.96"] = (float((np.abs(figures["pull"]) < q).mean()) for q in (1, 1.96))
        rows.append(row)
    return rows


@torch.no_grad()
def drawn(frames: Sequence[Frame], runners: dict[str, Runner], batches: int) -> Rows:
    """The training's own questions about held-out frames: a row for each arm and tile, errors in flux."""
    rows: Rows = []
    draws = sky_draws(frames, Settings(seed=QUESTION_SEED), QUESTION_SEED)
    for batch in range(batches):
        views = Views(draws.draw())
        task, rough = views.task, both_bases(views.task, views.win).local[:, 3]
        count = task.supervised.sum((1, 2))
        unit = torch.where(torch.isinf(task.sigma), rough, torch.minimum(rough, task.sigma)).clamp(min=1e-6)
        for name, runner in runners.items():
            moments = in_flux(runner.arm, *predict(runner.arm, runner.average, views.of(runner.arm)))
            mean, var = observed_moments(*moments, task.z, task.sigma, task.noise)
            error2 = torch.where(task.supervised, mean - task.target, torch.zeros_like(mean)).double() ** 2
            told = torch.where(task.supervised, likelihood(error2.float(), var) - unit.log(), torch.zeros_like(mean))
            for tile in torch.nonzero(count >= MIN_HIDDEN)[:, 0].tolist():
                world = "scene" if task.world[tile] else "frame"
                error = float((error2[tile].sum() / count[tile]).sqrt())
                nll = float(told[tile].sum() / count[tile])
                rows.append({"arm": name, "tile": (batch, tile), "world": world, "rms": error, "nll": nll})
    return rows


def main() -> None:
    """Train all arms, fill, compare."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("frames", type=Path, nargs="+", help="packed frames")
    parser.add_argument("--tiles", type=int, help="for each arm, instead of minutes")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training, all arms together")
    parser.add_argument("--tile", type=int, default=Settings.tile, help="side of the training tiles")
    parser.add_argument("--batch", type=int, default=Settings.batch)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seed", type=int, default=5, help="of the draws")
    parser.add_argument("--crops", type=int, help="only the first so many")
    parser.add_argument("--weights", type=Path, help="keep the trained arms here, or take them from here")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    # subnormal numbers slow a CPU down a hundredfold and mean nothing in a gradient
    torch.set_flush_denormal(True)
    learn, held = hold_out(read_packed(given.frames))
    arms = {name: ARMS[name] for name in ARMS if name in (*given.arms, *SAME)}
    settings = Settings(seed=given.seed, tile=given.tile, batch=given.batch)
    if given.weights and given.weights.exists():
        runners = load(given.weights, arms)
    else:
        runners = train(learn, arms, settings, Budget(given.tiles, given.minutes))
        if given.weights:
            save(given.weights, runners)
    filled = [row for one in questions(held, given.crops) for row in score(one, fill(one, runners))]
    asked = drawn(held, runners, DRAWN_BATCHES)
    facts: dict[str, object] = {
        "tiles": next(iter(runners.values())).step * settings.batch,
        "tile": settings.tile, "batch": settings.batch, "seed": settings.seed,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "frames_sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in given.frames},
        "arms": {
            name: {
                "words": one.arm.words, "widths": one.arm.widths, "multiply_adds": multiply_adds(one.arm),
                "ms": 1e3 * one.seconds / max(1, one.step * settings.batch),
            }
            for name, one in runners.items()
        },
    }  # fmt: skip
    text = markdown(filled, asked, facts)
    print(text)
    if given.markdown:
        given.markdown.write_text(text)
    if given.json:
        given.json.write_text(json.dumps({**facts, "filled": filled, "drawn": asked}) + "\n")


def save(path: Path, runners: dict[str, Runner]) -> None:
    kept = {
        name: {"average": one.average.state_dict(), "seconds": one.seconds, "step": one.step}
        for name, one in runners.items()
    }
    torch.save(kept, path)


def load(path: Path, arms: dict[str, Arm]) -> dict[str, Runner]:
    kept = torch.load(path, weights_only=True)
    runners = {name: Runner(arm) for name, arm in arms.items() if name in kept}
    for name, one in runners.items():
        one.average.load_state_dict(kept[name]["average"])
        one.seconds, one.step = kept[name]["seconds"], kept[name]["step"]
    return runners


if __name__ == "__main__":
    main()
