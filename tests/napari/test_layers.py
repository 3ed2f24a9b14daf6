"""What the widgets do, without a window: planes, colours, masks, scales, and the layers that come back."""

import numpy as np
import pytest

import gencosmo
from gencosmo.errors import UsageError
from gencosmo.flags import bits
from gencosmo.napari.layers import Picture, inpaint_layers, score_layers, super_resolve_layers
from gencosmo.result import Result

SIZE = (20, 24)


def filling(image, *, prior, samples, seed, **hooks):
    """Masked pixels become 7.25, in a hole too large."""
    mask = image.mask
    flags = np.where(mask, np.uint32(bits("HOLE_TOO_LARGE")), np.uint32(0))
    mean = np.where(mask, np.float32(7.25), image.data)
    std = np.where(mask, np.float32(2), np.float32(0))
    parts = (image.restore(part) for part in (mask, flags))
    return Result(image.restore(mean), image.restore(std), filled=next(parts), flags=next(parts))


@pytest.fixture
def _filling(monkeypatch):
    monkeypatch.setattr(gencosmo, "inpaint", filling, raising=False)


def stack(*leading, dtype=np.uint16):
    return np.random.default_rng(0).integers(90, 120, (*leading, *SIZE)).astype(dtype)


def one_hole():
    mask = np.zeros(SIZE, bool)
    mask[3:6, 4:8] = True
    return mask


@pytest.mark.parametrize(("shown", "shape"), [((1, 2), SIZE), (None, (2, 3, *SIZE)), ((1, 9), SIZE)])
@pytest.mark.usefixtures("_filling")
def test_the_plane_in_view_or_all(shown, shape):
    data, mask = stack(2, 3), one_hole()
    picture = Picture(data, "cells", scale=(1.0, 2.0, 0.3, 0.3), shown=shown)
    result, std, fill = inpaint_layers(picture, mask)
    assert [kind for _, _, kind in (result, std, fill)] == ["image", "image", "labels"]
    assert [words["name"] for _, words, _ in (result, std, fill)] == ["cells filled", "cells std", "cells fill"]
    assert result[0].shape == std[0].shape == fill[0].shape == shape
    assert result[1]["scale"] == ((0.3, 0.3) if shown else (1.0, 2.0, 0.3, 0.3))
    plane = data[1, 2].astype(np.float32)
    got = result[0] if shown else result[0][1, 2]
    assert np.array_equal(got, np.where(mask, np.float32(7.25), plane))
    assert np.array_equal(fill[0], np.broadcast_to(3 * mask, shape)) and fill[0].dtype == np.uint8
    assert np.array_equal(std[0] == 2, np.broadcast_to(mask, shape))


@pytest.mark.usefixtures("_filling")
def test_a_mask_for_each_plane():
    mask = np.zeros((2, *SIZE), bool)
    mask[1, 5, 5] = True
    _, _, fill = inpaint_layers(Picture(stack(2)), mask)
    assert fill[0].sum() == 3 and fill[0][1, 5, 5] == 3


@pytest.mark.usefixtures("_filling")
def test_colours_stay_colours():
    data = np.moveaxis(stack(3, dtype=np.uint8), 0, -1)
    result, std, fill = inpaint_layers(Picture(data, rgb=True), one_hole())
    assert result[0].shape == (*SIZE, 3) and result[0].dtype == np.uint8 and result[1]["rgb"]
    assert (result[0][4, 5] == 7).all() and std[0].shape == fill[0].shape == SIZE


def test_finer_pixels_lie_on_the_coarse_ones(monkeypatch):
    def twice(image, factor, *, prior, samples, seed, flux_mode, **hooks):
        assert image.psf.sum() == pytest.approx(1) and (image.ivar[~image.mask] == np.float32(1 / 16)).all()
        big = np.kron(image.data, np.ones((1, factor, factor), np.float32)).astype(np.float32)
        parts = [image.restore(part) for part in (big, np.full_like(big, 2), np.full_like(big, 0.5))]
        return Result(parts[0], parts[1], prior_share=parts[2], target="scene")

    monkeypatch.setattr(gencosmo, "super_resolve", twice, raising=False)
    picture = Picture(stack(3), "cells", scale=(2.0, 0.4, 0.4))
    mean, std, share = super_resolve_layers(picture, one_hole(), fwhm=2.0, factor=4, noise=4.0)
    assert mean[0].shape == (3, 80, 96) and (std[0] == 2).all() and (share[0] == 0.5).all()
    for _, words, kind in (mean, std, share):
        assert kind == "image" and words["scale"] == pytest.approx((2.0, 0.1, 0.1))
        assert words["translate"] == pytest.approx((0.0, -0.15, -0.15)), "outer edges of the pixels meet"
    with pytest.raises(UsageError, match="colour"):
        super_resolve_layers(Picture(np.zeros((*SIZE, 3)), rgb=True), None, fwhm=2.0)
    with pytest.raises(UsageError, match="noise is -1"):
        super_resolve_layers(picture, None, fwhm=2.0, noise=-1.0)


def test_regions_beyond_the_threshold_are_labels(monkeypatch):
    def judged(image, *, prior, seed, **hooks):
        deviation = np.zeros(image.shape, np.float32)
        deviation[:, 3:5, 4:6], deviation[:, 10, 10], deviation[:, 15, 15] = 8, -6, 4
        parts = [image.restore(part) for part in (image.data, np.ones_like(image.data), deviation)]
        return Result(parts[0], parts[1], anomaly_map=parts[2])

    monkeypatch.setattr(gencosmo, "score", judged, raising=False)
    found, _, regions = score_layers(Picture(stack()), None, threshold=5.0)
    assert found[0].max() == 8 and regions[2] == "labels" and regions[0].max() == 2
    assert (regions[0] > 0).sum() == 5


def test_a_picture_is_filled_with_the_shipped_prior():
    data = stack().astype(np.float32)
    result, std, _ = inpaint_layers(Picture(data), one_hole())
    assert np.array_equal(result[0][~one_hole()], data[~one_hole()])
    assert np.abs(result[0][one_hole()] - data.mean()).max() < 40 and (std[0][one_hole()] > 0).all()
