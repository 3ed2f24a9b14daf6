"""`gencosmo.validate`: what is hidden is good, figures are those of the errors, rivals see the same pixels."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

import gencosmo
from gencosmo.errors import Cancelled, InputError, UsageError
from gencosmo.image import Image, as_image
from gencosmo.tasks import validate as task
from gencosmo.tasks.classical import CLASSICAL
from gencosmo.tasks.hiding import PATTERNS, hits, moved
from gencosmo.tasks.photometry import find_sources

Float = NDArray[np.float32]


def frame(side: int = 128, seed: int = 0) -> Float:
    """Sky of 500 counts with noise 7, and stars."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    image = np.full((side, side), 500.0)
    for _ in range(side // 8):
        row, col = rng.uniform(0, side, 2)
        image += rng.uniform(500, 6000) * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 4.5)
    return (image + 7 * rng.standard_normal(image.shape)).astype(np.float32)


def holes(side: int = 128) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), bool)
    mask[:, 17:19] = True
    mask[40:45, 50:56] = True
    mask[80, 60:75] = True
    return mask


def test_moved_holes_keep_their_shapes() -> None:
    mask = holes()
    for seed in range(5):
        out = moved(np.random.default_rng(seed), mask)
        assert out.sum() <= mask.sum() and out.sum() > 0.8 * mask.sum()
        columns = out.all(axis=0)
        assert columns.sum() == 2, "a dead column stays one, somewhere else"
    assert not moved(np.random.default_rng(0), np.zeros((20, 20), bool)).any()
    whole = np.ones((20, 20), bool)
    assert np.array_equal(moved(np.random.default_rng(0), whole), whole), "what spans the frame cannot move"


def test_hits_go_through_their_places() -> None:
    places = np.array([[10, 12], [0, 0], [30, 39]])
    mask = hits(np.random.default_rng(0), (40, 40), places)
    assert 6 <= mask.sum() <= 15
    assert mask[7:14, 9:16].sum() >= 3


@pytest.mark.parametrize("name", list(CLASSICAL))
def test_classical_fillers_fill_and_touch_nothing_else(name: str) -> None:
    rows, cols = np.mgrid[:64, :64]
    smooth = (100 + 3 * rows + 2 * cols).astype(np.float32)
    mask = PATTERNS["discs"](np.random.default_rng(0), smooth.shape)
    mask[:6, :6] = True
    filled = CLASSICAL[name](np.where(mask, np.float32(-1e6), smooth), mask)
    assert np.array_equal(filled[~mask], smooth[~mask])
    error = np.abs(filled - smooth)[mask]
    assert np.median(error) < 6 and error.max() < 40, "a plane is easy, even from its rim"


def test_sources_are_measured_on_a_local_background() -> None:
    image = np.full((80, 80), 300.0, np.float32)
    rows, cols = np.mgrid[:80, :80]
    image += 5000 * np.exp(-((rows - 40) ** 2 + (cols - 30) ** 2) / (2 * 1.4**2))
    image += np.random.default_rng(0).normal(0, 3, image.shape).astype(np.float32)
    found = find_sources(image, np.zeros(image.shape, bool), 300.0, 3.0)
    assert found.places.tolist() == [[40, 30]]
    total = 5000 * 2 * np.pi * 1.4**2
    assert 0.95 * total < found.flux[0] < 1.01 * total
    covered = np.zeros(image.shape, bool)
    covered[44, 33] = True
    assert find_sources(image, covered, 300.0, 3.0).places.size == 0


def test_own_holes_of_a_masked_image() -> None:
    image, mask = frame(), holes()
    image[mask] = 9e4
    found = gencosmo.validate(image, mask, pixels=200, seed=3, device="cpu")
    assert [kind.kind for kind in found.kinds] == ["own", "hits"]
    own = found.kinds[0]
    assert own.rounds == 1 and own.hidden >= 200 and list(own.fillers) == ["gencosmo", *CLASSICAL]
    assert own.fillers["gencosmo"].rms < 2 * own.fillers[own.best_classical].rms
    assert 0.4 < own.interval68 < 0.95 and own.interval95 > 0.8
    for shot in found.shown:
        assert not (shot.hidden & shot.image.mask[0]).any(), "only good pixels are hidden"
        errors = (shot.result.mean.reshape(shot.hidden.shape) - shot.image.data[0])[shot.hidden] / shot.noise
        if shot is found.shown[0]:
            assert np.sqrt(np.mean(errors.astype(float) ** 2)) == pytest.approx(own.fillers["gencosmo"].rms, rel=1e-5)
    assert found.facts["noise"][0] == pytest.approx(7, rel=0.15)
    json.dumps(found.as_dict())


def test_usual_kinds_where_there_is_no_mask() -> None:
    found = gencosmo.validate(frame(96), pixels=100, device="cpu")
    assert [kind.kind for kind in found.kinds] == ["hits", *PATTERNS]
    on_hits = found.kinds[0]
    assert on_hits.sources >= 5 and on_hits.fillers["gencosmo"].flux_bias is not None
    assert abs(on_hits.fillers["gencosmo"].flux_bias) < 0.1
    cosmic = found.kinds[1].fillers["gencosmo"]
    assert cosmic.rms_sky is not None and 0.8 < cosmic.rms_sky < 1.4, "blank sky: the pixel's own noise"
    assert abs(cosmic.bias) < 6 * cosmic.bias_error


def test_same_seed_same_figures_and_another_seed_others() -> None:
    image = frame(96)
    one, again, other = (
        gencosmo.validate(image, kinds=["cosmic"], pixels=150, seed=s, device="cpu") for s in (1, 1, 2)
    )
    assert one.kinds == again.kinds != other.kinds


def test_noise_of_the_image_sets_the_unit() -> None:
    image = frame(96)
    plain, noisy = (
        gencosmo.validate(image, ivar=ivar, kinds=["random"], pixels=400, device="cpu").kinds[0].fillers["gencosmo"]
        for ivar in (1 / 49, 1 / 196)
    )
    assert noisy.typical == pytest.approx(plain.typical / 2, rel=0.05)


def test_channels_origin_and_background_go_along() -> None:
    data = np.stack([frame(96), frame(96, seed=1)])
    flags = np.zeros(data.shape, np.uint32)
    flags[:, 30:33, 40:50] = 1
    background = np.full(data.shape[1:], 500, np.float32)
    image = Image(data, flags=flags, origin=(7, 9), background=background, unit="adu")
    found = gencosmo.validate(image, pixels=60, kinds=["own", "random"], device="cpu")
    assert {kind.kind for kind in found.kinds} == {"own", "random"} and len(found.facts["noise"]) == 2
    assert all(shot.image.origin == (7, 9) for shot in found.shown)


@pytest.mark.parametrize("kind", ["hits", "cosmic", "random"])
def test_frames_that_are_mostly_empty_are_validated_where_they_are_not(kind: str) -> None:
    """As resampled frames are: 94 % without a value, and hardly a piece at random that holds anything."""
    image = np.full((1200, 900), np.nan, np.float32)
    image[700:900, 600:900] = np.kron(np.ones((2, 3)), frame(100))
    found = gencosmo.validate(image, kinds=[kind], pixels=60, seed=5, device="cpu")
    assert found.kinds[0].hidden >= 60 and not found.kinds[0].fillers["gencosmo"].rms > 60
    assert all(np.isfinite(shot.image.data[0][shot.hidden]).all() for shot in found.shown)
    with pytest.raises(InputError, match="no good pixels to hide"):
        gencosmo.validate(frame(64), np.ones((64, 64)), kinds=[kind], device="cpu")


def test_time_is_bounded_and_each_kind_gets_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gencosmo.validate(frame(64), kinds=["cosmic", "random"], pixels=10**9, minutes=1e-9, device="cpu")
    assert [kind.rounds for kind in found.kinds] == [1, 1]


def test_bad_calls_and_a_stop_sign() -> None:
    image = frame(64)
    with pytest.raises(UsageError, match="kinds of holes stripes"):
        gencosmo.validate(image, kinds=["stripes"])
    with pytest.raises(UsageError, match="needs a mask"):
        gencosmo.validate(image, kinds=["own"])
    with pytest.raises(UsageError, match="pixels is 0"):
        gencosmo.validate(image, pixels=0)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        gencosmo.validate(image, cancel=stop, device="cpu")
    flat = np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)
    with pytest.raises(InputError, match="no good pixels to hide"):
        gencosmo.validate(flat, kinds=["hits"], device="cpu")
    assert task.KINDS[:2] == ("own", "hits") and as_image(image).shape == (1, 64, 64)
