"""The memory of places: known distances, light that is no anomaly, small things that an average would lose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gencosmo.anomaly.bottleneck import Bottleneck, by_tile, parted, place_light
from gencosmo.anomaly.calibration import Sample, calibrate
from gencosmo.anomaly.combination import least_shape
from gencosmo.anomaly.maps import Tiles
from gencosmo.anomaly.memory import LIGHTS, MOST_KEPT, NEIGHBOURS, SIDE, Memory, _distances, fit_memory
from gencosmo.anomaly.passes import Scale
from gencosmo.anomaly.predictive import predictive
from gencosmo.anomaly.store import load_calibration, save_calibration
from gencosmo.priors import load_prior
from gencosmo.windows import Canvas

Single = NDArray[np.float32]
WIDTH = 5
GIVEN = np.zeros((0, 0))


def tiles(count: int, seed: int = 0) -> Single:
    """Places whose features grow with their light, in scatter too."""
    rng = np.random.default_rng(seed)
    light = np.abs(rng.standard_normal((count, SIDE**2, LIGHTS)))
    features = rng.standard_normal((count, SIDE**2, WIDTH)) * np.exp(light[..., :1])
    return np.asarray(np.concatenate([features, light], axis=2).reshape(count, -1), np.float32)


def changed(some: Single, by: float, places: int) -> Single:
    """The same tiles with one feature of the first places moved."""
    out = some.reshape(len(some), SIDE**2, -1).copy()
    out[:, :places, 2] += by
    return out.reshape(some.shape)


def test_distances_are_those_to_the_nearest_places_of_others() -> None:
    rng = np.random.default_rng(0)
    bank, asked = (rng.standard_normal((n, 4)).astype(np.float32) for n in (50, 9))
    every = np.sort(np.linalg.norm(asked[:, None] - bank[None], axis=2), axis=1)
    assert _distances(asked, bank) == pytest.approx(every[:, :NEIGHBOURS].mean(axis=1), abs=1e-5)
    own = np.zeros((50, 50), np.bool_)
    np.fill_diagonal(own, val=True)
    assert _distances(bank, bank).min() < _distances(bank, bank, own).min(), "a place is at no distance from itself"


def test_a_few_strange_places_are_enough() -> None:
    memory = fit_memory(tiles(80), np.arange(80))
    plain = tiles(60, seed=1)
    normal, strange = memory.score(plain, GIVEN), memory.score(changed(plain, 40.0, 4), GIVEN)
    assert np.median(strange) > np.quantile(normal, 0.95)
    everywhere = memory.score(changed(plain, 40.0, SIDE**2), GIVEN)
    assert (everywhere > strange).all()


def test_a_bright_place_is_not_strange_by_its_light() -> None:
    memory = fit_memory(tiles(80), np.arange(80))
    plain = tiles(200, seed=2)
    light = plain.reshape(200, SIDE**2, -1)[..., WIDTH].mean(axis=1)
    score = memory.score(plain, GIVEN)
    assert abs(np.corrcoef(light, score)[0, 1]) < 0.4
    blind = Memory(**{**memory.arrays(), "slopes": np.eye(6)[0], "spreads": np.zeros(6)})
    assert np.corrcoef(light, blind.score(plain, GIVEN))[0, 1] > 0.6


def test_what_is_kept_is_bounded_and_one_image_is_enough() -> None:
    many = fit_memory(tiles(MOST_KEPT // SIDE**2 + 30), np.arange(MOST_KEPT // SIDE**2 + 30))
    assert many.bank.shape == (MOST_KEPT, WIDTH) and many.bank.dtype == np.float32
    alone = fit_memory(tiles(2), np.zeros(2, np.int64))
    assert np.isfinite(alone.score(tiles(3, seed=3), GIVEN)).all()
    still = fit_memory(np.ones((9, SIDE**2 * (WIDTH + LIGHTS)), np.float32), np.arange(9))
    assert np.isfinite(still.score(tiles(3), GIVEN)).all(), "features that never vary"


def test_a_detector_keeps_its_memory(tmp_path) -> None:
    def sample(features: Single) -> Sample:
        n = len(features)
        return Sample(np.arange(n), np.zeros((n, 5), np.int64), {"places": features}, np.zeros((n, 1)), np.zeros(n))

    found = calibrate(sample(tiles(40)), None, folds=4, seed=0)
    odd = sample(changed(tiles(10, seed=5), 60.0, 8))
    judged = found.judge(odd)
    assert np.median(judged.p_value) < 0.05 and least_shape("places") == 0.0
    save_calibration(str(tmp_path / "d"), found, {})
    again, _ = load_calibration(str(tmp_path / "d"))
    assert all(isinstance(one, Memory) for one in again.densities["places"])
    assert np.array_equal(again.judge(odd).score, judged.score)


@pytest.mark.parametrize(("shape", "tile"), [((64, 64), 64), ((30, 31), 64), ((136, 200), 64), ((9, 9), 64)])
def test_places_tile_a_plane(shape: tuple[int, int], tile: int) -> None:
    cut = Tiles.of(shape, tile)
    rows = np.repeat(np.arange(shape[0], dtype=np.float64)[:, None], shape[1], axis=1)
    fine = parted(cut, 1, shape)
    mean = by_tile(fine.reduce(np.add, rows)[None] / fine.reduce(np.add, np.ones(shape)), cut)[..., 0]
    assert mean.shape == (cut.count, SIDE**2)
    for box, own in zip(cut.boxes(), mean, strict=True):
        inside = own.reshape(SIDE, SIDE)
        assert (inside >= box[0].start).all() and (inside < box[0].stop).all() and (np.diff(inside, axis=0) >= 0).all()
        assert np.ptp(inside, axis=1).max() == 0


def test_light_is_where_the_star_is() -> None:
    flux = np.zeros((64, 128), np.float32)
    flux[20, 100] = 50.0
    light = place_light(flux, Tiles.of((64, 128), 64)).reshape(2, SIDE, SIDE, LIGHTS)
    assert light[0].max() == 0 and light[1, 2, 4, 1] == pytest.approx(np.arcsinh(50.0))
    assert light[1, 3, 5, 1] == light[1, 2, 4, 1] > light[1, 5, 4, 1] == 0, "neighbours know of it"


def test_places_of_a_frame_are_those_of_its_windows() -> None:
    """What a frame holds is put together from windows: a change touches its own places most."""
    prior = load_prior("sky", "cpu")
    flux = torch.randn(96, 160, generator=torch.Generator().manual_seed(0))
    heard = []
    for height in (0.0, 30.0):
        image = flux.clone()
        image[68:72, 132:136] += height
        canvas = Canvas.from_planes([image], [torch.zeros(96, 160)], seeds=[0])
        ear = Bottleneck(prior, canvas, canvas.pixels(), 0.1, finest=True)
        with ear.listening():
            predictive(prior, canvas, scales=(Scale(0, 0.1),), after=ear.after, second_look=False)
        heard.append(ear.places(0, Tiles.of((96, 160), 32)))
    assert heard[0].shape == (15, SIDE**2, prior.network.shape.channels[0]) and heard[0].dtype == np.float32
    moved = np.abs(heard[1] - heard[0]).sum(axis=2)
    assert np.unravel_index(moved.argmax(), moved.shape)[0] == 2 * 5 + 4, "row 2, column 4 of the tiles"
    assert np.median(moved) < 0.01 * moved.max()
