import numpy as np
import pytest
from PIL import Image as Picture

from gencosmo.errors import UsageError
from gencosmo.image import as_image
from gencosmo.photon import estimate_noise
from gencosmo.report import Limits, display_limits, noise_picture, picture

from .io.files import fill, holes, sky
from .photon.scenes import cells, counted


def pixels(path):
    return np.asarray(Picture.open(path).convert("RGB")).astype(int)


def test_small_frames_get_one_row_and_large_ones_a_detail(tmp_path):
    for shape, rows in (((40, 56), 1), ((400, 300), 2)):
        image = as_image(sky(shape), holes(shape))
        path = str(tmp_path / f"{rows}.png")
        picture(path, image, fill(image), title="a.fits")
        height, width, _ = pixels(path).shape
        assert width == 16 + 4 * 376
        assert height > rows * 250
    assert pixels(tmp_path / "2.png").shape[0] > 1.5 * pixels(tmp_path / "1.png").shape[0]


def test_before_and_after_share_their_limits(tmp_path):
    """Where nothing was filled both panels are the same, pixel for pixel."""
    image = as_image(sky((64, 64)), holes((64, 64)))
    path = str(tmp_path / "a.png")
    picture(path, image, fill(image))
    shown = pixels(path)[52:412]
    before, mask, after = (shown[:, 16 + i * 376 : 16 + i * 376 + 360] for i in range(3))
    orange = (mask == (235, 90, 60)).all(axis=2)
    assert orange.any()
    assert np.array_equal(before[~orange], after[~orange])
    assert (before[orange] != after[orange]).any()


def test_single_masked_pixels_of_large_frames_stay_visible(tmp_path):
    mask = np.zeros((1200, 1200), bool)
    mask[700, 300] = True
    image = as_image(sky((1200, 1200)), mask)
    path = str(tmp_path / "a.png")
    picture(path, image, fill(image))
    top = pixels(path)[52:412, 392:752]
    rows, cols = np.nonzero((top == (235, 90, 60)).all(axis=2))
    assert len(rows) > 0
    assert abs(cols.mean() - 300 * 360 / 1200) < 3
    assert abs(rows.mean() - (360 - 700 * 360 / 1200)) < 3, "first row at the bottom"


def test_limits_ignore_masked_and_dead_pixels():
    data = sky((100, 100)).astype(float)
    data[:, 5] = 1e6
    data[7, :] = -1e6
    good = np.ones(data.shape, bool)
    good[:, 5] = False
    limits = display_limits(data, good)
    assert 80 < limits.low < 100
    assert 110 < limits.high < 1000
    assert display_limits(data, ~np.ones_like(good)) == Limits(0.0, 1.0)
    scaled = limits.scale(np.array([limits.low - 1, limits.low, limits.high, limits.high + 1]))
    assert scaled.tolist() == [0, 0, 1, 1]


def test_names_and_existing_pictures(tmp_path):
    image = as_image(sky(), holes())
    with pytest.raises(UsageError, match=r"must end in \.png"):
        picture(str(tmp_path / "a.jpg"), image, fill(image))
    picture(str(tmp_path / "a.png"), image, fill(image))
    with pytest.raises(UsageError) as caught:
        picture(str(tmp_path / "a.png"), image, fill(image))
    assert caught.value.code == "exists"
    picture(str(tmp_path / "a.png"), image, fill(image), overwrite=True)


def test_cubes_show_the_channel_with_most_holes(tmp_path):
    cube = np.stack([sky((64, 64), seed=i) for i in range(3)])
    mask = np.zeros(cube.shape, bool)
    mask[1, 10:20, 10:20] = True
    mask[2, 0, 0] = True
    image = as_image(cube, mask)
    picture(str(tmp_path / "a.png"), image, fill(image))
    orange = (pixels(tmp_path / "a.png") == (235, 90, 60)).all(axis=2)
    assert orange.sum() == pytest.approx((10 / 64 * 360) ** 2, rel=0.1)


def test_what_was_filled_does_not_set_the_limits(tmp_path):
    """A wild estimate must not make the rest of both panels black."""
    image = as_image(sky((64, 64)), holes((64, 64)))
    shown = []
    for name, value in (("a", 100.0), ("b", 1e6)):
        picture(str(tmp_path / f"{name}.png"), image, fill(image, value))
        shown.append(pixels(tmp_path / f"{name}.png")[52:412, 16:376])
    assert np.array_equal(*shown)


def test_the_law_of_the_noise_is_drawn(tmp_path):
    laws = estimate_noise(counted(cells(160), 0.5, 2.0, 100.0))
    noise_picture(str(tmp_path / "a.png"), laws, title="a")
    shown = pixels(tmp_path / "a.png")
    points = (shown == np.array((235, 90, 60))).all(axis=2).sum()
    assert points > 20 * (laws[0].points.weight > 0.5).sum() * 0.3
    with pytest.raises(UsageError, match="must end in"):
        noise_picture(str(tmp_path / "a.jpg"), laws)


def test_rows_of_microscopes_go_down(tmp_path):
    """FITS has its first row at the bottom, files of microscopes on top."""
    data = np.tile(np.linspace(0, 1, 40, dtype=np.float32)[:, None], (1, 40))
    up = as_image(data, np.eye(40, dtype=bool))
    shown = []
    for name, image in (("up", up), ("down", up.replace(meta={"rows": "down"}))):
        picture(str(tmp_path / f"{name}.png"), image, fill(image))
        shown.append(pixels(tmp_path / f"{name}.png").sum(2)[60:380, 40:340])
    assert shown[0][0].mean() > shown[0][-1].mean() and shown[1][0].mean() < shown[1][-1].mean()
