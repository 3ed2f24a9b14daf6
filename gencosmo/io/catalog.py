"""Anomaly catalogues: from a scored `Result` to a table with sky positions, and to files and DS9 regions."""

from __future__ import annotations

import importlib.util
import io
import math
import os
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gencosmo.anomaly.conformal import Calibrated, benjamini_hochberg
from gencosmo.anomaly.maps import Tiles
from gencosmo.anomaly.regions import Region, find_regions
from gencosmo.errors import UsageError
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.io.atomic import write_atomic
from gencosmo.result import Result

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "ENDINGS",
    "catalog",
    "check_catalog",
    "plain_table",
    "regions_text",
    "sky_cards",
    "write_catalog",
    "write_regions",
]

ENDINGS = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".vot": "votable",
    ".xml": "votable",
    ".fits": "fits",
    ".parquet": "parquet",
}
"""Endings of catalogue files, and astropy's names of their formats."""
COLUMNS: dict[str, tuple[str, str, str]] = {
    "id": ("", "meta.id;meta.main", "number, most significant first"),
    "ra": ("deg", "pos.eq.ra;meta.main", "right ascension of the centre, NaN without a WCS"),
    "dec": ("deg", "pos.eq.dec;meta.main", "declination of the centre, NaN without a WCS"),
    "x_0": ("pix", "pos.cartesian.x;instr.pixel", "column of the centre, 0-based"),
    "y_0": ("pix", "pos.cartesian.y;instr.pixel", "row of the centre, 0-based"),
    "x_min": ("pix", "pos.cartesian.x;stat.min", "first column, 0-based"),
    "x_max": ("pix", "pos.cartesian.x;stat.max", "last column"),
    "y_min": ("pix", "pos.cartesian.y;stat.min", "first row, 0-based"),
    "y_max": ("pix", "pos.cartesian.y;stat.max", "last row"),
    "score": ("", "stat.likelihood", "surprise -ln(p) of the peak"),
    "score_std": ("", "stat.stdev", "scatter of the deviations at the peak over the scales"),
    "p_value": ("", "stat.probability", "probability that a normal tile holds a peak so high"),
    "believed": ("", "meta.code", "kept by Benjamini-Hochberg at the catalogue's rate, every tile of the image a test"),
    "peak_sig": ("", "stat.snr", "largest deviation, Gaussian sigmas, signed"),
    "mass_sig": ("", "stat.snr", "sum of the deviations over the square root of the area, signed"),
    "area_px": ("pix2", "phys.angArea;instr.pixel", "pixels above the threshold"),
    "flux": ("unit", "phot.flux", "seen minus predicted, summed over the region"),
    "flux_err": ("unit", "stat.error;phot.flux", "its standard deviation, pixels taken as independent"),
    "scale_px": ("pix", "instr.scale", "size at which it stands out most"),
    "scale": ("", "meta.note", "scale and average at which it stands out most"),
    "major_px": ("pix", "phys.angSize.smajAxis", "root mean square size along the long axis"),
    "minor_px": ("pix", "phys.angSize.sminAxis", "root mean square size across it"),
    "angle": ("deg", "pos.posAng", "long axis from the columns towards the rows"),
    "flags": ("", "meta.code", "EDGE, NEAR_MASKED, SATURATED, EXTRAPOLATED, NOMINAL, OUTSIDE"),
    "channel": ("", "meta.number", "channel of the image"),
    "tile": ("", "meta.id.part", "tile of the image, row and column"),
    "model": ("", "meta.modelled", "prior"),
    "file": ("", "meta.file", "input"),
    "hdu": ("", "meta.id.part", "HDU of the input"),
}
"""Unit, UCD and meaning of every column."""


def catalog(
    result: Result,
    *,
    threshold: float = 5.0,
    least_pixels: int = 1,
    rate: float = 0.05,
    file: str = "",
    origin: tuple[int, int] = (0, 0),
) -> Table:
    """Catalogue of what stands out of a scored image.

    Parameters
    ----------
    result : Result
        Of `gencosmo.score`.
    threshold : float
        Deviation, in Gaussian sigmas, that every pixel of a region exceeds.
    least_pixels : int
        Smaller regions are left out.
    rate : float
        False discovery rate of the column `believed`.
    file : str
        What the column `file` says.
    origin : (int, int)
        Row and column at which the scored image begins in its file; positions are those in the file.

    Returns
    -------
    astropy.table.Table
        A row per region, the most significant first; columns, units and UCDs as in `COLUMNS`. `p_value` is the
        probability that a normal tile holds a peak so high, by counting when the result comes from a detector, else
        nominal and flagged so.

    Raises
    ------
    UsageError
        When the result was not made by `gencosmo.score`, or photutils is missing.
    """
    from astropy.table import Table

    if result.anomaly_map is None or "explanation" not in result.meta:
        raise UsageError("this result has no anomaly map", code="not_scored", hint="use gencosmo.score")
    if not threshold > 0 or least_pixels < 1:
        raise UsageError(f"threshold {threshold}, least_pixels {least_pixels}: expected above 0, and at least 1")
    image: Image = result.meta["image"]
    planes = result.anomaly_map.reshape(image.shape)
    rows: list[dict[str, Any]] = []
    for channel in range(image.shape[0]):
        for region in find_regions(planes[channel], image.mask[channel], threshold, least_pixels):
            rows.append(_row(result, image, channel, region, file, origin))
    rows.sort(key=lambda row: -abs(row["peak_sig"]))
    believed = benjamini_hochberg(_asked([row["p_value"] for row in rows], image, result.meta["tile"], rows), rate)
    for number, row in enumerate(rows, start=1):
        row |= {"id": number, "believed": bool(believed[number - 1])}
    table = _table(Table, rows, image)
    table.meta = {
        "prior": result.provenance.get("prior", ""),
        "threshold": threshold,
        "fdr": rate,
        "p_value_kind": result.meta["p_value_kind"],
        "origin": list(origin),
        "image_score": float(result.anomaly_score or 0.0),
        "image_p_value": float("nan") if result.p_value is None else float(result.p_value),
    }
    return table


def _asked(found: list[float], image: Image, side: int, rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    """p-values of the regions, and a NaN for every tile that was looked at and holds none: it was a test as well."""
    seen = 0
    for plane in image.mask:
        seen += int((Tiles.of(plane.shape, side).reduce(np.add, (~plane).astype(np.int64)) > 0).sum())
    bare = seen - len({(row["channel"], row["tile"]) for row in rows})
    return np.array([*found, *[math.nan] * bare])


def _tile_of(shape: tuple[int, ...], side: int, row: int, col: int) -> str:
    """Number of the tile that holds a pixel, down and across."""
    tiles = Tiles.of((shape[-2], shape[-1]), side)
    down, across = (int(np.searchsorted(a, b, "right")) - 1 for a, b in ((tiles.rows, row), (tiles.cols, col)))
    return f"{down},{across}"


def _table(kind: Any, rows: list[dict[str, Any]], image: Image) -> Any:
    types = dict.fromkeys(COLUMNS, "f8")
    types |= dict.fromkeys(("id", "x_min", "x_max", "y_min", "y_max", "area_px", "channel"), "i8")
    types |= {"believed": "bool"} | dict.fromkeys(("flags", "scale", "tile", "model", "file", "hdu"), "U1")
    columns = {}
    for name, dtype in types.items():
        values = [row[name] for row in rows]
        columns[name] = np.array(values, None if dtype == "U1" and values else dtype)
    table = kind(columns)
    for name, (unit, ucd, meaning) in COLUMNS.items():
        if unit:
            table[name].unit = _unit(image) if unit == "unit" else unit
        table[name].description = meaning
        table[name].meta["ucd"] = ucd
    return table


def _unit(image: Image) -> Any:
    from astropy.units import Unit

    return Unit(image.unit, parse_strict="silent") if image.unit else None


def _row(
    result: Result, image: Image, channel: int, region: Region, file: str, origin: tuple[int, int]
) -> dict[str, Any]:
    why = result.meta["explanation"]
    top, bottom, left, right = region.box
    box = np.s_[channel, top : bottom + 1, left : right + 1]
    row, col = region.peak_at
    source = int(why.source[channel, row, col])
    scale, shape = why.scales[source // len(why.shapes)], why.shapes[source % len(why.shapes)]
    p, surprise, flags = _probability(result, region, channel)
    image_flags = None if image.flags is None else image.flags[box]
    if image_flags is not None and (image_flags & np.uint32(bits("SATURATED")) != 0).any():
        flags.append("SATURATED")
    flags += [name for name, set_ in (("EDGE", region.edge), ("NEAR_MASKED", region.near_masked)) if set_]
    down, across = origin
    ra, dec = _sky(image, region.row + down, region.col + across)
    seen, mean = image.data[box], result.mean.reshape(image.shape)[box]
    std = result.std.reshape(image.shape)[box]
    return {
        "ra": ra, "dec": dec, "x_0": region.col + across, "y_0": region.row + down,
        "x_min": left + across, "x_max": right + across, "y_min": top + down, "y_max": bottom + down,
        "score": surprise, "score_std": float(np.std(why.z[:, channel, row, col])), "p_value": p,
        "peak_sig": region.peak, "mass_sig": region.mass, "area_px": region.area,
        "flux": float((seen - mean)[region.pixels].sum(dtype=np.float64)),
        "flux_err": float(np.sqrt((std[region.pixels].astype(np.float64) ** 2).sum())),
        "scale_px": _pixels(scale, shape), "scale": f"{scale}/{shape}",
        "major_px": region.major, "minor_px": region.minor, "angle": region.angle,
        "flags": ",".join(sorted(flags)), "channel": channel,
        "tile": _tile_of(image.shape, result.meta["tile"], row, col),
        "model": str(result.provenance.get("prior", "")), "file": file, "hdu": str(image.meta.get("hdu", "")),
    }  # fmt: skip


def _pixels(scale: str, shape: str) -> float:
    """Size in pixels of a scale and an average."""
    block = float(scale.split("px")[0]) if "px" in scale else 1.0
    return max(block, {"line": 33.0}.get(shape) or float(shape))


def _probability(result: Result, region: Region, channel: int) -> tuple[float, float, list[str]]:
    """p-value of the peak among the peaks of normal tiles, its surprise, and flags."""
    size, tile = abs(region.peak), result.meta["tile"]
    if result.meta["peaks"] is None:
        pixels = min(tile * tile, result.mean.size)
        single = math.log(2.0) + float(special.log_ndtr(-size))
        p = -math.expm1(pixels * math.log1p(-math.exp(min(single, -1e-12))))
        surprise = -(single + math.log(pixels)) if single < -30 else -math.log(max(p, 1e-300))
        return max(p, 0.0), surprise, ["NOMINAL"]
    law = Calibrated(result.meta["peaks"])
    p_array, extrapolated = law.p_value(np.array([size]))
    flags = ["EXTRAPOLATED"] if extrapolated[0] else []
    tiles = result.meta["tiles"]
    row, col = region.peak_at
    mine = (tiles.channel == channel) & (tiles.row <= row) & (row < tiles.row + tiles.height)
    mine &= (tiles.col <= col) & (col < tiles.col + tiles.width)
    flags += ["OUTSIDE"] if tiles.outside[mine].any() else []
    return float(p_array[0]), float(law.surprise(np.array([size]))[0]), flags


def _sky(image: Image, row: float, col: float) -> tuple[float, float]:
    """Right ascension and declination, NaN when the image has no celestial WCS."""
    wcs = _celestial(image.wcs)
    if wcs is None:
        return math.nan, math.nan
    place = wcs.pixel_to_world(col, row).icrs
    return float(place.ra.deg), float(place.dec.deg)


def _celestial(given: Any) -> Any:
    """The celestial part of a header or WCS object, or None."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    if given is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(given) if isinstance(given, Header) else given
            return wcs.celestial if wcs.has_celestial else None
        except Exception:  # whatever a broken header makes of it: no positions, and the catalogue says NaN
            return None


def sky_cards(image: Image, origin: tuple[int, int] = (0, 0)) -> dict[str, tuple[Any, str]]:
    """FITS cards of the celestial WCS of an image whose first pixel is `origin` of the file; none without one."""
    wcs = _celestial(image.wcs)
    if wcs is None:
        return {}
    header = wcs.to_header(relax=True)
    for axis, begins in ((1, origin[1]), (2, origin[0])):
        header[f"CRPIX{axis}"] = header.get(f"CRPIX{axis}", 0.0) - begins
    return {card.keyword: (card.value, card.comment) for card in header.cards if card.keyword not in ("", "COMMENT")}


def plain_table(columns: dict[str, Any]) -> Table:
    """A table of these columns, in their order."""
    from astropy.table import Table

    return Table(columns)


def check_catalog(ending: str) -> None:
    """Refuse an ending before any work is done for it.

    Raises
    ------
    UsageError
        An unknown ending, or Parquet without pyarrow.
    """
    if ending.lower() not in ENDINGS:
        raise UsageError(f"{ending}: expected one of {', '.join(ENDINGS)}", code="format")
    if ENDINGS[ending.lower()] == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs the package pyarrow", code="extra", hint="pip install pyarrow")


def write_catalog(table: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a catalogue; the ending chooses the format (`ENDINGS`). The file appears whole or not at all.

    Raises
    ------
    UsageError
        An unknown ending, an existing file, or Parquet without pyarrow.
    """
    name = os.fspath(path)
    ending = os.path.splitext(name)[1]
    check_catalog(ending)
    write_atomic(name, [_bytes(table, ENDINGS[ending.lower()])], overwrite=overwrite)


def _bytes(table: Any, kind: str) -> bytes:
    if kind.startswith("ascii"):
        text = io.StringIO()
        table.write(text, format=kind)
        return text.getvalue().encode()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # FITS has no place for descriptions of columns
        path = os.path.join(folder, "catalogue")
        table.write(path, format=kind)
        with open(path, "rb") as file:
            return file.read()


def regions_text(table: Any) -> str:
    """DS9 regions: ellipses with the number as text, on the sky where there is one, else in pixels (1-based)."""
    lines = ["# Region file format: DS9", "global color=red width=1"]
    for row in table:
        major, minor = 2 * float(row["major_px"]) + 1, 2 * float(row["minor_px"]) + 1
        place = f"{float(row['x_0']) + 1:.3f},{float(row['y_0']) + 1:.3f}"
        shape = f"ellipse({place},{major:.2f},{minor:.2f},{float(row['angle']):.1f})"
        sky = math.isfinite(float(row["ra"]))
        if sky:
            point = f"{float(row['ra']):.7f},{float(row['dec']):.7f}"
            lines.append(f"icrs; point({point}) # point=cross text={{{row['id']}}}")
        lines.append(f"image; {shape} # text={{{row['id']} {float(row['peak_sig']):+.1f}}}")
    return "\n".join(lines) + "\n"


def write_regions(table: Any, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write DS9 regions of a catalogue."""
    write_atomic(os.fspath(path), [regions_text(table).encode()], overwrite=overwrite)
