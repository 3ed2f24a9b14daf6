"""Timing: an op, its rivals and two copies in turn in one process, so that a slow moment of the machine hits all.

Times are processor times of this thread, which runs everything; what else the machine does is not counted. A time is
the least of the rounds; a ratio is the median over rounds of rival time / op time. The copy moves as many
bytes as the op must (every input read once, every output written once), at the op's own size, and, as
`share_of_memory`, at a size beyond all caches.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gencosmo import _core
from gencosmo.ops._tuning import cpu_name
from tests.ops.cases import CASES, Arguments
from tests.ops.law import assert_law

ROUNDS, SECONDS = 15, 0.01
BEYOND_CACHES = 1 << 27
"""Bytes of the large copy's source."""
TILES = ((64, 64),) * 64
"""The shape of the bars: [64, 1, 64, 64]."""
ROWS: list[dict[str, Any]] = []

Call = Callable[[], Any]


def at_origin(arguments: Arguments) -> Arguments:
    """Planes that begin at row 0 and column 0, as separate tiles do; the tests' planes begin anywhere."""
    arguments["layout"][:, 3:5] = 0
    return arguments


def checked(op: str, arguments: Arguments) -> None:
    """The op's law at the size that is timed, against the reference in float64."""
    case = CASES[op]
    got = case.run(arguments)
    truth, plain = case.expected(arguments, torch.float64), case.expected(arguments, torch.float32)
    for name in case.writes:
        assert_law(got[name], truth[name], plain[name], f"{op} {name}")


def bound(op: str, arguments: Arguments) -> Call:
    """The op on arguments that are made once; what it does in place it may do again."""
    made = {
        k: v.clone(memory_format=torch.preserve_format) if isinstance(v, Tensor) else v for k, v in arguments.items()
    }
    return lambda: CASES[op].call(**made)


def repeats(call: Call) -> int:
    """Calls that fill a round."""
    call()
    start = time.thread_time()
    call()
    return max(1, int(SECONDS / max(time.thread_time() - start, 1e-7)))


def copy_of(moved: int) -> Call:
    """A copy that reads and writes `moved` bytes together."""
    source = torch.zeros(max(1, moved // 8))
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def compiled_rival(eager: Call) -> dict[str, Call]:
    """torch.compile of a rival, once it has run; nothing when it does not compile."""
    torch._dynamo.reset()
    call: Call = torch.compile(eager)
    try:
        call()
    except Exception as error:  # a compiler may fail in any way; that a rival is missing is seen in the row
        print(f"torch.compile: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        return {}
    return {"compiled": call}


def race(name: str, op: Call, rivals: dict[str, Call], pixels: int, moved: int, compiled: bool) -> dict[str, Any]:
    """One row: nanoseconds per pixel, ratios, shares. `moved` is bytes per pixel; with `compiled`, torch.compile of the
    eager rival runs too, where it compiles.
    """
    runners = {"op": op, "copy": copy_of(moved * pixels), "memory": copy_of(BEYOND_CACHES), **rivals}
    if compiled and "eager" in rivals:
        runners |= compiled_rival(rivals["eager"])
    count = {k: repeats(call) for k, call in runners.items()}
    times: dict[str, list[float]] = {k: [] for k in runners}
    for _ in range(ROUNDS):
        for k, call in runners.items():
            start = time.thread_time()
            for _ in range(count[k]):
                call()
            times[k].append((time.thread_time() - start) / count[k])
    best = {k: min(values) for k, values in times.items()}
    ratios = {
        k: round(statistics.median(t / mine for t, mine in zip(times[k], times["op"], strict=True)), 2)
        for k in runners
        if k not in ("op", "copy", "memory")
    }
    row = {
        "name": name,
        "pixels": pixels,
        "ns_per_pixel": round(1e9 * best["op"] / pixels, 3),
        "bytes_per_pixel": moved,
        "share_of_copy": round(best["copy"] / best["op"], 3),
        "share_of_memory": round(best["memory"] * (moved * pixels / BEYOND_CACHES) / best["op"], 3),
        "times_faster_than": ratios,
    }
    ROWS.append(row)
    return row


def line(row: dict[str, Any]) -> str:
    """A row to read."""
    ratios = ", ".join(f"{value:.1f}x {name}" for name, value in row["times_faster_than"].items())
    return (
        f"{row['name']:28} {row['ns_per_pixel']:8.2f} ns/px  {100 * row['share_of_copy']:4.0f} % of a copy, "
        f"{100 * row['share_of_memory']:4.0f} % of memory  {ratios}"
    )


def write(path: Path) -> None:
    """Keep the run."""
    machine = {
        "cpu": cpu_name(), "isa": _core.isa(), "system": platform.system(), "python": platform.python_version(),
        "torch": torch.__version__, "gencosmo": version("gencosmo"), "threads": 1, "tuning": list(_core.tuned()),
        "cuda": _core.has_cuda and torch.cuda.is_available(), "load": Path("/proc/loadavg").read_text().split()[0],
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "rows": ROWS}, indent=1) + "\n")
