"""Time and memory of a large OME-Zarr: ``python -m benchmarks.large_zarr [--side 20000] [--share 0.0001]``.

Makes a slide of cells as uint16 OME-Zarr with two levels, chunk by chunk, and a mask of dust, scratches and hot
pixels; repairs it with the command line in a process of its own; with ``--kill SECONDS`` kills that with SIGKILL and
lets it go on. Scores 4096 x 4096 pixels in the middle. Prints time and peak memory of the processes, what was done
before the kill, and compares the pixels outside the mask.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

CHUNK = 1024
CLI = (sys.executable, "-m", "gencosmo.cli")


class Cost(NamedTuple):
    """What a process took: seconds, seconds of a processor, GiB at its peak; and its exit status."""

    wall: float
    used: float
    peak: float
    status: int

    def __str__(self) -> str:
        return f"exit {self.status}, {self.wall:.0f} s, {self.used:.0f} s of a processor, peak {self.peak:.2f} GiB"


def block(row: int, col: int, size: tuple[int, int]) -> np.ndarray:
    """Cells on a noisy background; a function of the place, so that it can be made again."""
    rng = np.random.default_rng((row, col))
    image = 400 + 30 * rng.standard_normal(size, dtype=np.float32)
    for _ in range(size[0] * size[1] // 4000):
        reach = 24
        r, c = rng.integers(reach, max(reach + 1, min(size) - reach), 2)
        rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        cell = rng.uniform(300, 4000) * np.exp(-(rows**2 + cols**2) / (2 * rng.uniform(3, 9) ** 2))
        part = image[r - reach : r + reach + 1, c - reach : c + reach + 1]
        part += cell.astype(np.float32)[: part.shape[0], : part.shape[1]]
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)


def holes(side: int, share: float) -> np.ndarray:
    """Dust (discs), scratches (lines) and single pixels."""
    rng = np.random.default_rng(1)
    mask = np.zeros((side, side), np.uint8)
    while mask.mean() < share:
        for _ in range(20):
            r, c = rng.integers(0, side - 64, 2)
            kind, length = rng.integers(0, 3), int(rng.integers(8, 64))
            if kind == 0:
                rows, cols = np.mgrid[:32, :32]
                mask[r : r + 32, c : c + 32] |= (np.hypot(rows - 16, cols - 16) < rng.uniform(3, 14)).astype(np.uint8)
            elif kind == 1:
                mask[r : r + 2, c : c + length] = 1
            else:
                mask[rng.integers(0, side, 40), rng.integers(0, side, 40)] = 1
    return mask


def make(folder: Path, side: int, share: float) -> tuple[Path, Path]:
    """Write slide and mask."""
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    made = []
    for name in ("slide", "mask"):
        path = folder / f"{name}.ome.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=3)
        levels = 2 if name == "slide" else 1
        arrays = [
            group.create_array(str(n), shape=(-(-side // 2**n),) * 2, chunks=(CHUNK, CHUNK), dtype=f"u{levels}")
            for n in range(levels)
        ]  # fmt: skip
        sets = [
            {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [0.3 * 2**n] * 2}]}
            for n in range(levels)
        ]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": name, "axes": axes, "datasets": sets}]}
        made.append(path)
        if name == "mask":
            arrays[0][...] = holes(side, share)
            continue
        for row in range(0, side, CHUNK):
            for col in range(0, side, CHUNK):
                size = (min(CHUNK, side - row), min(CHUNK, side - col))
                part = block(row, col, size)
                arrays[0][row : row + size[0], col : col + size[1]] = part
                arrays[1][row // 2 : -(-(row + size[0]) // 2), col // 2 : -(-(col + size[1]) // 2)] = part[::2, ::2]
    return made[0], made[1]


def run(command: list[str], kill: float | None = None) -> Cost:
    """Run a command, kill it after so many seconds."""
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command)
    timer = threading.Timer(kill or 1e9, lambda: process.send_signal(signal.SIGKILL))
    timer.daemon = True
    timer.start()
    while (found := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        try:
            told = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(told.partition("VmHWM:")[2].split()[0]) / 1024**2)
        except (OSError, IndexError):
            pass
        time.sleep(0.2)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(found[1])
    used = found[2].ru_utime + found[2].ru_stime
    return Cost(time.perf_counter() - start, used, peak, process.returncode)


def compare(slide: Path, mask: Path, out: Path) -> tuple[int, int]:
    """Filled pixels, and pixels outside the mask that differ."""
    was, bad, now = (zarr.open_group(path, mode="r")["0"] for path in (slide, mask, out))
    filled = wrong = 0
    for row in range(0, was.shape[0], CHUNK):
        one, hit, two = (array[row : row + CHUNK] for array in (was, bad, now))
        filled += int(hit.sum())
        wrong += int(((one != two) & (hit == 0)).sum())
    return filled, wrong


def repair(slide: Path, mask: Path, kill: float | None) -> Path:
    """Repair a slide, in two goes when the first is to be killed; return the output."""
    folder, out = slide.parent, slide.parent / "out.ome.zarr"
    command = [*CLI, "inpaint", str(slide), "-o", str(out), "--mask", str(mask), "--progress", "plain", "--resume"]
    if kill:
        cost = run(command, kill)
        done = len(list(folder.glob(".out.ome.zarr.*.part/*.npz")))
        print(f"killed: {cost}, {done} blocks were done", flush=True)
    cost = run(command)
    filled, wrong = compare(slide, mask, out) if cost.status == 0 else (0, -1)
    print(f"repaired: {cost}, {filled} pixels filled, {wrong} others changed", flush=True)
    return out


def score(path: Path, mask: Path, side: int, region: int) -> None:
    """Score the middle of a slide."""
    region = min(region, side)
    first = (side - region) // 2
    part = ",".join([f"{first}:{first + region}"] * 2)
    command = [*CLI, "score", str(path), "-o", str(path.parent / "scores"), "--mask", str(mask), "--region", part]
    print(f"scored {part}: {run([*command, '--map', '--resume', '--progress', 'plain'])}", flush=True)


def main() -> None:
    """Make, repair, kill, go on, compare, score."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--share", type=float, default=0.0001)
    parser.add_argument("--kill", type=float, default=None)
    parser.add_argument("--region", type=int, default=4096, help="side of what is scored, 0: nothing")
    parser.add_argument("--score-only", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        start = time.perf_counter()
        slide, mask = make(Path(name), given.side, given.share)
        print(f"made {given.side}x{given.side} uint16 in {time.perf_counter() - start:.0f} s", flush=True)
        found = slide if given.score_only else repair(slide, mask, given.kill)
        if given.region and found.exists():
            score(found, mask, given.side, given.region)


if __name__ == "__main__":
    main()
