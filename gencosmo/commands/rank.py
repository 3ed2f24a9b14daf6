"""`gencosmo rank`: a folder of cutouts, the most abnormal first."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gencosmo.commands.console import note, print_json
from gencosmo.commands.score import Scoring, detector_of, images_in, new_detector
from gencosmo.errors import UsageError
from gencosmo.io import read as read_image
from gencosmo.io.atomic import check_output
from gencosmo.io.catalog import ENDINGS, write_catalog
from gencosmo.strips import contact_sheet

__all__ = ["run_rank"]


def run_rank(folder: str, out: str, scoring: Scoring, *, ending: str, top: int, overwrite: bool, as_json: bool) -> None:
    """Write `ranked.ENDING` and `ranked.png` into `out`.

    Without normals each cutout is judged by densities fitted to the others, fold by fold.
    """
    if f".{ending}" not in ENDINGS or top < 1:
        raise UsageError(f"--table {ending}, --top {top}: expected one of {', '.join(e[1:] for e in ENDINGS)}, and 1")
    paths = images_in(folder)
    images = [read_image(path) for path in paths]
    outputs = [os.path.join(out, name) for name in (f"ranked.{ending}", "ranked.png")]
    os.makedirs(out, exist_ok=True)
    for path in outputs:
        check_output(path, overwrite=overwrite)
    detector = detector_of(scoring)
    if detector is None:
        detector = new_detector(scoring).fit(images)
        scores, p_values, views = detector.of_normals()
    else:
        found = detector.evaluate(images)
        scores, p_values = np.array([one.image_score() for one in found]).T
        names = found[0].views
        views = {name: np.array([np.nanmin(one.views[name]) for one in found]) for name in names}
    order = np.argsort(np.where(np.isfinite(scores), -scores, np.inf), kind="stable")
    table = _table(paths, scores, p_values, views, order)
    write_catalog(table, outputs[0], overwrite=overwrite)
    shown = order[:top]
    words = [f"{p_values[k]:.2g} {os.path.basename(paths[k])}" for k in shown]
    contact_sheet(outputs[1], [images[k] for k in shown], words, overwrite=overwrite)
    note(f"{len(paths)} cutouts ranked -> {out}")
    if as_json:
        rows = [{"file": paths[k], "score": float(scores[k]), "p_value": float(p_values[k])} for k in order]
        print_json({"ranked": rows})


def _table(paths: list[str], scores: Any, p_values: Any, views: dict[str, Any], order: Any) -> Any:
    from gencosmo.io.catalog import plain_table

    columns = {
        "rank": np.arange(1, len(paths) + 1),
        "file": np.array([os.path.basename(paths[k]) for k in order]),
        "score": scores[order],
        "p_value": p_values[order],
    }
    return plain_table(columns | {f"p_{name}": values[order] for name, values in views.items()})
