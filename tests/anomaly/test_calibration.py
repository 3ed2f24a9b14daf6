"""p-values: uniform over realisations, honest beyond the counts, blind to nuisances, stored without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from gencosmo.anomaly.calibration import Sample, calibrate, fold_numbers
from gencosmo.anomaly.combination import combine_surprises
from gencosmo.anomaly.conformal import Calibrated, benjamini_hochberg, conformal_p, fit_tail
from gencosmo.anomaly.density import fit_density
from gencosmo.anomaly.store import load_calibration, save_calibration
from gencosmo.anomaly.widths import fit_widths, student_shape
from gencosmo.errors import FormatError, InputError, UsageError

DIMENSIONS = 12


def tiles(rng: np.random.Generator, count: int, *, shift: float = 0.0, slope: float = 0.0) -> Sample:
    """Correlated features of two views that drift with one nuisance."""
    nuisance = rng.normal(shift, 1.0, (count, 1))
    mixing = np.random.default_rng(99).normal(size=(DIMENSIONS, DIMENSIONS))
    features = {
        name: rng.standard_normal((count, DIMENSIONS)) @ mixing + slope * nuisance for name in ("peaks", "norms")
    }
    place = np.zeros((count, 5), np.int64)
    return Sample(np.arange(count), place, features, nuisance, np.abs(rng.standard_normal(count)))


def test_p_values_are_uniform_over_realisations() -> None:
    """Each realisation has its own normals and one newcomer, so that the p-values are independent."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(120):
        calibration = calibrate(tiles(rng, 40), None, folds=2, seed=0)
        p.append(calibration.judge(tiles(rng, 1)).p_value[0])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.1) < 0.18


def test_outliers_get_small_p_values_and_say_when_they_are_extrapolated() -> None:
    rng = np.random.default_rng(2)
    calibration = calibrate(tiles(rng, 120), None, folds=5, seed=0)
    odd = tiles(rng, 20)
    odd.features["norms"][:] += 15 * rng.standard_normal((20, DIMENSIONS))
    judged = calibration.judge(odd)
    assert (judged.p_value < 1 / 121).all() and judged.extrapolated.all() and (judged.p_value > 0).all()
    normal = calibration.judge(tiles(rng, 200))
    assert normal.extrapolated.mean() < 0.05 and normal.score.max() < judged.score.min()


def test_bad_seeing_is_not_an_anomaly_but_far_seeing_is_told() -> None:
    rng = np.random.default_rng(3)
    calibration = calibrate(tiles(rng, 200, slope=3.0), None, folds=5, seed=0)
    shifted = calibration.judge(tiles(rng, 60, shift=1.5, slope=3.0))
    assert np.mean(shifted.p_value < 0.05) < 0.2
    assert not shifted.outside.any()
    blind = calibrate(_without(tiles(np.random.default_rng(3), 200, slope=3.0)), None, folds=5, seed=0)
    ignored = blind.judge(_without(tiles(np.random.default_rng(4), 60, shift=1.5, slope=3.0)))
    assert np.mean(ignored.p_value) < np.mean(shifted.p_value)
    assert calibration.judge(tiles(rng, 5, shift=12.0, slope=3.0)).outside.all()


def test_bright_tiles_do_not_set_the_limit_for_all() -> None:
    """Where the scatter grows with a nuisance, quiet tiles are judged by quiet ones."""
    rng = np.random.default_rng(11)

    def grown(count: int) -> Sample:
        plain = tiles(rng, count)
        wider = np.exp(1.2 * plain.nuisances)
        features = {name: values * wider for name, values in plain.features.items()}
        return Sample(plain.group, plain.place, features, plain.nuisances, plain.peak)

    calibration = calibrate(grown(300), None, folds=5, seed=0)
    new = grown(400)
    quiet = new.nuisances[:, 0] < 0
    p = calibration.judge(new).p_value
    assert np.mean(p[quiet] < 0.1) > 0.02 and np.mean(p[~quiet] < 0.1) < 0.27
    odd = new.take(new.nuisances[:, 0] < -0.5)
    odd.features["peaks"][:, 0] += 20.0
    blind = calibrate(_without(grown(300)), None, folds=5, seed=0).judge(_without(odd))
    assert np.median(calibration.judge(odd).p_value) < 0.3 * np.median(blind.p_value)


def _without(sample: Sample) -> Sample:
    return Sample(sample.group, sample.place, sample.features, np.zeros((len(sample.group), 1)), sample.peak)


def test_folds_keep_images_together() -> None:
    group = np.repeat(np.arange(7), 5)
    fold = fold_numbers(group, 3, 0)
    assert set(fold) == {0, 1, 2}
    assert all(len(set(fold[group == g])) == 1 for g in range(7))
    alone = fold_numbers(np.zeros(20, np.int64), 4, 0)
    assert set(alone) == {0, 1, 2, 3}


def test_counting() -> None:
    assert conformal_p(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 2.5, 9.0, np.nan]))[:4].tolist() == [
        1.0,
        0.75,
        0.5,
        0.25,
    ]
    with pytest.raises(UsageError, match="at least 2"):
        Calibrated(np.array([1.0]))


def test_the_tail_continues_the_counts() -> None:
    rng = np.random.default_rng(4)
    tail = fit_tail(rng.exponential(size=2000))
    assert tail is not None and tail.shape < 0.2
    assert np.exp(tail.log_p(np.array([8.0])))[0] == pytest.approx(np.exp(-8), rel=0.8)
    law = Calibrated(rng.exponential(size=500))
    p, extrapolated = law.p_value(np.array([1.0, 30.0]))
    assert extrapolated.tolist() == [False, True] and 0 < p[1] < 1 / 501
    rising = law.surprise(np.linspace(0, 40, 400))
    assert (np.diff(rising) >= 0).all() and rising[-1] > rising[-50]
    assert fit_tail(np.ones(100)) is None and fit_tail(np.arange(5.0)) is None


def test_benjamini_hochberg_holds_its_rate() -> None:
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(200):
        p = np.r_[rng.random(80), rng.random(20) * 1e-4]
        believed = benjamini_hochberg(p, 0.1)
        shares.append(believed[:80].sum() / max(1, believed.sum()))
    assert np.mean(shares) < 0.1
    assert not benjamini_hochberg(np.array([np.nan, 0.9]), 0.05).any()
    assert benjamini_hochberg(np.zeros(0), 0.05).size == 0


def test_the_most_surprised_view_decides() -> None:
    alone = combine_surprises(np.array([[20.0], [0.1], [0.1]]))[0]
    assert alone == pytest.approx(20 - np.log(3), abs=0.01)


def test_widths_are_measured_by_predicted_variance() -> None:
    rng = np.random.default_rng(6)
    var = np.exp(rng.uniform(-1, 6, (1, 60_000))).astype(np.float32)
    wide = np.where(var > np.exp(3), 5.0, 1.0)
    z = (rng.standard_normal(var.shape) * wide).astype(np.float32)
    fixed = fit_widths(z, var)(z, var)
    assert fixed[var > np.exp(4)].std() == pytest.approx(1, abs=0.05)
    assert fixed[var < np.exp(2)].std() == pytest.approx(1, abs=0.05)
    heavy = rng.standard_t(3, (1, 200_000)).astype(np.float32)
    flat = np.ones_like(heavy)
    assert stats.kurtosis(fit_widths(heavy, flat)(heavy, flat).ravel()) < 0.5
    freedom, scale = student_shape(float(stats.t.ppf(0.84, 4)), float(stats.t.ppf(0.995, 4)), 0.99)
    assert (freedom, scale) == (pytest.approx(4, rel=0.02), pytest.approx(1, rel=0.01))


def test_stored_without_pickle_and_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    calibration = calibrate(tiles(rng, 40), fit_widths(*np.ones((2, 1, 2000), np.float32)), folds=3, seed=0)
    path = str(tmp_path / "detector.safetensors")
    save_calibration(path, calibration, {"tile": 64})
    again, options = load_calibration(path)
    new = tiles(rng, 10)
    assert options == {"tile": 64} and again.widths is not None
    assert np.array_equal(again.judge(new).p_value, calibration.judge(new).p_value)
    with pytest.raises(UsageError, match="exists"):
        save_calibration(path, calibration, {})
    (tmp_path / "junk.safetensors").write_bytes(b"\x80\x04junk that pickle would load")
    with pytest.raises(FormatError):
        load_calibration(str(tmp_path / "junk.safetensors"))
    with pytest.raises(InputError, match="no such file"):
        load_calibration(str(tmp_path / "absent"))


def test_few_normals_and_constant_features_still_fit() -> None:
    rng = np.random.default_rng(8)
    features = np.concatenate([rng.standard_normal((9, 3)), np.ones((9, 2))], axis=1)
    density = fit_density(features, np.zeros((9, 1)))
    scores = density.score(np.concatenate([features, features[:1] + 100]), np.zeros((10, 1)))
    assert np.isfinite(scores).all() and scores[-1] > scores[:-1].max()
