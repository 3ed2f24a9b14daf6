"""Figures of a tile: what each is for stands out in it, wherever the tile's background and noise are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gencosmo.anomaly.calibration import Sample, calibrate
from gencosmo.anomaly.combination import LIKE, weights_of
from gencosmo.anomaly.conformal import fit_tail
from gencosmo.anomaly.density import fit_filter
from gencosmo.anomaly.ground import DISCS, LAGS, compact, glow, grain
from gencosmo.anomaly.hits import hits
from gencosmo.anomaly.photometry import tile_figures
from gencosmo.anomaly.shapes import NAMES, shapes
from gencosmo.anomaly.staged import STAGED, stage
from gencosmo.anomaly.streaks import streaks
from gencosmo.anomaly.views import forgiving

Array = NDArray[np.float64]
SIDE = 48
ALL = np.ones((SIDE, SIDE), np.bool_)


def sky(seed: int, stars: int = 6, angle: float | None = None) -> Array:
    """Round stars on white noise, or stars drawn out along one direction."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:SIDE, :SIDE]
    tile = rng.standard_normal((SIDE, SIDE))
    long = 1.5 if angle is None else 3.0
    turn = 0.0 if angle is None else angle
    for row, col in rng.uniform(8, SIDE - 8, (stars, 2)):
        along = (cols - col) * np.cos(turn) + (rows - row) * np.sin(turn)
        across = (rows - row) * np.cos(turn) - (cols - col) * np.sin(turn)
        tile += rng.uniform(20, 60) * np.exp(-(along**2) / (2 * long**2) - across**2 / (2 * 1.5**2))
    return tile


def named(tile: Array) -> dict[str, float]:
    return dict(zip(NAMES, shapes(tile, ALL).tolist(), strict=True))


def test_drawn_out_stars_are_blunt_and_aligned_in_any_direction() -> None:
    for angle in (0.0, 0.7, 1.9):
        drawn, plain = (np.mean([list(named(sky(k, 5, a)).values()) for k in range(8)], 0) for a in (angle, None))
        for name in ("aligned", "stretched", "blunt"):
            assert drawn[NAMES.index(name)] > plain[NAMES.index(name)] + 0.1, (name, angle)


def test_a_second_source_beside_the_first_makes_a_pair() -> None:
    rows, cols = np.mgrid[:SIDE, :SIDE]
    one = sky(1, 0) + 50 * np.exp(-((rows - 24) ** 2 + (cols - 24) ** 2) / 4.5)
    two = one + 40 * np.exp(-((rows - 24) ** 2 + (cols - 31) ** 2) / 4.5)
    assert named(one)["pair"] == 0 and named(two)["pair"] > np.log(30)


def test_an_arc_is_told_from_a_neighbour() -> None:
    rows, cols = np.mgrid[:SIDE, :SIDE]
    away, turn = np.hypot(rows - 24, cols - 24), np.arctan2(rows - 24, cols - 24)
    base = sky(2, 0) + 60 * np.exp(-(away**2) / 4.5)
    arc = base + 5 * np.exp(-((away - 8) ** 2) / 3.4) * (np.abs(turn) < 1.0)
    star = base + 5 * np.exp(-((rows - 24) ** 2 + (cols - 32) ** 2) / 3.4)
    assert named(arc)["arc"] > named(star)["arc"] + 0.3 > named(base)["arc"]


def test_a_faint_disc_glows_and_a_halo_does_not() -> None:
    rows, cols = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(rows - 22, cols - 25)
    plain, disc = sky(3, 0), sky(3, 0) + 1.0 * (away < 10)
    halo = sky(3, 0) + 300 * np.exp(-away / 2.5)
    rise = 2 * list(DISCS).index(9)
    found = [glow(tile, ALL, compact(tile, ALL))[rise] for tile in (plain, disc, halo)]
    assert found[1] > 6 > found[0] and found[1] > found[2]
    dark = glow(sky(3, 0) - 1.0 * (away < 10), ALL, compact(plain, ALL))
    assert dark[rise + 1] > 6


def test_the_grain_knows_smoothed_noise_and_its_direction() -> None:
    white = sky(4, 0)
    along = (white + np.roll(white, 1, axis=1)) / np.sqrt(2)
    none = np.zeros((SIDE, SIDE), np.bool_)
    found = dict(zip(LAGS, grain(along, ALL, none), strict=False))
    assert found[0, 1] == pytest.approx(0.5, abs=0.08) and abs(found[1, 0]) < 0.1
    assert np.abs(grain(white, ALL, none)[: len(LAGS)]).max() < 0.1


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.5])
def test_a_faint_line_is_found_among_stars(angle: float) -> None:
    rows, cols = np.mgrid[:SIDE, :SIDE]
    line = np.exp(-(((rows - 26) * np.cos(angle) - (cols - 22) * np.sin(angle)) ** 2) / 4.0)
    plain = np.array([streaks(sky(k, 2), ALL) for k in range(5)])
    for sign, which in ((1, 0), (-1, 1)):
        found = np.array([streaks(sky(k, 2) + sign * 2.0 * line, ALL)[which] for k in range(5)])
        assert np.median(found) > 1.5 + plain[:, which].max()
    galaxy = sky(9, 0) + 200 * np.exp(-np.hypot(rows - 20, (cols - 20) / 4) / 3)
    assert streaks(galaxy, ALL)[0] < found.max()
    short = np.ones((8, 30), np.bool_)
    assert streaks(np.zeros(short.shape), short).tolist() == [0.0, 0.0]


def test_a_hit_is_sharper_than_any_star() -> None:
    bright = sky(1, 0)
    rows, cols = np.mgrid[:SIDE, :SIDE]
    bright += 5000 * np.exp(-((rows - 20) ** 2 + (cols - 24.4) ** 2) / 2.9)
    pixel, track = bright.copy(), bright.copy()
    pixel[35, 12] += 12
    track[[33, 34, 34, 35, 36], [8, 9, 10, 11, 12]] += 10
    star, one, many = (hits(tile, ALL) for tile in (bright, pixel, track))
    assert one[0] > star[0] + 0.5 and many[1] > star[1] + 0.3
    assert np.array_equal(
        hits(np.where(rows == 35, np.nan, pixel), rows != 35), hits(bright * (rows != 35), rows != 35)
    )


def test_three_pixels_in_a_row_are_a_track_and_one_is_not() -> None:
    alone, row = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    alone[20, 20], row[20, 19:22] = 30, 30
    # a mean of three: a track keeps its light, a single pixel a third of it; noise sqrt(1/3)
    np.testing.assert_allclose(np.expm1(hits(row, ALL)[1]), 30 * np.sqrt(3), rtol=1e-6)
    np.testing.assert_allclose(np.expm1(hits(alone, ALL)[1]), 10 * np.sqrt(3), rtol=1e-6)


def test_figures_do_not_depend_on_units_and_bear_holes() -> None:
    tile = sky(5).astype(np.float32)
    one, other = tile_figures(tile, ALL), tile_figures(7 * tile - 300, ALL)
    # rounding may move a pixel over the threshold of a mask, and one figure with it
    assert np.isclose(one, other, rtol=0.02, atol=0.02).mean() > 0.9
    holes = ALL.copy()
    holes[10:20, 5:30] = False
    torn = np.where(holes, tile, np.float32(1e6))
    assert np.isfinite(tile_figures(torn, holes)).all()
    assert np.array_equal(tile_figures(torn, holes), tile_figures(np.where(holes, tile, np.float32(-5)), holes))
    for small in (np.zeros((8, 8), np.float32), np.full((9, 30), 4.0, np.float32)):
        assert np.isfinite(tile_figures(small, np.ones(small.shape, np.bool_))).all()


@pytest.mark.parametrize("kind", STAGED)
def test_staged_anomalies_change_tiles_and_leave_bad_pixels(kind: str) -> None:
    tile, scored = sky(6), ALL.copy()
    scored[:4] = False
    before = tile.copy()
    changed = stage(kind, np.random.default_rng(0), tile, scored)
    assert np.array_equal(tile, before) and (changed[:4] == 0).all() and np.isfinite(changed).all()
    assert np.abs(changed - np.where(scored, tile, 0)).max() > 0.3
    again = stage(kind, np.random.default_rng(0), tile, scored)
    assert np.array_equal(changed, again)
    for side in (8, 16):
        small = np.ones((side, side), np.bool_)
        assert np.isfinite(stage(kind, np.random.default_rng(1), sky(7)[:side, :side], small)).all()


def test_a_filter_finds_its_own_direction_under_correlated_scatter() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((6, 6))
    normal = rng.standard_normal((300, 6)) @ mixing
    shift = np.array([1.0, 0.5, 0, 0, 0, -0.5])
    none = np.zeros((300, 0))
    found = fit_filter(normal, none, normal[::2] + shift, none[::2])
    new = rng.standard_normal((500, 6)) @ mixing
    apart = found.score(new + shift, np.zeros((500, 0))).mean() - found.score(new, np.zeros((500, 0))).mean()
    naive = np.linalg.norm(shift) ** 2 / np.sqrt(shift @ mixing.T @ mixing @ shift)
    assert apart > 1.1 * naive and found.score(new, np.zeros((500, 0))).std() == pytest.approx(1, abs=0.15)


def test_a_known_anomaly_is_named_by_its_filter() -> None:
    rng = np.random.default_rng(3)
    tiles = [sky(k) for k in range(60)]
    figures = np.array([tile_figures(t.astype(np.float32), ALL) for t in tiles])
    staged = {
        kind: np.array([tile_figures(stage(kind, rng, t, ALL).astype(np.float32), ALL) for t in tiles])
        for kind in ("streak", "reflection")
    }
    sample = _sample(figures, staged)
    calibration = calibrate(sample, None, folds=3, seed=0)
    odd = np.array(
        [tile_figures(stage("reflection", rng, sky(100 + k), ALL).astype(np.float32), ALL) for k in range(20)]
    )
    views = calibration.judge(_sample(odd, {})).views
    assert set(views) == {LIKE + "streak", LIKE + "reflection"}
    assert np.median(views[LIKE + "reflection"]) < 0.02
    normal = calibration.judge(
        _sample(np.array([tile_figures(sky(200 + k).astype(np.float32), ALL) for k in range(30)]), {})
    )
    assert np.median(normal.views[LIKE + "reflection"]) > 0.2


def _sample(figures: Array, staged: dict[str, Array]) -> Sample:
    count = len(figures)
    place = np.zeros((count, 5), np.int64)
    return Sample(np.arange(count), place, {"known": figures}, np.zeros((count, 0)), np.zeros(count), staged)


def test_shares_of_views_and_wary_tails() -> None:
    shares = weights_of(["peaks", "norms", "pattern", LIKE + "arc", LIKE + "pair", LIKE + "streak"])
    assert shares.sum() == pytest.approx(1) and shares[0] == pytest.approx(0.45) and shares[1] == pytest.approx(0.05)
    assert weights_of(["norms"]).tolist() == [1.0]
    scores = np.random.default_rng(0).exponential(size=200)
    plain, wary = fit_tail(scores), fit_tail(scores, 0.9)
    assert plain is not None and wary is not None and wary.shape == 0.9
    assert wary.log_p(np.array([30.0]))[0] > plain.log_p(np.array([30.0]))[0] + 5


def test_bright_light_forgives_a_share_of_itself_and_dark_sky_nothing() -> None:
    mean = np.zeros((1, 9, 9), np.float32)
    mean[0, 4, 4] = 1000.0
    z, var = np.full((1, 9, 9), 20.0, np.float32), np.full((1, 9, 9), 4.0, np.float32)
    left = forgiving(z, var, mean)
    assert left[0, 0, 0] == pytest.approx(20) and left[0, 4, 4] == pytest.approx(20 * 2 / np.hypot(2, 200), rel=1e-3)
    assert left[0, 4, 5] == left[0, 4, 4] and forgiving(z, 0 * var, 0 * mean).max() == 0


def test_a_grey_level_more_is_no_surprise_and_ten_are() -> None:
    """A ground of one level: what is predicted hardly varies, and the next level is 50 of its deviations away."""
    var, mean = np.full((1, 5, 5), 4e-4, np.float32), np.zeros((1, 5, 5), np.float32)
    z = np.zeros((1, 5, 5), np.float32)
    z[0, 1, 1], z[0, 3, 3] = 50.0, 500.0
    assert forgiving(z, var, mean).max() == pytest.approx(500.0)
    rounded = forgiving(z, var, mean, step=1.0)
    assert 3.0 < rounded[0, 1, 1] < 4.0 and rounded[0, 3, 3] > 30.0


@pytest.mark.parametrize("kind", list(STAGED))
def test_where_a_digitiser_swallowed_the_noise_anomalies_are_staged_in_its_steps(kind: str) -> None:
    rng = np.random.default_rng(7)
    levels = np.round(rng.normal(0.0, 0.2, (SIDE, SIDE)) + 0.2 * (sky(3) - rng.standard_normal((SIDE, SIDE))))
    step = 2.5
    changed = stage(kind, np.random.default_rng(5), step * levels, ALL)
    assert np.allclose(changed / step, np.round(changed / step), atol=1e-3)
    for tile in (step * levels, changed):
        figures = tile_figures(tile.astype(np.float32), ALL)
        assert np.isfinite(figures).all() and np.abs(figures).max() < 1e3
