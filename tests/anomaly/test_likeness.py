"""Trees and filters for known kinds: what each can and cannot tell, and that arrays are all there is to keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gencosmo.anomaly.calibration import Sample, calibrate
from gencosmo.anomaly.combination import LIKE, combine_margins, margins
from gencosmo.anomaly.density import fit_filter
from gencosmo.anomaly.forest import DOUBT, fit_forest
from gencosmo.anomaly.likeness import LEAST_TAUGHT, Likeness, fit_likeness
from gencosmo.anomaly.photometry import LIGHT
from gencosmo.anomaly.store import load_calibration, save_calibration

Array = NDArray[np.float64]


def either_or(rng: np.random.Generator, count: int, *, alike: bool = False) -> Array:
    """Features of which either the first or the second is high; both or none where `alike`."""
    found = rng.standard_normal((count, 6))
    high = rng.random(count) < 0.5
    found[:, 0] += 5.0 * high
    found[:, 1] += 5.0 * (high if alike else ~high)
    return found


def none(count: int) -> Array:
    return np.zeros((count, 0))


def test_trees_say_what_scikit_learn_says() -> None:
    from sklearn.ensemble import ExtraTreesClassifier

    rng = np.random.default_rng(0)
    first, second, new = (rng.standard_normal((n, 4)) + shift for n, shift in ((80, 0), (50, 1), (40, 0.5)))
    grown = ExtraTreesClassifier(100, min_samples_leaf=2, max_features=0.4, class_weight="balanced", random_state=3)
    grown.fit(np.concatenate([first, second]), np.repeat([0, 1], [80, 50]))
    chance = grown.predict_proba(new)[:, 1]
    found = fit_forest(first, second, seed=3).log_odds(new)
    assert found == pytest.approx(np.log(chance + DOUBT) - np.log(1 - chance + DOUBT), abs=1e-4)


def test_log_odds_end_where_all_trees_agree() -> None:
    rng = np.random.default_rng(1)
    forest = fit_forest(rng.standard_normal((60, 12)), 20 + rng.standard_normal((60, 12)))
    odds = forest.log_odds(np.repeat([[-9.0], [29.0], [1e9]], 12, axis=1))
    assert odds[0] < -5 and odds[1] == odds[2] == pytest.approx(np.log((1 + DOUBT) / DOUBT))


def test_what_normals_do_by_themselves_is_no_likeness() -> None:
    """Two features are high together or not at all, in a normal one of them is: no weighted sum can say so."""
    rng = np.random.default_rng(2)
    normal, staged, moved = either_or(rng, 200), either_or(rng, 200, alike=True), either_or(rng, 300, alike=True)
    plain = either_or(rng, 2000)
    alone = fit_filter(normal, none(200), staged, none(200))
    taught = fit_likeness(normal, none(200), staged, none(200))
    shares = []
    for one in (alone, taught):
        limit = np.quantile(one.score(plain, none(2000)), 0.95)
        shares.append(np.mean(one.score(moved, none(300)) > limit))
    assert shares[0] < 0.3 and shares[1] > 0.8, shares


def test_stronger_is_more_also_where_trees_have_ended() -> None:
    rng = np.random.default_rng(4)
    normal = rng.standard_normal((100, 5))
    taught = fit_likeness(normal, none(100), normal + np.array([4.0, 0, 0, 0, 0]), none(100))
    rising = taught.score(np.outer(np.linspace(5, 60, 12), np.eye(5)[0]), none(12))
    assert (np.diff(rising) > 0).all()


def test_arrays_are_all_there_is() -> None:
    rng = np.random.default_rng(5)
    normal, new = rng.standard_normal((2, 50, 4))
    taught = fit_likeness(normal, normal[:, :1], normal + 1, normal[:, :1])
    again = Likeness.of_arrays(taught.arrays())
    assert np.array_equal(again.score(new, new[:, :1]), taught.score(new, new[:, :1]))


def sample(rng: np.random.Generator, count: int, **shift: float) -> Sample:
    figures = rng.standard_normal((count, 6 + LIGHT))
    staged = {kind: figures + by * np.eye(6 + LIGHT)[number] for number, (kind, by) in enumerate(shift.items())}
    place = np.zeros((count, 5), np.int64)
    return Sample(np.arange(count), place, {"known": figures}, none(count), np.zeros(count), staged)


def test_trees_are_taught_where_there_is_enough_to_learn_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    few, many = (sample(rng, n, streak=3.0, arc=3.0) for n in (LEAST_TAUGHT + 5, 3 * LEAST_TAUGHT))
    filters, trees, told = (
        calibrate(few, None, folds=3, seed=0),
        calibrate(many, None, folds=3, seed=0),
        calibrate(many, None, folds=3, seed=0, teach=False),
    )
    for calibration, taught in ((filters, False), (trees, True), (told, False)):
        assert {isinstance(one, Likeness) for one in calibration.densities[LIKE + "arc"]} == {taught}
    path = str(tmp_path / "d.safetensors")
    save_calibration(path, trees, {})
    again, _ = load_calibration(path)
    new = sample(rng, 30)
    one, other = trees.judge(new), again.judge(new)
    assert np.array_equal(one.score, other.score) and np.array_equal(one.p_value, other.p_value)
    assert set(one.margins) == set(one.views) == {LIKE + "streak", LIKE + "arc"}
    assert np.allclose(combine_margins(np.array(list(one.margins.values()))), one.score)


def test_a_view_in_which_many_normals_are_odd_must_be_very_sure() -> None:
    rng = np.random.default_rng(7)
    quiet = rng.standard_normal(300)
    loud = np.concatenate([quiet[:290], np.full(10, 6.0)])
    apart = [margins(LIKE + "hit", np.array([7.0]), normal, taught=True)[0] for normal in (quiet, loud)]
    assert apart[1] == pytest.approx(1.0) and apart[0] > 3.5
    broad = [margins(name, np.array([9.0]), quiet, taught=False)[0] for name in ("peaks", "norms")]
    assert broad[0] > broad[1] > 0, "tails of densities are held wary"


def test_the_highest_margin_decides() -> None:
    found = np.array([[5.0, -3.0, 2.0], [-4.0, -3.0, 2.0]])
    total = combine_margins(found)
    assert total[0] == pytest.approx(5.0, abs=1e-6) and (total[1:] - found[0, 1:] == pytest.approx(np.log(2) / 2))
