"""Pictures that say why: for every detection what was seen, what was predicted, and the deviation at its scale.

And a contact sheet for ranked cutouts, and a heat map. FITS has its first row at the bottom, and so have these, but of
images whose rows go down (microscopy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.image import Image
from gencosmo.io.png import check_png, write_png
from gencosmo.report import display_limits, rows_go_up
from gencosmo.result import Result

__all__ = ["contact_sheet", "explanation_strips", "heat_map", "told_p"]

_PANEL, _GAP, _LINE = 150, 8, 34
_INK, _PAPER = (230, 230, 230), (24, 24, 28)
_HALF = 20
"""Pixels shown on each side of a detection; more where it is larger."""
_RANGE = 8.0
"""Deviations shown in full colour."""


def told_p(p_value: float) -> str:
    """A p-value in words: one that is too small for a number is no 0, and NaN is none."""
    if not np.isfinite(p_value):
        return "no score"
    return "p < 1e-300" if p_value < 1e-300 else f"p {p_value:.2g}"


def explanation_strips(
    path: str, result: Result, table: Any, *, most: int = 20, title: str = "", overwrite: bool = False
) -> None:
    """Write one PNG with a strip for each of the first detections: seen, predicted, z at its scale, the map.

    Without a detection the whole image and its map are shown.

    Parameters
    ----------
    path : str
        Output, ending in `.png`.
    result : Result
        Of `gencosmo.score`.
    table : astropy.table.Table
        Of `gencosmo.catalog`.
    most : int
        Detections shown.
    title : str
        One line on top.
    overwrite : bool
        Replace an existing picture.

    Raises
    ------
    UsageError
        `exists`, or an ending other than `.png`.
    """
    from PIL import ImageDraw

    check_png(path)
    rows = list(table[:most])
    sheet = _sheet(4, len(rows), f"{title or 'anomalies'}: {_told(len(rows), len(table), table.meta['threshold'])}")
    draw = ImageDraw.Draw(sheet)
    for number, panels in enumerate([_strip(result, row) for row in rows] or [_whole(result, table.meta["origin"])]):
        top = _LINE + number * (_PANEL + _LINE)
        for place, (pixels, words) in enumerate(panels):
            left = _GAP + place * (_PANEL + _GAP)
            _paste(sheet, pixels, left, top, up=rows_go_up(result.meta["image"]))
            draw.text((left, top + _PANEL + 2), words, fill=_INK)
    write_png(sheet, path, overwrite=overwrite)


def _told(shown: int, found: int, threshold: float) -> str:
    if not found:
        return f"nothing beyond {threshold:g} sigmas"
    regions = "1 region" if found == 1 else f"{found} regions"
    return f"{'' if shown == found else f'{shown} strongest of '}{regions} beyond {threshold:g} sigmas"


def _whole(result: Result, origin: Sequence[int]) -> list[tuple[NDArray[np.uint8], str]]:
    """The channel that deviates most, thinned to what a panel shows, and its map; places count from `origin`."""
    image: Image = result.meta["image"]
    assert result.anomaly_map is not None
    whole = result.anomaly_map.reshape(image.shape)
    channel, row, col = np.unravel_index(int(np.abs(whole).argmax()), whole.shape)
    thin = slice(None, None, max(1, max(image.shape[1:]) // (2 * _PANEL)))
    seen, mask = image.data[channel][thin, thin], image.mask[channel][thin, thin]
    highest = f"{whole[channel, row, col]:+.1f} sigma at x {col + origin[1]} y {row + origin[0]}"
    return [
        (_grey(display_limits(seen, ~mask).scale(seen), mask), "seen"),
        (_signed(whole[channel][thin, thin]), highest),
    ]


def _strip(result: Result, row: Any) -> list[tuple[NDArray[np.uint8], str]]:
    image: Image = result.meta["image"]
    why, channel = result.meta["explanation"], int(row["channel"])
    scale, shape = str(row["scale"]).split("/")
    k = why.scales.index(scale)
    box = _around(row, row.meta.get("origin", (0, 0)), image.shape[1:])
    seen, predicted = image.data[channel][box], why.mean[k, channel][box]
    mask = image.mask[channel][box]
    limits = display_limits(seen, ~mask)
    whole = result.anomaly_map
    anomaly = np.zeros(image.shape, np.float32) if whole is None else whole.reshape(image.shape)
    flags = f" channel {channel}" if image.shape[0] > 1 else ""
    flags += f" {row['flags']}" if row["flags"] else ""
    return [
        (_grey(limits.scale(seen), mask), f"{row['id']}: x {row['x_0']:.1f} y {row['y_0']:.1f}{flags}"[:30]),
        (_grey(limits.scale(predicted), mask), f"predicted, {scale}"),
        (_signed(why.z[k, channel][box]), f"z {scale}, by {shape}"),
        (_signed(anomaly[channel][box]), f"{row['peak_sig']:+.1f} sigma, {told_p(row['p_value'])}"),
    ]


def _around(row: Any, origin: Sequence[int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A square around a detection, within the image that begins at `origin` in its file."""
    reach = max(int(row["x_max"] - row["x_min"]), int(row["y_max"] - row["y_min"])) // 2
    half = min(max(_HALF, reach + 8), 100)
    cut = []
    for centre, begins, side in zip((row["y_0"], row["x_0"]), origin, shape, strict=True):
        first = int(np.clip(round(float(centre)) - begins - half, 0, max(0, side - 2 * half - 1)))
        cut.append(slice(first, min(side, first + 2 * half + 1)))
    return cut[0], cut[1]


def contact_sheet(
    path: str, images: Sequence[Image], words: Sequence[str], *, across: int = 8, overwrite: bool = False
) -> None:
    """Write one PNG with the cutouts in the order given, each with a line of words.

    Raises
    ------
    UsageError
        `exists`, or an ending other than `.png`.
    """
    from PIL import ImageDraw

    check_png(path)
    sheet = _sheet(across, -(-len(images) // across), "most abnormal first")
    draw = ImageDraw.Draw(sheet)
    for number, (image, text) in enumerate(zip(images, words, strict=True)):
        left = _GAP + number % across * (_PANEL + _GAP)
        top = _LINE + number // across * (_PANEL + _LINE)
        good = ~image.mask[0]
        shown = _grey(display_limits(image.data[0], good).scale(image.data[0]), ~good)
        _paste(sheet, shown, left, top, up=rows_go_up(image))
        draw.text((left, top + _PANEL + 2), text[:60], fill=_INK)
    write_png(sheet, path, overwrite=overwrite)


def heat_map(
    path: str,
    grids: Sequence[tuple[str, NDArray[np.float64]]],
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write one PNG with a panel for each grid (H, W) of scores, first row on top: dark low, bright high, grey none.

    Parameters
    ----------
    path : str
        Output, ending in `.png`.
    grids : sequence of (title, array)
        NaN where there is nothing.
    rows, columns : sequence of str
        Names beside the panels, of all grids.
    overwrite : bool
        Replace an existing picture.

    Raises
    ------
    UsageError
        `exists`, or an ending other than `.png`.
    """
    from PIL import Image as Canvas
    from PIL import ImageDraw

    check_png(path)
    height, width = grids[0][1].shape
    cell = max(2, min(40, 900 // max(height, width)))
    left, top = (24 if rows else _GAP), _LINE + (12 if columns else 0)
    panel = (left + width * cell + _GAP, top + height * cell + _GAP)
    sheet = Canvas.new("RGB", (panel[0] + _GAP, panel[1] * len(grids)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (title, grid) in enumerate(grids):
        down = number * panel[1]
        known = grid[np.isfinite(grid)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        draw.text((_GAP, down + 6), f"{title}   score {low:.3g} to {high:.3g}".strip(), fill=_INK)
        shown = _heat((grid - low) / max(high - low, 1e-30))
        big = shown.repeat(cell, axis=0).repeat(cell, axis=1)
        sheet.paste(Canvas.fromarray(big), (left, down + top))
        for place, name in enumerate(rows):
            draw.text((4, down + top + place * cell + cell // 2 - 6), name, fill=_INK)
        for place, name in enumerate(columns):
            draw.text((left + place * cell + 2, down + top - 13), name, fill=_INK)
    write_png(sheet, path, overwrite=overwrite)


_HEAT = np.array([(12, 10, 40), (90, 25, 110), (200, 60, 80), (250, 150, 60), (255, 240, 160)], float)


def _heat(part: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours of 0 to 1, grey where there is no number."""
    level = np.clip(np.nan_to_num(part), 0, 1)
    steps = np.linspace(0, 1, len(_HEAT))
    shown = np.stack([np.interp(level, steps, _HEAT[:, c]) for c in range(3)], axis=-1)
    shown[~np.isfinite(part)] = (70, 70, 74)
    coloured: NDArray[np.uint8] = np.rint(shown).astype(np.uint8)
    return coloured


def _sheet(across: int, down: int, title: str) -> Any:
    from PIL import Image as Canvas
    from PIL import ImageDraw

    size = (_GAP + across * (_PANEL + _GAP), _LINE + max(1, down) * (_PANEL + _LINE) + _GAP)
    sheet = Canvas.new("RGB", size, _PAPER)
    ImageDraw.Draw(sheet).text((_GAP, 8), title, fill=_INK)
    return sheet


def _paste(sheet: Any, pixels: NDArray[np.uint8], left: int, top: int, *, up: bool = True) -> None:
    from PIL import Image as Canvas

    height, width = pixels.shape[:2]
    scale = _PANEL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet.paste(Canvas.fromarray(pixels[::-1] if up else pixels).resize(size, Canvas.Resampling.NEAREST), (left, top))


def _grey(part: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    shown = np.repeat(np.rint(255 * part).astype(np.uint8)[..., None], 3, axis=2)
    shown[mask] = (70, 90, 200)
    return shown


def _signed(z: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Blue where less was seen than predicted, red where more, white in between."""
    part = np.clip(z / _RANGE, -1, 1)[..., None]
    ends = np.where(part > 0, np.array([190, 20, 30]), np.array([20, 60, 180]))
    blend = 245 * (1 - np.abs(part)) + ends * np.abs(part)
    shown: NDArray[np.uint8] = np.rint(blend).astype(np.uint8)
    return shown
