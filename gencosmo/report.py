"""One PNG that shows what was done: before, mask, after, spread; the same limits before and after.

Large frames get a second row, a window around the place with the most masked pixels, at full resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gencosmo.image import Image
from gencosmo.io.png import check_png, write_png
from gencosmo.photon.noise import PhotonNoise
from gencosmo.result import Result
from gencosmo.tasks.figures import Shown, Validation

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["Limits", "display_limits", "noise_picture", "picture", "rows_go_up", "validation_picture"]

_PANEL = 360
_GAP = 16
_TITLE = 26
_BAR = 44
_ZOOM = 96
_INK = (230, 230, 230)
_PAPER = (24, 24, 28)
_NO_DATA = (70, 90, 200)
_MASKED = (235, 90, 60)

# Anchors of a perceptually even dark-to-light map for the spread (own choice of seven colours, interpolated).
_SPREAD = np.array(
    [
        (10, 8, 30),
        (58, 20, 90),
        (112, 32, 110),
        (170, 52, 98),
        (222, 88, 70),
        (248, 148, 60),
        (252, 232, 140),
    ],
    float,
)


@dataclass(frozen=True)
class Limits:
    """Values shown as black and white, with an asinh stretch between."""

    low: float
    high: float
    softness: float = 0.1

    def scale(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Map values to 0..1."""
        from astropy.visualization import AsinhStretch

        span = max(self.high - self.low, 1e-37)
        part = np.clip((np.asarray(values, dtype=np.float64) - self.low) / span, 0, 1)
        return np.asarray(AsinhStretch(self.softness)(part, clip=True), dtype=np.float64)


def display_limits(data: NDArray[Any], good: NDArray[np.bool_]) -> Limits:
    """Return limits from the good pixels: the low end by zscale, the high end the 99.7 percentile or
    zscale's.
    """
    from astropy.visualization import ZScaleInterval

    values = np.asarray(data)[good]
    if values.size == 0:
        return Limits(0.0, 1.0)
    if values.size > 400_000:
        values = values[:: values.size // 400_000]
    low, high = ZScaleInterval().get_limits(values)
    floor, ceiling = (float(v) for v in np.percentile(values, (2, 99.7)))
    low, high = max(float(low), floor), max(float(high), ceiling)
    return Limits(low, high if high > low else low + 1.0)


def rows_go_up(image: Image) -> bool:
    """Whether the first row is shown at the bottom, as FITS has it; files of microscopes have it on top."""
    return image.meta.get("rows") != "down"


def picture(path: str, image: Image, result: Result, *, title: str = "", overwrite: bool = False) -> None:
    """Write the PNG.

    Parameters
    ----------
    path : str
        Output, ending in `.png`.
    image, result : Image, Result
        What went in and what came out; of a cube, the channel with the most masked pixels is shown.
    title : str
        One line on top, for example the file name.
    overwrite : bool
        Replace an existing picture.

    Raises
    ------
    UsageError
        `exists`, or an ending other than `.png`.
    """
    check_png(path)
    write_png(_draw(image, result, title), path, overwrite=overwrite)


def validation_picture(path: str, validation: Validation, *, title: str = "", overwrite: bool = False) -> None:
    """Write a PNG of the first round of each kind of hole: truth, what was hidden, two fills and their errors.

    Parameters
    ----------
    path : str
        Output, ending in `.png`.
    validation : Validation
        From `gencosmo.validate`; at most four kinds are shown.
    title : str
        One line on top, for example the file name.
    overwrite : bool
        Replace an existing picture.

    Raises
    ------
    UsageError
        `exists`, or an ending other than `.png`.
    """
    check_png(path)
    from PIL import Image as Canvas
    from PIL import ImageDraw

    shown = [(kind, shot) for kind, shot in zip(validation.kinds, validation.shown, strict=False)][:4]
    size, columns = _PANEL * 2 // 3, 6
    row_height = _TITLE + size + _GAP
    canvas = Canvas.new("RGB", (_GAP + columns * (size + _GAP), _TITLE + len(shown) * row_height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, 6), f"{title}   errors in units of the noise, -5 blue to 5 red".strip(), fill=_INK, font=_font(15))
    for number, (kind, shot) in enumerate(shown):
        top = _TITLE + number * row_height
        figures = kind.fillers["gencosmo"].rms, kind.fillers[kind.best_classical].rms
        names = (kind.kind, "hidden", f"gencosmo, rms {figures[0]:.2f}",
                 f"{shot.rival}, best classical rms {figures[1]:.2f}", "error of gencosmo", "error")  # fmt: skip
        for place, (pixels, name) in enumerate(zip(_validation_panels(shot), names, strict=True)):
            left = _GAP + place * (size + _GAP)
            draw.text((left, top + 6), name, fill=_INK, font=_font(11))
            upright = pixels[::-1] if rows_go_up(shot.image) else pixels
            picture_of = Canvas.fromarray(upright).resize((size, size), Canvas.Resampling.NEAREST)
            canvas.paste(picture_of, (left, top + _TITLE))
    write_png(canvas, path, overwrite=overwrite)


def noise_picture(path: str, laws: Sequence[PhotonNoise], *, title: str = "", overwrite: bool = False) -> None:
    """Write a PNG of variance against level: the points of each channel's fit and the line through them.

    Parameters
    ----------
    path : str
        Output, ending in `.png`.
    laws : sequence of PhotonNoise
        From `gencosmo.estimate_noise`, at most four are shown; grey points counted little, as structure.
    title : str
        One line on top.
    overwrite : bool
        Replace an existing picture.

    Raises
    ------
    UsageError
        `exists`, or an ending other than `.png`.
    """
    check_png(path)
    from PIL import Image as Canvas
    from PIL import ImageDraw

    shown = [law for law in laws if law.points is not None][:4]
    canvas = Canvas.new("RGB", (_GAP + len(shown) * (_PANEL + _GAP), 2 * _TITLE + _PANEL + _BAR), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, 6), _fitting(draw, title, "variance against level", canvas.width), fill=_INK, font=_font(15))
    for number, law in enumerate(shown):
        _draw_law(draw, law, _GAP + number * (_PANEL + _GAP), 2 * _TITLE)
    write_png(canvas, path, overwrite=overwrite)


def _fitting(draw: ImageDraw, title: str, words: str, width: int) -> str:
    """Title and words in one line; of a title that is too long its end, which tells files apart."""
    kept, text = title, f"{title}   {words}".strip()
    while kept and draw.textlength(text, font=_font(15)) > width - 2 * _GAP:
        kept = kept[1:]
        text = f"...{kept}   {words}"
    return text


def _draw_law(draw: ImageDraw, law: PhotonNoise, left: int, top: int) -> None:
    """One panel: axes from the darkest to the brightest level and from zero to the largest variance."""
    points = law.points
    assert points is not None
    low, high = float(points.level.min()), float(points.level.max())
    ceiling = 1.05 * float(max(points.variance.max(), law.variance(high)))

    def place(level: float, variance: float) -> tuple[float, float]:
        across = (level - low) / max(high - low, 1e-30)
        return left + across * _PANEL, top + _PANEL * (1 - variance / ceiling)

    draw.rectangle((left, top, left + _PANEL, top + _PANEL), outline=(90, 90, 96))
    for level, variance, weight in zip(points.level, points.variance, points.weight, strict=True):
        x, y = place(level, variance)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_MASKED if weight > 0.5 else (120, 120, 126))
    draw.line([place(x, float(law.variance(x))) for x in np.linspace(low, high, 50)], fill=_INK, width=2)
    told = f"gain {law.gain:.4g}  read noise {law.read_noise:.3g}"
    told = told if law.slope else f"noise {law.read_noise:.4g} at every level"
    draw.text((left, top - 20), told, fill=_INK, font=_font(13))
    draw.text((left, top + _PANEL + 6), f"{low:.4g}", fill=_INK, font=_font(12))
    draw.text((left + _PANEL, top + _PANEL + 6), f"{high:.4g}", fill=_INK, font=_font(12), anchor="ra")
    draw.text((left + _PANEL - 4, top + 4), f"{ceiling:.4g}", fill=_INK, font=_font(12), anchor="ra")


def _validation_panels(shot: Shown) -> list[NDArray[np.uint8]]:
    """Six square panels of the place with the most hidden pixels."""
    row, col = _densest(shot.hidden)
    cut = np.s_[row : row + _ZOOM, col : col + _ZOOM]
    truth, hidden, bad = shot.image.data[0][cut], shot.hidden[cut], shot.image.mask[0][cut]
    fills = [shot.result.mean.reshape(shot.hidden.shape)[cut], shot.rival_fill[cut]]
    limits = display_limits(truth, ~bad)
    errors = [np.where(hidden, (fill - truth) / shot.noise, 0) for fill in fills]
    panels = [_grey(truth, limits, bad), _bare_mask(hidden), *(_grey(fill, limits) for fill in fills)]
    return [*panels, *(_signed(error) for error in errors)]


def _signed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Blue below zero, red above, grey at zero; full at five."""
    part = np.clip(values / 5, -1, 1)[..., np.newaxis]
    ends = np.where(part < 0, np.array((70, 130, 250)), np.array((250, 90, 60)))
    shown: NDArray[np.uint8] = np.rint(40 + np.abs(part) * (ends - 40)).astype(np.uint8)
    return shown


@dataclass(frozen=True)
class _Planes:
    before: NDArray[np.float32]
    missing: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    after: NDArray[np.float32]
    std: NDArray[np.float32]

    def window(self, row: int, col: int, size: int) -> _Planes:
        cut = np.s_[row : row + size, col : col + size]
        return _Planes(self.before[cut], self.missing[cut], self.mask[cut], self.after[cut], self.std[cut])


def _planes(image: Image, result: Result) -> _Planes:
    from gencosmo.flags import bits

    mask = image.mask
    channel = int(np.argmax(mask.reshape(mask.shape[0], -1).sum(axis=1)))
    no_data = np.uint32(bits("NO_DATA"))
    missing = np.zeros_like(mask[channel]) if image.flags is None else (image.flags[channel] & no_data) != 0
    after = result.mean.reshape(image.shape)[channel]
    return _Planes(image.data[channel], missing, mask[channel], after, result.std.reshape(image.shape)[channel])


def _draw(image: Image, result: Result, title: str) -> Any:
    from PIL import Image as Canvas
    from PIL import ImageDraw

    planes = _planes(image, result)
    limits = display_limits(planes.after, ~planes.mask)
    rows = [planes]
    height, width = planes.mask.shape
    if max(height, width) > 2 * _ZOOM and planes.mask.any():
        rows.append(planes.window(*_densest(planes.mask), _ZOOM))
    panel_height = [_panel_size(row.mask.shape)[0] for row in rows]
    canvas = Canvas.new(
        "RGB",
        (_GAP + 4 * (_PANEL + _GAP), _TITLE + sum(panel_height) + len(rows) * (_TITLE + _GAP) + _BAR),
        _PAPER,
    )
    draw = ImageDraw.Draw(canvas)
    words = f"{title}   {height}x{width} px, {int(planes.mask.sum())} filled, target {result.target}"
    draw.text((_GAP, 6), words.strip(), fill=_INK, font=_font(15))
    top = _TITLE
    peak = _peak(planes.std)
    for number, row in enumerate(rows):
        names = ("before", "mask", "after", "std") if number == 0 else ("detail", "", "", "")
        _draw_row(canvas, draw, row, top, limits, peak, names, up=rows_go_up(image))
        top += panel_height[number] + _TITLE + _GAP
    _draw_bars(canvas, draw, top, limits, peak, result.unit or "")
    return canvas


def _draw_row(
    canvas: Any, draw: ImageDraw, row: _Planes, top: int, limits: Limits, peak: float, names: tuple[str, ...], *,
    up: bool,
) -> None:  # fmt: skip
    from PIL import Image as Canvas

    panels = (
        _grey(row.before, limits, row.missing),
        _bare_mask(row.mask),
        _grey(row.after, limits),
        _hot(row.std, peak),
    )
    size = _panel_size(row.mask.shape)
    for place, (pixels, name) in enumerate(zip(panels, names, strict=True)):
        left = _GAP + place * (_PANEL + _GAP)
        draw.text((left, top + 6), name, fill=_INK, font=_font(13))
        shown = Canvas.fromarray(pixels[::-1] if up else pixels).resize((size[1], size[0]), Canvas.Resampling.NEAREST)
        canvas.paste(shown, (left, top + _TITLE))


def _draw_bars(canvas: Any, draw: ImageDraw, top: int, limits: Limits, peak: float, unit: str) -> None:
    from PIL import Image as Canvas

    steps = np.linspace(0, 1, _PANEL)
    values = limits.low + steps * (limits.high - limits.low)
    bars = (
        (0, _grey(np.tile(values, (10, 1)), limits), limits.low, limits.high),
        (3, _hot(np.tile(steps * peak, (10, 1)), peak), 0.0, peak),
    )
    for place, pixels, low, high in bars:
        left = _GAP + place * (_PANEL + _GAP)
        canvas.paste(Canvas.fromarray(pixels), (left, top))
        draw.text((left, top + 14), f"{low:.4g}", fill=_INK, font=_font(12))
        text = f"{high:.4g} {unit}".strip()
        draw.text((left + _PANEL, top + 14), text, fill=_INK, font=_font(12), anchor="ra")


def _panel_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width on the canvas: the longer side fills the panel."""
    height, width = shape
    scale = _PANEL / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _pool(values: NDArray[Any], *, largest: bool) -> NDArray[Any]:
    """Shrink to at most twice the panel, so that single masked pixels of large frames stay visible."""
    factor = max(1, max(values.shape) // _PANEL)
    if factor == 1:
        return values
    height, width = (n // factor * factor for n in values.shape)
    blocks = values[:height, :width].reshape(height // factor, factor, width // factor, factor)
    pooled: NDArray[Any] = blocks.max(axis=(1, 3)) if largest else blocks.mean(axis=(1, 3))
    return pooled


def _grey(values: NDArray[Any], limits: Limits, missing: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    tone = np.rint(255 * limits.scale(_pool(values, largest=False))).astype(np.uint8)
    shown = np.repeat(tone[..., np.newaxis], 3, axis=2)
    if missing is not None and missing.any():
        shown[_pool(missing, largest=True)] = _NO_DATA
    return shown


def _bare_mask(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    pooled = _pool(mask, largest=True)
    shown = np.full((*pooled.shape, 3), 40, np.uint8)
    shown[pooled] = _MASKED
    return shown


def _hot(std: NDArray[Any], peak: float) -> NDArray[np.uint8]:
    part = np.clip(_pool(std, largest=True) / peak, 0, 1) * (len(_SPREAD) - 1)
    low = np.minimum(part.astype(int), len(_SPREAD) - 2)
    share = (part - low)[..., np.newaxis]
    shown: NDArray[np.uint8] = np.rint(_SPREAD[low] * (1 - share) + _SPREAD[low + 1] * share).astype(np.uint8)
    return shown


def _peak(std: NDArray[np.float32]) -> float:
    spread = std[std > 0]
    return float(np.percentile(spread, 99)) if spread.size else 1.0


def _densest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the corner of the window with the most masked pixels, on a coarse grid of windows."""
    total = np.pad(np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1), ((1, 0), (1, 0)))
    height, width = mask.shape
    rows = np.unique(np.append(np.arange(0, max(1, height - _ZOOM), _ZOOM // 2), max(0, height - _ZOOM)))
    cols = np.unique(np.append(np.arange(0, max(1, width - _ZOOM), _ZOOM // 2), max(0, width - _ZOOM)))
    below, right = np.minimum(rows + _ZOOM, height), np.minimum(cols + _ZOOM, width)
    inside = (
        total[np.ix_(below, right)]
        - total[np.ix_(rows, right)]
        - total[np.ix_(below, cols)]
        + total[np.ix_(rows, cols)]
    )
    place = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return int(rows[place[0]]), int(cols[place[1]])


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)
