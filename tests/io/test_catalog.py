"""Catalogues: positions, columns, flags, formats, regions."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.table import Table
from astropy.wcs import WCS

from gencosmo.commands.rank import run_rank
from gencosmo.commands.score import Outputs, Scoring, run_score
from gencosmo.errors import UsageError
from gencosmo.flags import bits
from gencosmo.image import as_image
from gencosmo.io.catalog import (
    COLUMNS,
    catalog,
    check_catalog,
    regions_text,
    sky_cards,
    write_catalog,
    write_regions,
)
from gencosmo.io.fits import ReadOptions
from gencosmo.result import Result
from gencosmo.strips import contact_sheet, explanation_strips, told_p
from gencosmo.tasks.anomaly import Explanation


def header() -> Header:
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 25.0, "CRPIX2": 20.0}
    return Header({**cards, "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4})


def scored(*, sky: bool = True, peaks: np.ndarray | None = None) -> Result:
    """A map with a hit of three pixels in the middle and a dip at the edge, beside a masked and a saturated pixel."""
    image = as_image(np.full((40, 50), 10.0, np.float32))
    flags = np.zeros(image.shape, np.uint32)
    flags[0, 19, 32], flags[0, 39, 0] = bits("BAD"), bits("SATURATED")
    image = image.replace(flags=flags, unit="adu", wcs=header() if sky else None)
    anomaly = np.zeros((40, 50), np.float32)
    anomaly[20, 30:33], anomaly[38:40, 0] = (8, 12, 8), -6
    mean = image.data[0] - anomaly
    source = np.zeros(image.shape, np.uint8)
    source[0, 20, 30:33] = 5
    shape = (2, *image.shape)
    why = Explanation(
        ("1px", "4px"), ("1", "3", "7", "line"), np.zeros(shape, np.float32), np.full(shape, 9, np.float32), source,
        np.zeros(shape, np.float32),
    )  # fmt: skip
    meta = {"image": image, "explanation": why, "tile": 16, "peaks": peaks, "p_value_kind": "nominal", "tiles": None}
    std = np.full((40, 50), 2.0, np.float32)
    return Result(
        mean, std, anomaly_map=anomaly, anomaly_score=12.0, p_value=1e-9, meta=meta, provenance={"prior": "p"}
    )


def test_regions_are_measured() -> None:
    table = catalog(scored(), file="a.fits")
    assert table.colnames == list(COLUMNS) and len(table) == 2
    first, second = table
    assert (first["x_0"], first["y_0"]) == pytest.approx((31.0, 20.0))
    assert (first["x_min"], first["x_max"], first["y_min"], first["y_max"]) == (30, 32, 20, 20)
    assert (first["area_px"], first["peak_sig"], first["scale"], first["scale_px"]) == (3, 12.0, "4px/3", 4.0)
    assert first["flux"] == pytest.approx(28.0) and first["flux_err"] == pytest.approx(2 * math.sqrt(3))
    assert first["mass_sig"] == pytest.approx(28 / math.sqrt(3)) and first["major_px"] > 2 * first["minor_px"]
    assert first["flags"] == "NEAR_MASKED,NOMINAL" and second["flags"] == "EDGE,NEAR_MASKED,NOMINAL,SATURATED"
    assert second["peak_sig"] == -6 and first["p_value"] < second["p_value"] < 1e-5
    assert first["tile"] == "1,1" and first["file"] == "a.fits" and first["model"] == "p"
    assert table["flux"].unit == "adu"


def test_positions_on_the_sky() -> None:
    row = catalog(scored())[0]
    place = WCS(header()).pixel_to_world(31.0, 20.0)
    assert (row["ra"], row["dec"]) == pytest.approx((place.ra.deg, place.dec.deg), abs=1e-9)
    assert np.isnan(catalog(scored(sky=False))["ra"]).all()


def test_an_odd_header_gives_no_position() -> None:
    result = scored()
    bad = header()
    bad["CTYPE1"] = "NONSENSE"
    image = result.meta["image"].replace(wcs=bad)
    again = Result(result.mean, result.std, anomaly_map=result.anomaly_map, meta={**result.meta, "image": image})
    assert np.isnan(catalog(again)["dec"]).all()


def test_nothing_found_is_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    table = catalog(scored(), threshold=50)
    assert len(table) == 0 and table.colnames == list(COLUMNS)
    for ending in ("ecsv", "vot", "fits", "csv"):
        write_catalog(table, tmp_path / f"empty.{ending}")
    assert regions_text(table).count("\n") == 2


@pytest.mark.parametrize("ending", ["ecsv", "csv", "vot", "fits"])
def test_formats_come_back(tmp_path: Path, ending: str) -> None:
    table = catalog(scored())
    path = tmp_path / f"c.{ending}"
    write_catalog(table, path)
    again = Table.read(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable"}.get(ending, ending))
    assert again.colnames == table.colnames
    assert np.allclose(np.asarray(again["peak_sig"]), np.asarray(table["peak_sig"]))
    assert [str(flag) for flag in again["flags"]] == [str(flag) for flag in table["flags"]]
    with pytest.raises(UsageError, match="exists"):
        write_catalog(table, path)


def test_ucds_reach_the_votable(tmp_path: Path) -> None:
    write_catalog(catalog(scored()), tmp_path / "c.vot")
    text = (tmp_path / "c.vot").read_text()
    assert 'ucd="pos.eq.ra;meta.main"' in text and 'ucd="stat.likelihood"' in text


def test_regions_name_the_rows(tmp_path: Path) -> None:
    table = catalog(scored())
    write_regions(table, tmp_path / "c.reg")
    text = (tmp_path / "c.reg").read_text()
    assert "icrs; point(" in text and "image; ellipse(32.000,21.000" in text and "text={1 +12.0}" in text
    assert "icrs" not in regions_text(catalog(scored(sky=False)))


def test_results_without_a_map_and_odd_options() -> None:
    plane = np.zeros((4, 4), np.float32)
    with pytest.raises(UsageError, match="no anomaly map"):
        catalog(Result(plane, plane))
    with pytest.raises(UsageError, match="threshold"):
        catalog(scored(), threshold=0)
    with pytest.raises(UsageError, match=r"expected one of \.ecsv"):
        write_catalog(catalog(scored()), "c.xlsx")


def test_strips_and_contact_sheet_show_what_they_say(tmp_path: Path) -> None:
    from PIL import Image as Picture

    result = scored()
    explanation_strips(str(tmp_path / "s.png"), result, catalog(result), title="a")
    picture = np.asarray(Picture.open(tmp_path / "s.png"))
    assert (picture[..., 0].astype(int) - picture[..., 2] > 80).any(), "no red where more was seen"
    explanation_strips(str(tmp_path / "none.png"), result, catalog(result, threshold=20.0), title="a")
    whole = np.asarray(Picture.open(tmp_path / "none.png")).astype(int)
    assert (whole[..., 0] - whole[..., 2] > 80).any(), "without a detection the whole map is shown"
    images = [result.meta["image"]] * 3
    contact_sheet(str(tmp_path / "c.png"), images, ["a", "b", "c"], across=2)
    assert Picture.open(tmp_path / "c.png").size[0] < picture.shape[1]
    with pytest.raises(UsageError, match="exists"):
        contact_sheet(str(tmp_path / "c.png"), images, ["a", "b", "c"])
    with pytest.raises(UsageError, match="png"):
        explanation_strips(str(tmp_path / "s.jpg"), result, catalog(result))


@pytest.mark.parametrize(
    ("p_value", "words"), [(0.25, "p 0.25"), (3e-12, "p 3e-12"), (0.0, "p < 1e-300"), (math.nan, "no score")]
)
def test_p_values_in_words(p_value: float, words: str) -> None:
    assert told_p(p_value) == words


def test_every_tile_was_a_test_and_not_only_those_with_a_region() -> None:
    """One p of 0.016 among six tiles is what chance brings; among one it would be believed at 5 %."""
    one = scored()
    assert one.anomaly_map is not None
    one.anomaly_map[:] = 0
    one.anomaly_map[20, 31] = 4.0
    row = catalog(one, threshold=3.5)[0]
    assert row["p_value"] == pytest.approx(256 * 2 * 3.17e-5, rel=0.02) and not row["believed"]
    wide = replace(one, meta={**one.meta, "tile": 50})
    assert catalog(wide, threshold=3.5, rate=0.2)[0]["believed"]
    image = one.meta["image"]
    flags = np.full(image.shape, bits("BAD"), np.uint32)
    flags[0, 16:, 16:33] = 0
    part = replace(one, meta={**one.meta, "image": image.replace(flags=flags)})
    assert catalog(part, threshold=3.5)[0]["believed"], "what is masked throughout is no test"


def test_a_tile_is_the_one_that_was_scored() -> None:
    """Planes are cut into nearly equal tiles: 40 x 50 pixels by 16 are 2 x 3."""
    one = scored()
    assert one.anomaly_map is not None
    one.anomaly_map[:] = 0
    one.anomaly_map[19, 17] = 9
    assert catalog(one)[0]["tile"] == "0,1"


def test_the_sky_of_a_part_begins_where_it_begins() -> None:
    image = scored().meta["image"]
    cards = sky_cards(image, (7, 3))
    part, whole = WCS(Header({key: value for key, (value, _) in cards.items()})), WCS(header())
    assert np.allclose(part.pixel_to_world_values(10, 20), whole.pixel_to_world_values(13, 27), rtol=0, atol=1e-9)
    assert sky_cards(scored(sky=False).meta["image"]) == {}


def test_a_format_that_cannot_be_written_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pyarrow"):
        check_catalog(".parquet")
    with pytest.raises(UsageError, match="pyarrow"):
        run_score(["not there.fits"], Outputs("out", "parquet"), Scoring(), ReadOptions())
    with pytest.raises(UsageError, match="pyarrow"):
        run_rank("nowhere", "out", Scoring(), ending="parquet", top=1, overwrite=False, as_json=False)
    check_catalog(".vot")
