"""Heat maps of what was ranked: a plate by wells, a slide by pieces."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gencosmo.commands.cutouts import Cutout
from gencosmo.image import Image
from gencosmo.io import write
from gencosmo.io.catalog import plain_table, write_catalog
from gencosmo.io.plate_names import well_name
from gencosmo.strips import heat_map

__all__ = ["write_plates", "write_slide"]

Array = NDArray[np.float64]
FORMATS = ((2, 3), (4, 6), (8, 12), (16, 24), (32, 48))
"""Rows and columns of plates that are sold."""


def write_plates(
    out: str, ending: str, cutouts: Sequence[Cutout], scores: Array, p_values: Array, *, overwrite: bool
) -> list[str]:
    """Write `wells.ENDING` (a row per well and channel, the most abnormal first) and a heat map of each plate.

    A well has the score of its most abnormal field. Returns what was written; nothing when no name tells of a well.
    """
    wells: dict[tuple[str, str, int, int], list[int]] = {}
    for k, one in enumerate(cutouts):
        if one.place is not None and np.isfinite(scores[k]):
            wells.setdefault((one.place.plate, one.channel, one.place.row, one.place.column), []).append(k)
    if not wells:
        return []
    rows = sorted(
        (-float(scores[ks].max()), plate, channel, row, column, len(ks), float(p_values[ks].min()))
        for (plate, channel, row, column), ks in wells.items()
    )
    table = {
        "plate": np.array([row[1] for row in rows]),
        "well": np.array([well_name(row[3], row[4]) for row in rows]),
        "channel": np.array([row[2] for row in rows]),
        "fields": np.array([row[5] for row in rows]),
        "score": np.array([-row[0] for row in rows]),
        "p_value": np.array([row[6] for row in rows]),
    }
    outputs = [os.path.join(out, f"wells.{ending}")]
    write_catalog(plain_table(table), outputs[0], overwrite=overwrite)
    plates = sorted({key[0] for key in wells})
    for plate in plates:
        own = {key[1:]: float(scores[ks].max()) for key, ks in wells.items() if key[0] == plate}
        name = "plate.png" if len(plates) == 1 else f"plate-{re.sub(r'[^A-Za-z0-9._-]', '_', plate)}.png"
        outputs.append(os.path.join(out, name))
        _draw_plate(outputs[-1], plate, own, overwrite=overwrite)
    return outputs


def _draw_plate(path: str, plate: str, scores: dict[tuple[str, int, int], float], *, overwrite: bool) -> None:
    last = (max(row for _, row, _ in scores), max(column for _, _, column in scores))
    height, width = next(size for size in FORMATS if last[0] < size[0] and last[1] < size[1])
    grids = []
    for channel in sorted({channel for channel, _, _ in scores}):
        grid = np.full((height, width), np.nan)
        for (own, row, column), score in scores.items():
            if own == channel:
                grid[row, column] = score
        grids.append((f"{plate} {channel}".strip(), grid))
    names = [well_name(row, 0)[:-2] for row in range(height)], [str(column + 1) for column in range(width)]
    heat_map(path, grids, rows=names[0], columns=names[1], overwrite=overwrite)


def write_slide(out: str, cutouts: Sequence[Cutout], scores: Array, *, overwrite: bool) -> list[str]:
    """Write `heat.png` and `heat.ome.tif` (a pixel per piece) of a slide; nothing when there is none.

    A piece without a score has the lowest one in the TIFF: scores are negative where all is normal, 0 would stand out.
    """
    placed = [(k, one) for k, one in enumerate(cutouts) if one.corner is not None]
    if not placed:
        return []
    tops, lefts = (sorted({one.corner[axis] for _, one in placed if one.corner is not None}) for axis in (0, 1))
    grids: dict[str, Array] = {}
    for k, one in placed:
        assert one.corner is not None
        grid = grids.setdefault(one.channel, np.full((len(tops), len(lefts)), np.nan))
        grid[tops.index(one.corner[0]), lefts.index(one.corner[1])] = scores[k]
    outputs = [os.path.join(out, name) for name in ("heat.png", "heat.ome.tif")]
    heat_map(outputs[0], sorted(grids.items()), overwrite=overwrite)
    stack = np.stack([grid for _, grid in sorted(grids.items())]).astype(np.float32)
    known = stack[np.isfinite(stack)]
    stack = np.nan_to_num(stack, nan=known.min() if known.size else 0.0)
    first = placed[0][1].image.read()
    side = first.shape[1]
    scale = None if first.pixel_scale is None else side * first.pixel_scale
    write(outputs[1], Image(data=stack, pixel_scale=scale), overwrite=overwrite)
    return outputs
