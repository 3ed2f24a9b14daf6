"""Many images, few at a time: who shares a canvas, what lies on the shelf, and when images are opened."""

from __future__ import annotations

import numpy as np
import pytest

from gencosmo import AnomalyDetector, score
from gencosmo.anomaly.maps import Tiles
from gencosmo.anomaly.views import Raw
from gencosmo.errors import InputError
from gencosmo.image import as_image
from gencosmo.tasks.few import BATCH, MOST_PIXELS, Later, Shelf, batches, opened, shape_of

from .test_anomaly import FAST, PRIOR, SIDE, draws, hit


def test_batches_hold_like_sizes_and_never_too_much() -> None:
    shapes = [(1, 30, 30), (1, 63, 60), (32, 32), (1, 33, 20), *[(2, 600, 700)] * 5, *[(1, 30, 31)] * 40, (4096, 4096)]
    found = list(batches(shapes))
    assert sorted(n for numbers in found for n in numbers) == list(range(len(shapes)))
    for numbers in found:
        assert len(numbers) <= BATCH
        assert len(numbers) == 1 or sum(np.prod(shapes[n]) for n in numbers) <= MOST_PIXELS
        sides = [max(shapes[n][-2:]) for n in numbers]
        assert min(sides) > 128 or -(-max(sides) // 8) == -(-min(sides) // 8)
    assert [1] in found and [3] in found, "a wide window for one would be a wide window for all"


def test_the_shelf_gives_back_what_was_put(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencosmo.tasks.few.IN_MEMORY", 4000)  # most of it goes to the disk
    rng, shelf, raws = np.random.default_rng(0), Shelf(), []
    for side in (8, 13, 21):
        z, var = rng.standard_normal((2, 3, side, side + 1)).astype(np.float32)
        raws.append(Raw(z, var, rng.random((side, side + 1)) > 0.5, Tiles.of((side, side + 1), 64), {"norms": z[0]}))
        shelf.put(raws[-1])
    for number in (2, 0, 1):
        for name in ("z", "var", "scored"):
            assert np.array_equal(getattr(shelf[number], name), getattr(raws[number], name))
        assert shelf[number].features is raws[number].features
    assert len(shelf) == 3 and [one.z.shape[1] for one in shelf[1:]] == [13, 21]
    shelf.close()


def test_images_are_opened_when_they_are_needed_and_judged_the_same() -> None:
    arrays = draws(40)
    arrays[7] = hit(arrays[7])
    count = {"open": 0}

    class Held:
        """Counts how often it is opened."""

        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __call__(self):
            count["open"] += 1
            return as_image(self.array)

    later = [Later((1, SIDE, SIDE), Held(array)) for array in arrays]
    one, other = (AnomalyDetector(PRIOR, **FAST).fit(images) for images in (arrays, later))
    assert count["open"] == 40, "each once"
    found = one.of_normals()[0]
    assert np.array_equal(found, other.of_normals()[0]) and 7 in np.argsort(found)[-3:]
    assert np.array_equal(one.score_samples(arrays[:9]), other.score_samples(later[:9]))


def test_shapes_and_openings() -> None:
    array = np.ones((9, 12), np.float32)
    assert shape_of(array) == (9, 12) and shape_of(as_image(array)) == (1, 9, 12)
    assert shape_of(array.tolist()) == (1, 9, 12), "what has no shape is opened"
    assert opened(Later((1, 9, 12), lambda: as_image(array))).shape == (1, 9, 12)
    with pytest.raises(InputError):
        shape_of(np.ones(9))


def test_windows_that_fit_say_what_wide_ones_say(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    image = 100 + 5 * rng.standard_normal((96, 90)).astype(np.float32)
    for row, col in rng.integers(8, 80, (6, 2)):
        image[row - 1 : row + 2, col - 1 : col + 2] += rng.uniform(20, 200)
    fitting = score(image, device="cpu").meta["explanation"].z
    monkeypatch.setattr("gencosmo.anomaly.views.narrowed", lambda denoiser, sides: denoiser)
    wide = score(image, device="cpu").meta["explanation"].z
    assert not np.array_equal(fitting, wide), "one of the two was not asked"
    assert np.sqrt(np.mean((fitting - wide) ** 2)) < 0.05
