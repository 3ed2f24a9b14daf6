"""A detector among scikit-learn's estimators, calls that cannot mean anything, and priors that changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gencosmo import AnomalyDetector, score
from gencosmo.errors import PriorError, UsageError
from gencosmo.priors import load_prior
from gencosmo.tasks.evidence import identity_of

from .test_anomaly import FAST, PRIOR, draws, hit

SMALL: dict[str, Any] = {**FAST, "views": ("peaks", "norms")}


def test_it_is_cloned_with_its_prior_and_without_its_normals() -> None:
    detector = AnomalyDetector(PRIOR, alpha=0.2, **SMALL).fit(draws(12))
    again = clone(detector)
    assert again.calibration is None and again.prior is detector.prior
    assert again.get_params() == detector.get_params() and again.alpha == 0.2
    again.set_params(alpha=0.05, tile=8)
    assert (again.alpha, again.how.tile, again.get_params()["alpha"]) == (0.05, 8, 0.05)
    with pytest.raises(UsageError, match="no parameter taste"):
        again.set_params(taste=1)
    assert repr(again).startswith("AnomalyDetector(GaussianPrior, target='frame', tile=8")


def test_it_ends_a_pipeline() -> None:
    images = np.array(draws(20))
    line = make_pipeline(FunctionTransformer(lambda x: x + 1), AnomalyDetector(PRIOR, **SMALL)).fit(images)
    found = line.score_samples(np.array([images[0], hit(images[0], 60.0)]))
    assert found[1] < found[0]


def test_normals_are_judged_among_themselves() -> None:
    images = [*draws(20), hit(draws(1, seed=90)[0], 60.0)]
    told = AnomalyDetector(PRIOR, alpha=0.05, **SMALL).fit_predict(images)
    assert told.shape == (21,) and told[-1] == -1 and (told == 1).sum() >= 19


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"alpha": "x"}, "alpha is 'x'"),
        ({"tile": 16.5}, "tile is 16.5"),
        ({"folds": 2.5}, "folds is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"target": "sky"}, "target is 'sky'"),
        ({"views": "peaks"}, "views is 'peaks', expected several"),
        ({"known": "arc"}, "known is 'arc', expected several"),
        ({"known": ()}, "known is"),
        ({"levels": ()}, "levels are"),
        ({"levels": (1.0, -2.0)}, "levels are"),
    ],
)
def test_parameters_that_mean_nothing_are_refused_at_once(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        AnomalyDetector(PRIOR, **given)


@pytest.mark.parametrize("given", [draws(1)[0], "normals", Path("normals"), None, 7])
def test_one_image_is_not_several(given: Any) -> None:
    with pytest.raises(UsageError, match=r"images is one .*, expected several"):
        AnomalyDetector(PRIOR, **SMALL).fit(given)


def test_nuisances_are_as_many_as_the_normals_had() -> None:
    images = draws(12)
    plain, told = (
        AnomalyDetector(PRIOR, **SMALL).fit(images, nuisances=extra) for extra in (None, np.arange(24.0).reshape(12, 2))
    )
    with pytest.raises(UsageError, match="1 nuisances of each image, the detector was fitted with 0"):
        plain.predict(images[:2], nuisances=[1.0, 2.0])
    with pytest.raises(UsageError, match="0 nuisances of each image, the detector was fitted with 2"):
        score(images[0], detector=told)
    with pytest.raises(UsageError, match="no numbers"):
        told.predict(images[:1], nuisances=[["a", "b"]])
    assert score(images[0], detector=told, nuisances=[1.0, 2.0]).p_value is not None


def test_any_seed_fits() -> None:
    """scikit-learn has fewer than 64 bits of them."""
    AnomalyDetector(PRIOR, **{**SMALL, "seed": (1 << 40) + 3}).fit(draws(12))


def test_a_prior_that_changed_under_its_weights_is_another(tmp_path: Path) -> None:
    prior = load_prior("sky", "cpu")
    other = dataclasses.replace(prior.card, surface="biharmonic")
    changed = type("Changed", (), {"card": other, "calibration": prior.calibration})()
    old, new = identity_of(prior), identity_of(changed)
    assert old["hash"] == new["hash"] and old["made"] != new["made"]
    detector = AnomalyDetector(PRIOR, **SMALL).fit(draws(12))
    detector.save(tmp_path / "d.safetensors")
    with pytest.raises(PriorError, match="GaussianPrior that is no file"):
        AnomalyDetector.load(tmp_path / "d.safetensors")
