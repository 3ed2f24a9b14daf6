"""Small sets, each image judged by the others: how far counts, not only which is first."""

from __future__ import annotations

import numpy as np
from scipy import stats

from gencosmo import AnomalyDetector
from gencosmo.tasks.among import SMALL, judge_each_other, small_set_surprise

from .test_anomaly import FAST, PRIOR, draws, hit

VIEWS = ("peaks", "pattern", "norms", "figures", "objects", "like streak", "like arc")


def scores(seed: int, count: int = 16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(count) for name in VIEWS}


def test_far_in_one_view_comes_before_first_in_another() -> None:
    places = []
    for seed in range(40):
        found = scores(seed)
        found[("peaks", "like streak", "like arc")[seed % 3]][5] = 12.0
        total = small_set_surprise(found)
        places.append(int((total >= total[5]).sum()))
    assert np.mean(np.equal(places, 1)) > 0.9, places


def test_densities_are_believed_less() -> None:
    found = scores(1)
    found["pattern"][3], found["peaks"][8] = 12.0, 12.0
    total = small_set_surprise(found)
    assert total.argmax() == 8 and total[3] < total[8] - 2


def test_neither_units_nor_a_stray_change_the_order() -> None:
    found = scores(3)
    moved = {name: 7 * values - 100 for name, values in found.items()}
    assert np.allclose(small_set_surprise(found), small_set_surprise(moved))
    stray = {name: values.copy() for name, values in found.items()}
    stray["peaks"][2] = 1e9
    rest = np.arange(16) != 2
    assert stats.spearmanr(small_set_surprise(found)[rest], small_set_surprise(stray)[rest]).statistic > 0.85
    assert small_set_surprise(stray).argmax() == 2
    assert np.isfinite(small_set_surprise({name: np.zeros(9) for name in VIEWS})).all()


def test_small_sets_are_judged_each_by_all_others() -> None:
    images = draws(12, seed=40)
    images[4] = hit(images[4], 12.0)
    detector = AnomalyDetector(PRIOR, **FAST)
    found, p_values, views = judge_each_other(detector, images)
    assert found.argmax() == 4 and found.shape == (12,) and np.isclose(p_values[4], 1 / 13, atol=0.02)
    assert detector.folds == 12 and set(views) >= {"peaks", "norms", "like streak"}


def test_large_sets_are_counted(monkeypatch) -> None:
    assert SMALL > 100
    monkeypatch.setattr("gencosmo.tasks.among.SMALL", 10)
    detector = AnomalyDetector(PRIOR, **FAST)
    found = judge_each_other(detector, images := draws(12, seed=40))
    assert detector.folds == 5
    assert np.array_equal(found[0], AnomalyDetector(PRIOR, **FAST).fit(images).of_normals()[0])
