"""`score` and `AnomalyDetector`: known answers with an exact prior, habits of scikit-learn, inputs that are no good."""

from __future__ import annotations

import copy
import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from gencosmo import AnomalyDetector, inpaint, score
from gencosmo.anomaly.passes import Scale
from gencosmo.anomaly.predictive import STEPS
from gencosmo.anomaly.staged import STAGED, suited
from gencosmo.anomaly.views import VIEWS
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, PriorError, UsageError
from gencosmo.image import Image
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.windows import Canvas

SIDE = 16
PRIOR = GaussianPrior.exponential(variance=4.0, length=2.0, nugget=0.05, white=1.0)
FAST = {
    "scales": (Scale(1, math.inf), Scale(0, 3.0)),
    "levels": (1.0, 3.0, 10.0),
    "tile": SIDE,
    "known": ("streak", "reflection"),
}


def draws(count: int, seed: int = 0, side: int = SIDE) -> list[np.ndarray]:
    empty = [torch.zeros(side, side)] * count
    canvas = Canvas.from_planes(empty, empty, seeds=list(range(seed, seed + count)))
    PRIOR.generate_(canvas, "frame")
    return [canvas.plane("z", p).numpy().copy() for p in range(count)]


def hit(image: np.ndarray, height: float = 30.0) -> np.ndarray:
    out = image.copy()
    out[SIDE // 2, SIDE // 2] += height
    return out


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(PRIOR, **FAST).fit(draws(80))


def test_p_values_of_normals_are_uniform(detector: AnomalyDetector) -> None:
    """Newcomers share the normals, which adds to the spread: the bound is on the distance, not on a p-value."""
    p = detector.p_values(draws(150, seed=1000))
    assert stats.kstest(p, "uniform").statistic < 0.16
    assert 0.0 <= np.mean(p <= 0.05) <= 0.13


def test_a_hit_is_found_and_the_map_says_where(detector: AnomalyDetector) -> None:
    image = hit(draws(1, seed=500)[0])
    result = score(image, detector=detector)
    assert result.anomaly_map is not None and result.anomaly_map.shape == image.shape
    assert np.unravel_index(np.abs(result.anomaly_map).argmax(), image.shape) == (SIDE // 2, SIDE // 2)
    assert result.p_value is not None and result.p_value < 1 / 81
    assert result.meta["p_value_kind"] == "conformal" and result.meta["tiles"].extrapolated.all()
    assert result.meta["passes"] <= 10 + 3


def test_habits_of_scikit_learn(detector: AnomalyDetector) -> None:
    images = [draws(1, seed=600)[0], hit(draws(1, seed=601)[0])]
    scores = detector.score_samples(np.array(images))
    assert scores.shape == (2,) and scores[1] < scores[0]
    decided = detector.decision_function(images)
    assert decided[1] < 0
    assert np.array_equal(detector.predict(images), np.where(decided <= 0, -1, 1))
    assert detector.predict(images)[1] == -1


def test_score_agrees_with_the_detector(detector: AnomalyDetector) -> None:
    image = draws(1, seed=700)[0]
    result, found = score(image, detector=detector), detector.evaluate([image])[0]
    assert result.anomaly_score == pytest.approx(found.image_score()[0])
    assert result.p_value == pytest.approx(found.image_score()[1])


def test_saved_and_loaded(detector: AnomalyDetector, tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    detector.save(path)
    again = AnomalyDetector.load(path, prior=PRIOR)
    images = draws(3, seed=800)
    assert np.array_equal(again.p_values(images), detector.p_values(images))
    with pytest.raises(UsageError, match="exists"):
        detector.save(path)
    with pytest.raises(PriorError, match="fitted with GaussianPrior"):
        AnomalyDetector.load(path, prior="sky", device="cpu")


def test_kinds_suit_the_prior_unless_they_are_chosen(detector: AnomalyDetector) -> None:
    unasked = AnomalyDetector(PRIOR, **{**FAST, "known": None}).fit(draws(10))
    assert unasked.how.known == suited("sky") == tuple(kind for kind in STAGED if kind not in ("fibre", "body"))
    assert unasked.calibration is not None and "like fibre" not in unasked.calibration.densities
    assert suited("cells") == tuple(STAGED) and detector.how.known == FAST["known"]
    with pytest.raises(UsageError, match="known is"):
        AnomalyDetector(PRIOR, known=())


def test_a_prior_begun_from_cells_looks_for_what_belongs_among_cells() -> None:
    """Whatever its name."""
    mine = copy.copy(PRIOR)
    mine.card = SimpleNamespace(name="mine", weights_sha256="0" * 64, training={"simulator": "cells"})  # type: ignore[attr-defined]
    assert AnomalyDetector(mine, **{**FAST, "known": None}).fit(draws(10)).how.known == tuple(STAGED)


def test_large_images_are_cut_into_tiles(detector: AnomalyDetector) -> None:
    image = draws(1, seed=900, side=32)[0]
    image[27, 5] += 40
    found = detector.evaluate([image])[0]
    assert len(found.score) == 4 and set(found.height) == {SIDE}
    worst = int(np.argmax(found.score))
    assert (found.row[worst], found.col[worst]) == (SIDE, 0)


def test_without_a_detector_the_p_value_is_nominal() -> None:
    clean, odd = (score(x, prior=PRIOR, scales=FAST["scales"]) for x in (draws(1)[0], hit(draws(1)[0])))
    assert clean.meta["p_value_kind"] == "nominal" and clean.p_value is not None and odd.p_value is not None
    assert clean.p_value > 0.01 > odd.p_value
    assert odd.anomaly_score is not None and clean.anomaly_score is not None
    assert odd.anomaly_score > clean.anomaly_score


def test_prediction_and_explanation_are_in_the_units_of_the_image() -> None:
    """The shipped prior on a frame of 500 counts and noise 7, and the same in other units."""
    rng = np.random.default_rng(0)
    image = (500 + 7 * rng.standard_normal((40, 40))).astype(np.float32)
    image[10, 30] += 300
    scales = (Scale(1, math.inf),)
    one, other = (score(k * image, scales=scales, device="cpu") for k in (np.float32(1), np.float32(1e-6)))
    assert abs(np.median(one.mean) - 500) < 5 and 5 < np.median(one.std) < 10
    assert np.allclose(one.anomaly_map, other.anomaly_map, atol=0.05)
    assert one.anomaly_map is not None and np.abs(one.anomaly_map).argmax() == 10 * 40 + 30
    why, same = one.meta["explanation"], other.meta["explanation"]
    assert np.allclose(same.log_prob - why.log_prob, math.log(1e6), atol=0.05)
    assert why.scales == ("1px",) and why.mean.shape == (1, 1, 40, 40)


def test_masked_and_nan_pixels_are_not_scored() -> None:
    image = draws(1)[0]
    broken, mask = image.copy(), np.zeros(image.shape, bool)
    broken[2:4, 3:6], mask[9, 9] = np.nan, True
    broken[9, 9] = 1e9
    result = score(broken, mask, prior=PRIOR, scales=FAST["scales"])
    assert result.anomaly_map is not None
    assert (result.anomaly_map[2:4, 3:6] == 0).all() and result.anomaly_map[9, 9] == 0
    assert result.anomaly_score is not None and result.anomaly_score < 6


def test_scene_compares_with_the_noise_of_the_pixels() -> None:
    image = hit(draws(1)[0])
    quiet, noisy = (score(image, ivar=v, prior=PRIOR, target="scene").anomaly_score for v in (1.0, 1e-4))
    assert quiet is not None and noisy is not None and quiet > 3 * noisy
    with pytest.raises(InputError, match="noise"):
        score(image, prior=PRIOR, target="scene")


@pytest.mark.parametrize("value", [0.0, 42.0])
def test_constant_tiles_are_scored_or_refused(value: float, detector: AnomalyDetector) -> None:
    flat = np.full((SIDE, SIDE), value, np.float32)
    found = detector.evaluate([flat])[0]
    assert np.isfinite(found.score).all() and found.outside.dtype == bool
    with pytest.warns(GencosmoWarning, match=f"all pixels of channel 0 have the value {value:g}"):
        result = score(np.full((24, 24), value, np.float32), device="cpu", scales=FAST["scales"])
    assert result.anomaly_score is not None and np.isfinite(result.anomaly_score)


def test_nothing_to_score() -> None:
    with pytest.raises(InputError, match="no unmasked pixel"):
        score(np.ones((20, 20)), np.ones((20, 20)), prior=PRIOR)
    with pytest.raises(InputError, match="at least 8"):
        score(np.ones((5, 20)), prior=PRIOR)
    some = [np.ones((SIDE, SIDE)), np.ma.masked_array(np.ones((SIDE, SIDE)), True), np.ones((5, 20))]
    with pytest.raises(InputError, match="image 1: channel 0 has no unmasked pixel"):
        AnomalyDetector(PRIOR, **FAST).fit(some[:2])
    with pytest.raises(InputError, match="image 1 is 5 x 20 pixels"):
        AnomalyDetector(PRIOR, **FAST).fit(some[::2])
    with pytest.raises(InputError):
        score(np.full((20, 20), np.nan), prior=PRIOR)


def test_too_few_normals_and_one_normal() -> None:
    with pytest.raises(InputError, match="at least 8"):
        AnomalyDetector(PRIOR, **FAST).fit(draws(3))
    with pytest.warns(GencosmoWarning, match="one image"):
        AnomalyDetector(PRIOR, **FAST).fit(draws(1, side=48))


def test_images_of_one_group_are_never_judged_by_each_other() -> None:
    """Each image twice: by itself it would be judged by its own twin."""
    images = draws(14) + draws(14)
    images[3] = hit(images[3])
    images[17] = images[3].copy()
    alone = AnomalyDetector(PRIOR, **FAST).fit(images)
    apart = AnomalyDetector(PRIOR, **FAST).fit(images, groups=[f"frame {k % 14}" for k in range(28)])
    alike = []
    for detector in (alone, apart):
        assert detector.calibration is not None
        own = detector.calibration.normal["norms"]
        alike.append(np.allclose(own[:14], own[14:]))
    assert alike == [False, True], "twins are in one fold, and judged by the same fit"
    assert set(np.argsort(apart.of_normals()[0])[-2:].tolist()) == {3, 17}
    with pytest.raises(UsageError, match="groups"):
        AnomalyDetector(PRIOR, **FAST).fit(images, groups=[1, 2])


def test_hardly_scored_tiles_have_no_score(detector: AnomalyDetector) -> None:
    image = draws(1)[0]
    image[:13] = np.nan
    with pytest.warns(GencosmoWarning, match="1 of 1 images have no score"):
        found = detector.evaluate([image])[0]
    assert np.isnan(found.score).all() and np.isnan(found.p_value).all()
    assert math.isnan(found.image_score()[1])


def test_calls_that_cannot_mean_anything(detector: AnomalyDetector) -> None:
    image = draws(1)[0]
    with pytest.raises(UsageError, match="no normals"):
        score(image, detector=AnomalyDetector(PRIOR))
    with pytest.raises(UsageError, match="target"):
        score(image, prior=PRIOR, target="sky")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="views"):
        AnomalyDetector(PRIOR, views=["taste"])
    with pytest.raises(UsageError, match="nuisances"):
        detector.evaluate([image], nuisances=[1.0, 2.0])
    with pytest.raises(UsageError, match="no images"):
        detector.evaluate([])


def test_progress_and_cancel() -> None:
    seen: list[tuple[int, int]] = []
    score(draws(1)[0], prior=PRIOR, progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] < seen[-1][1] <= 10 * STEPS
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        score(draws(1)[0], prior=PRIOR, cancel=stop)


def test_channels_are_scored_each() -> None:
    cube = np.stack([draws(1)[0], hit(draws(1, seed=3)[0])])
    result = score(cube, prior=PRIOR, scales=FAST["scales"])
    assert result.anomaly_map is not None and result.anomaly_map.shape == cube.shape
    assert np.abs(result.anomaly_map[1]).max() > 10 > np.abs(result.anomaly_map[0]).max()
    assert isinstance(result.meta["image"], Image)


def test_the_shipped_prior_has_all_views() -> None:
    rng = np.random.default_rng(0)
    normals = [(100 + 5 * rng.standard_normal((16, 16))).astype(np.float32) for _ in range(12)]
    known = ("streak", "pair")
    detector = AnomalyDetector(scales=FAST["scales"], levels=(1.0, 3.0), tile=16, known=known, device="cpu").fit(
        normals
    )
    odd = normals[0].copy()
    odd[4:12, 4:12] += 60
    found = detector.evaluate([normals[1], odd])
    assert set(found[1].margins) == set(found[1].views)
    assert set(found[0].views) == {*VIEWS, "like streak", "like pair"} - {"known"}
    assert found[1].score[0] > found[0].score[0]


@pytest.mark.parametrize("task", [score, inpaint])
def test_values_at_the_ends_of_float32_are_refused_with_their_reason(task: Any) -> None:
    """Each fits, and their differences do not."""
    rng = np.random.default_rng(5)
    wide = (np.where(rng.random((24, 24)) > 0.3, 3e38, -3e38) * rng.uniform(0.9, 1, (24, 24))).astype(np.float32)
    wide[3, 3] = np.nan
    with pytest.raises(InputError, match=r"channel 0 has a background .* near the ends of float32") as refused:
        task(wide, device="cpu")
    assert refused.value.hint == "give the image in other units"


def test_what_cannot_be_scored_is_told_and_not_called_normal(detector: AnomalyDetector) -> None:
    bare = draws(1, seed=700)[0]
    bare[2:] = np.nan
    with pytest.warns(GencosmoWarning, match="1 of 2 images have no score .the first: number 1.: a tile needs 40%"):
        assert detector.predict([draws(1, seed=701)[0], bare]).tolist() == [1, -1]
    with pytest.warns(GencosmoWarning, match="1 of 1 images"):
        assert math.isnan(score(bare, detector=detector).p_value or 0.0)


@pytest.mark.parametrize(
    ("levels", "told"),
    [((0.0, 1.0), "others differ by 1"), ((-2.0, 6.0), "others differ by 8")],
)
def test_a_trained_prior_says_when_the_noise_is_lost(levels: tuple[float, float], told: str) -> None:
    few = np.random.default_rng(3).random((24, 24)) > 0.95
    with pytest.warns(GencosmoWarning, match=told):
        result = score(np.where(few, levels[1], levels[0]), device="cpu", scales=FAST["scales"])
    assert np.isfinite(result.anomaly_map).all() and result.p_value is not None and 0 <= result.p_value <= 1
