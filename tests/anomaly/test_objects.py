"""Objects of a tile: joined regions, long ridges, fine detail; and a view of them that is given nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gencosmo.anomaly.calibration import Sample, calibrate, given_of, values_of
from gencosmo.anomaly.objects import LEAST_CONTRAST, NOISES, OBJECTS, contrast, objects
from gencosmo.anomaly.photometry import LIGHT, tile_figures
from gencosmo.anomaly.staged import stage

Array = NDArray[np.float64]
SIDE = 64
ALL = np.ones((SIDE, SIDE), np.bool_)
ROWS, COLS = np.mgrid[:SIDE, :SIDE]
COUNT, AREA, LENGTH, ELONGATION, RAGGED, BRIGHTEST, LIT = range(1, 8)
"""Places of the figures of regions at the first height; those of the next height are seven further on."""
RIDGE_IN_SHARES, MEDIAN_HIGH, MEDIAN_LOW = 31, 32, 34


def cells(seed: int, height: float = 60.0) -> Array:
    """Round bright cells on white noise."""
    rng = np.random.default_rng(seed)
    tile = rng.standard_normal((SIDE, SIDE))
    for row, col in rng.uniform(10, SIDE - 10, (5, 2)):
        tile += height * np.exp(-((((ROWS - row) ** 2 + (COLS - col) ** 2) / 50.0) ** 2))
    return tile


def line(angle: float = 0.6, bend: float = 0.0) -> Array:
    """A line through the tile, 1 high."""
    along = (ROWS - 32) * np.sin(angle) + (COLS - 32) * np.cos(angle)
    across = (ROWS - 32) * np.cos(angle) - (COLS - 32) * np.sin(angle)
    return np.asarray(np.exp(-((across - bend * along**2) ** 2) / 4.0))


def test_a_bar_has_the_shape_that_it_has() -> None:
    bar = np.zeros((SIDE, SIDE))
    bar[30:34, 10:50] = 100.0
    found = objects(bar, ALL)
    assert found.shape == (OBJECTS,)
    # smoothed, it is wider by the pixels that still reach the height
    rows, cols = 4 + 2 * 2, 40 + 2 * 2
    assert found[COUNT] == pytest.approx(np.log(2))
    assert found[AREA] == pytest.approx(np.log1p(rows * cols), abs=0.1)
    assert found[LENGTH] == pytest.approx(np.log(cols / np.sqrt(12)), abs=0.1)
    assert found[ELONGATION] == pytest.approx(np.log(cols / rows), abs=0.1)
    assert found[RAGGED] == pytest.approx(np.log(np.pi / 3), abs=0.1), "a rectangle in its ellipse"
    inside = 100.0 * 4 * 40 - NOISES[0] * rows * cols
    assert np.sinh(found[BRIGHTEST]) == pytest.approx(inside, rel=0.02) == np.sinh(found[LIT])


def test_a_faint_trail_joins_pixels_into_one_long_region() -> None:
    plain, crossed = (np.array([objects(cells(k, 0.0) + by * line(), ALL) for k in range(6)]) for by in (0.0, 2.5))
    assert crossed[:, LENGTH].min() > plain[:, LENGTH].max() + 1.0
    assert crossed[:, AREA].min() > plain[:, AREA].max() + 1.0


def test_a_fibre_among_bright_cells_is_the_longest_ridge() -> None:
    plain, crossed = (
        np.array([objects(cells(k) + by * line(bend=0.004), ALL) for k in range(6)]) for by in (0.0, 40.0)
    )
    assert crossed[:, RIDGE_IN_SHARES].min() > plain[:, RIDGE_IN_SHARES].max() + 1.0
    dust = np.array([objects(cells(k) - 40.0 * line(bend=0.004), ALL) for k in range(6)])
    assert np.median(dust[:, RIDGE_IN_SHARES]) < crossed[:, RIDGE_IN_SHARES].min() - 0.5, "a ridge rises"


def test_heights_that_are_shares_follow_the_contrast_and_those_in_noises_do_not() -> None:
    quiet = ALL * 0.0 + cells(3, 50.0) - np.random.default_rng(3).standard_normal((SIDE, SIDE))
    one, other = objects(quiet, ALL), objects(20 * quiet, ALL)
    shapes = [7 * height + k for height in (2, 3) for k in (COUNT, AREA, LENGTH, ELONGATION, RAGGED)]
    assert np.allclose(one[shapes], other[shapes]) and one[AREA] < other[AREA]
    assert contrast(20 * quiet) == pytest.approx(20 * contrast(quiet))
    assert contrast(np.zeros((SIDE, SIDE))) == LEAST_CONTRAST


def test_single_pixels_and_holes_are_details_of_their_own_sign() -> None:
    tile = cells(4, 0.0)
    hot, dead = tile.copy(), tile.copy()
    hot[20, 20] += 40
    dead[20, 20] -= 40
    plain, up, down = (objects(one, ALL) for one in (tile, hot, dead))
    assert up[MEDIAN_HIGH] > plain[MEDIAN_HIGH] + 1.5 and up[MEDIAN_LOW] == plain[MEDIAN_LOW]
    assert down[MEDIAN_LOW] > plain[MEDIAN_LOW] + 1.5 and down[MEDIAN_HIGH] == plain[MEDIAN_HIGH]


def test_nothing_and_holes() -> None:
    empty = objects(np.zeros((8, 8)), np.ones((8, 8), np.bool_))
    assert np.isfinite(empty).all() and empty[0] == pytest.approx(np.log(LEAST_CONTRAST))
    assert not empty[1:].any()
    holes = ALL.copy()
    holes[10:20, 5:30] = False
    torn = [np.where(holes, cells(5), value) for value in (np.nan, 1e9)]
    assert np.array_equal(*(objects(one, holes) for one in torn)) and np.isfinite(objects(torn[0], holes)).all()


@pytest.mark.parametrize(("kind", "highest"), [("fibre", 121), ("body", 450)])
def test_what_lies_among_cells_is_staged_as_high_as_they_are(kind: str, highest: float) -> None:
    high = []
    for tile in (cells(6, 0.0), cells(6, 80.0)):
        added = [np.abs(stage(kind, np.random.default_rng(k), tile, ALL) - tile).max() for k in range(40)]
        assert min(added) > 1.0
        high.append(max(added))
    assert 40 < high[1] < highest and high[0] < 0.3 * high[1]


def sample(tiles: list[Array]) -> Sample:
    rows = np.array([tile_figures(tile.astype(np.float32), ALL) for tile in tiles])
    count, depth = len(tiles), np.linspace(-1, 1, len(tiles))[:, None]
    features = {"figures": rows, "objects": rows}
    return Sample(np.arange(count), np.zeros((count, 5), np.int64), features, depth, np.zeros(count))


def test_the_view_of_objects_is_given_nothing_and_sees_that_a_tile_is_empty() -> None:
    """Light explains why an empty tile has no source; that it has none is what is odd in it."""
    normals, new = sample([cells(k) for k in range(40)]), sample([cells(k) for k in range(100, 106)])
    empty = sample([cells(k, 0.0) for k in range(200, 206)])
    assert given_of("objects", new).shape == (6, 0)
    assert given_of("figures", new).shape == (6, 1 + 2 * LIGHT)
    assert np.array_equal(values_of("objects", new), new.features["objects"][:, :OBJECTS])
    assert values_of("figures", new).shape[1] == new.features["figures"].shape[1] - LIGHT
    calibration = calibrate(normals, None, folds=5, seed=0)
    plain, found = calibration.judge(new), calibration.judge(empty)
    assert found.margins["objects"].min() > max(0.0, plain.margins["objects"].max())
    assert found.views["objects"].max() < 1 / 40 and found.score.min() > plain.score.max()
