"""The tasks: shapes and units come back, good pixels stay, seeds decide, errors tell."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from gencosmo import denoise, inpaint
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.flags import bits
from gencosmo.image import Image, as_image

Float = NDArray[np.float32]


def frame(side: int = 80, seed: int = 0) -> Float:
    """Sky of 500 counts with noise 7, and twelve stars."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    image = np.full((side, side), 500.0)
    for _ in range(12):
        row, col = rng.uniform(0, side, 2)
        image += rng.uniform(100, 4000) * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 4.5)
    return (image + 7 * rng.standard_normal(image.shape)).astype(np.float32)


def holes(side: int = 80, seed: int = 1) -> NDArray[np.bool_]:
    mask = np.random.default_rng(seed).random((side, side)) < 0.03
    mask[:, 17] = True
    mask[40:45, 50:56] = True
    return mask


def test_good_pixels_stay_bit_for_bit_and_shape_comes_back() -> None:
    image, mask = frame(), holes()
    broken = np.where(mask, np.float32(1e5), image)
    before = broken.copy()
    result = inpaint(broken, mask)
    assert np.array_equal(broken, before)
    assert result.mean.shape == image.shape and result.mean.dtype == np.float32
    assert np.array_equal(result.mean[~mask], image[~mask])
    assert (result.std[~mask] == 0).all() and (result.std[mask] > 0).all()
    assert result.filled is not None and np.array_equal(result.filled, mask)
    assert result.flags is not None and (result.flags[mask] & bits("FILLED") > 0).all()
    rms = np.sqrt(np.mean((result.mean[mask] - image[mask]) ** 2))
    assert rms < 0.25 * np.std(image)


def test_masked_values_do_not_matter() -> None:
    image, mask = frame(), holes()
    one = inpaint(np.where(mask, np.float32(0), image), mask)
    other = inpaint(np.where(mask, np.float32(np.nan), image))
    assert np.array_equal(one.mean[mask], other.mean[mask])


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_units_do_not_matter(scale: float) -> None:
    image, mask = frame(), holes()
    plain, scaled = inpaint(image, mask), inpaint((image * scale).astype(np.float32), mask)
    assert np.allclose(scaled.mean / scale, plain.mean, rtol=2e-3, atol=0.05)
    assert np.allclose(scaled.std / scale, plain.std, rtol=0.02, atol=0.02)


def test_channels_are_independent() -> None:
    cube = np.stack([frame(seed=s) for s in range(3)])
    mask = np.stack([holes(seed=s) for s in range(3)])
    together = inpaint(cube, mask)
    assert together.mean.shape == cube.shape
    for channel in range(3):
        assert np.array_equal(together.mean[channel], inpaint(cube[channel], mask[channel]).mean)


def test_samples_are_reproducible_and_scatter_like_std() -> None:
    image, mask = frame(), holes()
    one = inpaint(image, mask, samples=6, steps=6, seed=4)
    again = inpaint(image, mask, samples=6, steps=6, seed=4)
    other = inpaint(image, mask, samples=6, steps=6, seed=5)
    assert one.samples is not None and again.samples is not None and other.samples is not None
    assert one.samples.shape == (6, *image.shape)
    assert np.array_equal(one.samples, again.samples)
    assert not np.array_equal(one.samples[:, mask], other.samples[:, mask])
    assert (one.samples[:, ~mask] == image[~mask]).all()
    predicted = inpaint(image, mask).std[mask]
    drawn = one.samples[:, mask].std(0, ddof=1)
    assert 0.6 < np.median(drawn) / np.median(predicted) < 1.6


def test_more_samples_begin_with_the_same_ones() -> None:
    image, mask = frame(), holes()
    few, many = (inpaint(image, mask, samples=n, steps=4, seed=9).samples for n in (2, 3))
    assert few is not None and many is not None
    assert np.array_equal(few, many[:2])


def test_nothing_masked_is_a_copy() -> None:
    image = frame()
    result = inpaint(image)
    assert np.array_equal(result.mean, image) and result.mean is not image
    assert result.filled is not None and not result.filled.any()


def test_scene_denoises_with_honest_errors() -> None:
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:96, :96]
    truth = 50 * np.exp(-((rows - 40) ** 2 + (cols - 50) ** 2) / 60.0)
    noise = np.where(cols < 48, 1.0, 3.0)
    seen = (truth + noise * rng.standard_normal(truth.shape)).astype(np.float32)
    result = denoise(seen, noise**-2.0)
    error = result.mean - truth
    assert result.target == "scene"
    assert np.sqrt(np.mean(error**2)) < 0.5 * np.sqrt(np.mean((seen - truth) ** 2))
    assert 0.5 < np.mean(np.abs(error) < result.std) < 0.95


def test_scene_needs_noise() -> None:
    with pytest.raises(InputError, match="needs the noise") as caught:
        inpaint(frame(), holes(), target="scene")
    assert caught.value.code == "no_noise"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"target": "sky"}, "target is 'sky'"),
        ({"samples": -1}, "samples is -1"),
        ({"samples": 1.5}, "samples is 1.5"),
        ({"steps": 1, "samples": 2}, "steps is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"samples": True}, "samples is True"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        inpaint(frame(), holes(), **options)  # type: ignore[arg-type]


def test_too_little_to_work_from() -> None:
    mask = np.ones((80, 80), bool)
    mask[:4] = False
    with pytest.raises(InputError, match=r"95\.0 % of pixels masked"):
        inpaint(frame(), mask)


def test_large_holes_and_foreign_scales_are_told() -> None:
    image, mask = frame(160), np.zeros((160, 160), bool)
    mask[40:100, 40:100] = True
    mask[:, 5] = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = inpaint(Image(image[None], flags=np.where(mask, 1, 0).astype(np.uint32)[None], pixel_scale=30.0))
    codes = {w.message.code for w in caught if isinstance(w.message, GencosmoWarning)}
    assert codes == {"hole_too_large", "out_of_domain"}
    assert result.flags is not None
    large = result.flags[0] & bits("HOLE_TOO_LARGE") > 0
    assert large[60, 60] and not large[20, 5]


def test_progress_and_cancel() -> None:
    image, mask = frame(), holes()
    seen: list[tuple[int, int]] = []
    inpaint(image, mask, progress=lambda done, total: seen.append((done, total)))
    assert seen and seen[0][0] == 0 and all(total == seen[0][1] for _, total in seen)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        inpaint(image, mask, cancel=stop)
    with pytest.raises(Cancelled):
        inpaint(image, mask, samples=2, steps=4, cancel=stop)


def test_section_with_origin_gets_the_same_noise() -> None:
    """Samples of a pixel are tied to its absolute place: far from the cut, a section repeats the whole."""
    image, mask = frame(200, seed=2), np.zeros((200, 200), bool)
    mask[90:93, 90:94] = True
    whole = as_image(image, mask)
    part = as_image(image[16:184, 16:184], mask[16:184, 16:184]).replace(origin=(16, 16))
    a = inpaint(whole, samples=3, steps=5, seed=1).samples
    b = inpaint(part, samples=3, steps=5, seed=1).samples
    assert a is not None and b is not None
    here, there = a[:, 90:93, 90:94], b[:, 74:77, 74:78]
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.99
