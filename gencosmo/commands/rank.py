"""`gencosmo rank`: cutouts of a folder, fields of a plate, or pieces of a slide, the most abnormal first."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.commands.console import note, print_error, print_json
from gencosmo.commands.cutouts import Cutout, cutouts_of, words_of
from gencosmo.commands.heat import write_plates, write_slide
from gencosmo.commands.score import Scoring, new_detector
from gencosmo.errors import GencosmoError, InputError, PartialFailure, UsageError
from gencosmo.io.atomic import check_output
from gencosmo.io.catalog import ENDINGS, check_catalog, plain_table, write_catalog
from gencosmo.io.fits import ReadOptions
from gencosmo.strips import contact_sheet, told_p
from gencosmo.tasks.among import judge_each_other
from gencosmo.tasks.detector import AnomalyDetector

__all__ = ["run_rank"]

Array = NDArray[np.float64]
Judged = tuple[Array, Array, dict[str, Array]]
"""Scores, p-values, p-values by view."""


def run_rank(
    source: str,
    out: str,
    scoring: Scoring,
    *,
    ending: str,
    top: int,
    overwrite: bool,
    as_json: bool,
    read: ReadOptions | None = None,
    side: int = 256,
) -> None:
    """Write `ranked.ENDING` and `ranked.png` into `out`; of a plate or a slide also heat maps.

    Without normals each cutout is judged by densities fitted to the others of its channel, fold by fold. Rows are in
    the order of ranks within a channel. Files of a folder that cannot be used are told, and the others ranked.

    Raises
    ------
    GencosmoError
        Nothing can be ranked; `PartialFailure` when some files of a folder are left out.
    """
    if f".{ending}" not in ENDINGS or top < 1:
        raise UsageError(f"--table {ending}, --top {top}: expected one of {', '.join(e[1:] for e in ENDINGS)}, and 1")
    check_catalog(f".{ending}")
    read = read or ReadOptions()
    outputs = [os.path.join(out, name) for name in (f"ranked.{ending}", "ranked.png")]
    left_out: dict[str, GencosmoError] = {}
    cutouts = cutouts_of(source, read, region=scoring.region, side=side, left_out=left_out)
    for path, error in left_out.items():
        print_error(error, where=path)
    os.makedirs(out, exist_ok=True)
    for path in outputs:
        check_output(path, overwrite=overwrite)
    if scoring.save:
        check_output(scoring.save, overwrite=overwrite)
    scores, p_values, views = _judge(cutouts, scoring, read, overwrite=overwrite)
    ranks = _ranks(cutouts, scores)
    order = np.lexsort((np.array([one.channel for one in cutouts]), ranks))
    write_catalog(_table(cutouts, ranks, scores, p_values, views, order), outputs[0], overwrite=overwrite)
    shown = order[:top]
    words = [f"{told_p(p_values[k])} {_title(cutouts[k])}" for k in shown]
    contact_sheet(outputs[1], [cutouts[k].image.read() for k in shown], words, overwrite=overwrite)
    outputs += write_plates(out, ending, cutouts, scores, p_values, overwrite=overwrite)
    outputs += write_slide(out, cutouts, scores, overwrite=overwrite)
    bare = int((~np.isfinite(scores)).sum())
    masked = f", {bare} of them last and without a score: too few pixels that are not masked" if bare else ""
    note(f"{len(cutouts)} cutouts ranked{masked} -> {out}")
    if as_json:
        rows = [
            {**words_of(cutouts[k]), "file": cutouts[k].file, "score": float(scores[k]), "p_value": float(p_values[k])}
            for k in order
        ]
        print_json({"ranked": rows, "outputs": outputs, "failed": len(left_out)})
    if left_out:
        text = f"not ranked, {len(left_out)} of the files: {', '.join(left_out)}"
        raise PartialFailure(text, failures=left_out)


def _title(cutout: Cutout) -> str:
    words = words_of(cutout)
    name = words["file"] if cutout.corner is None else f"x {words['x']} y {words['y']}"
    return f"{words['well']} {words['field']} {cutout.channel}" if cutout.place else f"{name} {cutout.channel}".strip()


def _judge(cutouts: list[Cutout], scoring: Scoring, read: ReadOptions, *, overwrite: bool) -> Judged:
    """Each channel by its own detector; of one that was fitted before, all by that one."""
    if scoring.detector and scoring.normals:
        raise UsageError("--detector and --normals are two ways to say the same", hint="give one of them")
    if scoring.save and not scoring.normals:
        raise UsageError("--save-detector needs --normals: nothing was fitted")
    groups = {name: [k for k, one in enumerate(cutouts) if one.channel == name] for name in _channels(cutouts)}
    if scoring.save and len(groups) > 1:
        raise UsageError(f"--save-detector keeps one detector, there are {len(groups)} channels", hint="--channels 0")
    normals = _normals(scoring, read, list(groups))
    scores, p_values = np.full((2, len(cutouts)), np.nan)
    views: dict[str, Array] = {}
    for name, places in groups.items():
        found = _of_group([cutouts[k] for k in places], scoring, normals.get(name), overwrite=overwrite)
        scores[places], p_values[places] = found[0], found[1]
        for view, values in found[2].items():
            views.setdefault(view, np.full(len(cutouts), np.nan))[places] = values
    return scores, p_values, views


def _channels(cutouts: list[Cutout]) -> list[str]:
    return sorted({one.channel for one in cutouts})


def _normals(scoring: Scoring, read: ReadOptions, wanted: list[str]) -> dict[str, list[Cutout]]:
    """Normal images of each channel; those of one channel serve all when their names tell nothing."""
    if not scoring.normals:
        return {}
    found = cutouts_of(scoring.normals, read, region=None, side=256)
    names = _channels(found)
    note(f"fitting on {len(found)} normal images")
    if set(wanted) <= set(names):
        return {name: [one for one in found if one.channel == name] for name in wanted}
    if len(names) == 1 and len(wanted) == 1:
        return {wanted[0]: found}
    raise InputError(
        f"normals have the channels {', '.join(names) or 'none'}, the images {', '.join(wanted)}",
        code="channels",
        hint="name the files alike",
    )


def _of_group(
    cutouts: list[Cutout], scoring: Scoring, normals: list[Cutout] | None, *, overwrite: bool = False
) -> Judged:
    images = [one.image for one in cutouts]
    if scoring.detector:
        prior = scoring.prior if scoring.prior.endswith(".json") else None
        detector = AnomalyDetector.load(scoring.detector, prior=prior, device=scoring.device)
    elif normals is None:
        return judge_each_other(new_detector(scoring), images)
    else:
        detector = new_detector(scoring).fit([one.image for one in normals])
        if scoring.save:
            detector.save(scoring.save, overwrite=overwrite)
    found = detector.evaluate(images)
    scores, p_values = np.array([one.image_score() for one in found]).T
    return scores, p_values, {n: np.array([np.nanmin(one.views[n]) for one in found]) for n in found[0].views}


def _ranks(cutouts: list[Cutout], scores: Array) -> NDArray[np.int64]:
    """From 1 within each channel; what has no score comes last."""
    ranks = np.zeros(len(cutouts), np.int64)
    for name in _channels(cutouts):
        places = np.array([k for k, one in enumerate(cutouts) if one.channel == name])
        own = scores[places]
        ranks[places[np.argsort(np.where(np.isfinite(own), -own, np.inf), kind="stable")]] = np.arange(1, own.size + 1)
    return ranks


def _table(
    cutouts: list[Cutout], ranks: Any, scores: Array, p_values: Array, views: dict[str, Array], order: Any
) -> Any:
    words = [words_of(cutouts[k]) for k in order]
    names = [name for name in ("file", "plate", "well", "field", "channel", "x", "y") if any(name in w for w in words)]
    empty = {"x": -1, "y": -1}
    columns = {"rank": ranks[order]}
    columns |= {name: np.array([w.get(name, empty.get(name, "")) for w in words]) for name in names}
    columns |= {"score": scores[order], "p_value": p_values[order]}
    return plain_table(columns | {f"p_{name.replace(' ', '_')}": values[order] for name, values in views.items()})
