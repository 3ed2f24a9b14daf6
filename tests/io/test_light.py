"""What values mean: opacity is no light, palettes may be no grey levels, small values may be bright, 12 bits are full
at 4095.
"""

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from gencosmo.io import read
from gencosmo.io.stack_open import open_stack

from .stacks import SIZE, codes, filled, holes, quick_task, run, values  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")


def opaque(count):
    """Grey or RGB, all of it opaque: a constant plane that nothing can be said about."""
    light = values((*SIZE, count), np.uint8)
    return np.concatenate([light, np.full((*SIZE, 1), 255, np.uint8)], axis=-1)


@pytest.mark.parametrize(("count", "photometric"), [(3, "rgb"), (1, "minisblack")])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_opacity_of_a_tiff_is_copied(tmp_path, count, photometric, planar):
    array = opaque(count)
    stored = array if planar == "contig" else np.moveaxis(array, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, planarconfig=planar,
                     extrasamples=["unassalpha"], metadata=None)  # fmt: skip
    report = run(tmp_path, tmp_path / "a.tif", "b.tif", find=("sat",))
    assert report.filled == count * holes().sum()
    got = tifffile.imread(tmp_path / "b.tif")
    got = got if planar == "contig" else np.moveaxis(got, 0, -1)
    np.testing.assert_array_equal(got[..., count], 255)
    np.testing.assert_array_equal(got[..., 0], np.where(holes(), filled(dtype=np.uint8), array[..., 0]))
    assert read(tmp_path / "a.tif").shape == (count, *SIZE)
    assert read(tmp_path / "a.tif", channels=(count,)).data.min() == 255, "opacity is read when it is asked for"


def test_a_fourth_sample_of_unknown_meaning_is_light(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values((*SIZE, 4), np.uint8), photometric="rgb", extrasamples=["unspecified"])
    assert run(tmp_path, tmp_path / "a.tif", "b.tif").filled == 4 * holes().sum()


def test_opacity_of_a_picture_is_copied(tmp_path):
    array = opaque(3)
    Pillow.fromarray(array).save(tmp_path / "a.png")
    assert run(tmp_path, tmp_path / "a.png", "b.ome.tif").filled == 3 * holes().sum()
    got = tifffile.imread(tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(got[..., 3], 255)
    np.testing.assert_array_equal(got[~holes()], array[~holes()])


def test_grey_pictures_of_other_kinds_are_one_channel(tmp_path):
    array = values(SIZE, np.uint8)
    Pillow.fromarray(np.stack([array, np.full_like(array, 255)], axis=-1), "LA").save(tmp_path / "a.png")
    grey = Pillow.fromarray(array, "P")
    grey.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    grey.save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").data, array[None])
    np.testing.assert_array_equal(read(tmp_path / "b.png").data, 255.0 - array[None])
    colored = Pillow.fromarray(array, "P")
    colored.putpalette(np.random.default_rng(0).integers(0, 255, 768).astype(np.uint8).tobytes())
    colored.save(tmp_path / "c.png")
    assert read(tmp_path / "c.png").shape == (3, *SIZE)


def palette(path, table):
    tifffile.imwrite(path, values(SIZE, np.uint8), photometric="palette", colormap=table.astype(np.uint16))
    return path


def test_palettes_that_are_no_scale_of_brightness_are_told(tmp_path):
    ramp = np.arange(256) * 257
    grey, green = np.stack([ramp] * 3), np.stack([ramp * 0, ramp, ramp * 0])
    for number, table in enumerate((grey, green, grey[:, ::-1])):
        report = run(tmp_path, palette(tmp_path / f"a{number}.tif", table), f"b{number}.tif")
        assert "palette" not in codes(report)
    labels = np.random.default_rng(0).integers(0, 65535, (3, 256))
    report = run(tmp_path, palette(tmp_path / "c.tif", labels), "d.tif")
    assert "palette" in codes(report)
    with tifffile.TiffFile(tmp_path / "d.tif") as file:
        np.testing.assert_array_equal(file.pages[0].colormap, labels)


def test_small_values_that_are_bright_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values(SIZE, np.uint8), photometric="miniswhite")
    assert "inverted" in codes(run(tmp_path, tmp_path / "a.tif", "b.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].photometric == 0


def test_twelve_bits_are_full_at_their_own_end(tmp_path):
    array = values(SIZE) * 10
    array[5, 5] = array[20, 30] = 4095  # two pixels: no plateau
    tifffile.imwrite(tmp_path / "a.tif", array, bitspersample=12)
    with open_stack(str(tmp_path / "a.tif"), limit=1 << 20) as stack:
        assert stack.details.significant_bits == 12
    found = read(tmp_path / "a.tif", find=("sat",))
    assert found.meta["found"] == {"sat": 2} and found.mask[0, 5, 5] and found.mask[0, 20, 30]
    tifffile.imwrite(tmp_path / "b.tif", array)
    with open_stack(str(tmp_path / "b.tif"), limit=1 << 20) as stack:
        assert stack.details.significant_bits is None
