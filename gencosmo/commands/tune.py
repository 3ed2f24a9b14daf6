"""`gencosmo tune`: measure how this machine likes its work cut up, store it, and compare runs of the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gencosmo.errors import InputError, UsageError

__all__ = ["compare_runs", "kept", "run_benchmarks", "tune"]

PIECES = (4096, 16384, 65536)
LEAST = (0, 16384, 32768, 131072)
BLOCKS = (64, 128, 256)
GAIN = 0.03
"""A new choice must be faster than the old one by this share; less is chance."""
SLOWER = 0.15
"""Shares of the copy bandwidth that fall by more are called slower."""
SUITE = Path(__file__).resolve().parents[2] / "benchmarks" / "ops"


def tune(path: Path | None = None) -> list[str]:
    """Measure, store, and return what changed, as lines to read."""
    from gencosmo.ops import _tuning
    from gencosmo.ops._tuning import apply_tuning, read_tuning, stored_choice, write_tuning

    path = path or _tuning.tuning_path()
    entries, gpu = read_tuning(path), _tuning.gpu_key()
    old = stored_choice(entries, gpu)
    new, times = _best_choice(old, bool(gpu))
    tile, frame = _tuning.cpu_keys()
    entries[tile] = {"piece": new.tile, "least": new.least}
    entries[frame] = {"piece": new.frame}
    if gpu:
        entries[gpu] = {"threads": new.threads}
    write_tuning(path, entries)
    apply_tuning(new)
    words = {name: (was, asdict(new)[name]) for name, was in asdict(old).items()}
    lines = [f"{name}: {was} -> {now}" if was != now else f"{name}: {was}" for name, (was, now) in words.items()]
    return [f"{path}: {tile.rpartition(' | tile')[0]}", *lines, *times]


def _best_choice(old: Any, gpu: bool) -> tuple[Any, list[str]]:
    """The choice that is fastest here, field by field, and the times seen."""
    from gencosmo.ops._tuning import apply_tuning

    trials: list[tuple[str, tuple[int, ...], Callable[[], float]]] = [
        ("tile", PIECES, _timer(16, 64, "cpu")),
        ("frame", PIECES, _timer(4, 512, "cpu")),
        ("least", LEAST, _timer(4, 64, "cpu")),
    ]
    if gpu:
        trials.append(("threads", BLOCKS, _timer(16, 1024, "cuda")))
    lines = []
    for name, values, seconds in trials:
        candidates = sorted({*values, getattr(old, name)})
        best: dict[int, float] = {}
        for _round in range(5):  # in turn, so that a slow moment hits all
            for value in candidates:
                apply_tuning(replace(old, **{name: value}))
                best[value] = min(seconds(), best.get(value, float("inf")))
        fastest = min(best, key=lambda value: best[value])
        lines.append(f"  {name}: " + ", ".join(f"{value} {1e6 * t:.0f} us" for value, t in best.items()))
        if best[fastest] < (1 - GAIN) * best[getattr(old, name)]:
            old = replace(old, **{name: fastest})
    return old, lines


def _timer(planes: int, side: int, device: str) -> Callable[[], float]:
    """Seconds of one round of ops on so many planes."""
    import torch

    from gencosmo.ops.moments import moments_
    from gencosmo.ops.normal import normal_

    pixels = side * side
    layout = torch.zeros(planes, 6, dtype=torch.int64)
    layout[:, 0], layout[:, 1:3] = torch.arange(planes) * pixels, side
    layout = layout.to(device)
    seed = torch.arange(planes, device=device)
    # one thread's own time does not count what else the machine does; of many threads, only the clock on the wall tells
    clock = time.thread_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    noise, mean, m2 = (torch.zeros(planes * pixels, device=device) for _ in range(3))
    zero, count = (torch.zeros(1, dtype=torch.int64, device=device) for _ in range(2))

    def seconds() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        start = clock()
        for _ in range(4):
            normal_(noise, layout, seed, zero, zero)
            moments_(count, mean, m2, noise)
        if device == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    return seconds


@contextmanager
def kept(name: str | None) -> Iterator[Path]:
    """Path of a file that stays when it has a name."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(name or f"{folder}/run.json").resolve()


def run_benchmarks(out: Path) -> dict[str, Any]:
    """Run the suite of the repository and return what it wrote to `out`.

    Raises
    ------
    UsageError
        When this is not a checkout.
    """
    if not SUITE.is_dir():
        raise UsageError(
            "the benchmarks are not installed", code="no_benchmarks", hint="run this in a clone of the repository"
        )
    command = [sys.executable, "-m", "pytest", str(SUITE), "-q", "-p", "no:cacheprovider", f"--results={out}"]
    done = subprocess.run(command, cwd=SUITE.parents[1], stdout=sys.stderr, check=False)
    if done.returncode:
        raise UsageError(f"the benchmarks failed, pytest's exit code is {done.returncode}", code="benchmarks_failed")
    return _run(out)


def _run(path: Path) -> dict[str, Any]:
    try:
        words: dict[str, Any] = json.loads(path.read_text())
        return {**words, "rows": {row["name"]: row for row in words["rows"]}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a run of the benchmarks ({type(error).__name__}: {error})") from error


def compare_runs(base: str | Path, run: Path) -> tuple[list[str], bool]:
    """Lines to read, and whether something got slower.

    Times of different machines and days do not compare; shares of the copy bandwidth of the same run do.
    """
    before, after = _run(Path(base)), _run(run)
    lines, slower = [], False
    for name in sorted({*before["rows"], *after["rows"]}):
        if name not in before["rows"] or name not in after["rows"]:
            lines.append(f"{name}: only in {base if name in before['rows'] else run}")
            continue
        old, new = (float(words["rows"][name]["share_of_copy"]) for words in (before, after))
        word = "SLOWER" if new < old * (1 - SLOWER) else "faster" if new > old * (1 + SLOWER) else "same"
        slower |= word == "SLOWER"
        lines.append(f"{name}: {100 * old:.0f} % -> {100 * new:.0f} % of the copy bandwidth, {word}")
    return lines, slower
