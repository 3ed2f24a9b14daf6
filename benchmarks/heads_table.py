"""Tables of `benchmarks.architecture`: every arm against the shipped one, and against the classical fillers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.quality.holes import PATTERNS

Rows = list[dict[str, object]]
"""A row for each arm and question."""
SAME = ("shipped", "shipped, second seed")
"""The yardstick of the arms, and by their difference the noise of the comparison."""
PARTS = (("all", "excess"), ("sources", "excess"), ("blank", "rms"))
FIRST = ("multiply-adds", "ms per tile", "excess", "on sources", "blank sky", "log density", "within 1 / 1.96 std")
DRAWN = ("frame rms", "frame log density", "scene rms", "scene log density")


def _values(rows: Rows, arm: str, key: str, **where: str) -> dict[object, float]:
    """One figure of an arm by question."""
    mine = [row for row in rows if row["arm"] == arm and all(row[k] == v for k, v in where.items())]
    places = [(row["crop"], row["kind"]) if "crop" in row else row["tile"] for row in mine]
    return {place: float(row[key]) for place, row in zip(places, mine, strict=True) if key in row}  # type: ignore[arg-type]


def against(rows: Rows, arm: str, key: str, *, log: bool, **where: str) -> tuple[float, float]:
    """Mean difference of a figure (of its logarithm, if `log`) to the two shipped arms, and its standard error over
    crops (tiles); pairs of the same question."""
    bend = math.log if log else float
    mine, same = _values(rows, arm, key, **where), [_values(rows, one, key, **where) for one in SAME]
    apart: dict[object, list[float]] = {}
    for place, value in mine.items():
        crop = place[0] if isinstance(place, tuple) and isinstance(place[1], str) else place
        apart.setdefault(crop, []).append(bend(value) - sum(bend(one[place]) for one in same) / len(same))
    means = np.array([np.mean(values) for values in apart.values()])
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(len(means)))


def _ratio(rows: Rows, arm: str, key: str, **where: str) -> str:
    mean, spread = against(rows, arm, key, log=True, **where)
    return f"{math.exp(mean):.3f} ± {math.exp(mean) * spread:.3f}"


def _difference(rows: Rows, arm: str, key: str, **where: str) -> str:
    mean, spread = against(rows, arm, key, log=False, **where)
    return f"{mean:+.3f} ± {spread:.3f}"


def _median(rows: Rows, arm: str, key: str, **where: str) -> float:
    values = list(_values(rows, arm, key, **where).values())
    return float(np.median(values)) if values else math.nan


def _mean(rows: Rows, arm: str, key: str) -> float:
    return float(np.mean(list(_values(rows, arm, key).values())))


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|",
            *("| " + " | ".join(line) + " |" for line in lines), ""]  # fmt: skip


def markdown(filled: Rows, asked: Rows, facts: dict[str, object]) -> str:
    """Three tables: holes against the shipped head, holes against the rivals, the training's own questions."""
    cost: dict[str, dict[str, float]] = facts["arms"]  # type: ignore[assignment]
    arms, seen = list(dict.fromkeys(str(row["arm"]) for row in filled)), {row["crop"] for row in filled}
    lines = []
    for arm in arms:
        spent = [f"{cost[arm]['multiply_adds'] / 1e3:.1f} k", f"{cost[arm]['ms']:.1f}"] if arm in cost else ["", ""]
        ratios = [_ratio(filled, arm, f"{part} {key}") for part, key in PARTS]
        inside = " / ".join(f"{100 * _median(filled, arm, key):.0f}" for key in ("within 1", "within 1.96"))
        lines.append([arm, *spent, *ratios, _difference(filled, arm, "nll"), inside])
    text = [
        f"{facts['tiles']} tiles of {facts['tile']} pixels for each arm; {len(seen)} crops of held-out frames, "
        f"{len(PATTERNS)} kinds of holes. Ratios to the mean of the two shipped arms (smaller is better) ± standard "
        "error over crops.",
        "",
        *_table(["arm", *FIRST], lines),
        "Excess error over the best of the four rivals, median over crops; mean error on blank sky over the noise:",
        "",
    ]
    lines = [
        [arm, *(f"{_median(filled, arm, 'all ratio', kind=kind):.2f}" for kind in PATTERNS),
         *(f"{_median(filled, arm, key):.2f}" for key in ("all raw", "sources ratio", "blank raw")),
         f"{_mean(filled, arm, 'blank bias'):+.2f}"]
        for arm in arms
    ]  # fmt: skip
    text += _table(["arm", *PATTERNS, "raw rms", "on sources", "blank sky, raw rms", "blank sky, bias"], lines)
    text += ["The training's own questions, all levels, against the shipped arms:", ""]
    lines = [
        [arm, *(show(asked, arm, key, world=world) for world in ("frame", "scene")
                for show, key in ((_ratio, "rms"), (_difference, "nll")))]
        for arm in dict.fromkeys(str(row["arm"]) for row in asked)
    ]  # fmt: skip
    return "\n".join(text + _table(["arm", *DRAWN], lines))
