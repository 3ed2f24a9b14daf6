"""A second run over our own output: what the first one said stays where the second changes nothing."""

import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.errors import GencosmoWarning
from gencosmo.flags import bits, count
from gencosmo.image import as_image

from .files import SHAPE, fill, plain_file, sky, write
from .test_write import checked, repair


def dirty(path):
    """A hot pixel, which only a finder sees, and a hole."""
    data = sky()
    data[12, 40] += 5000
    data[30, 8:12] = np.nan
    return plain_file(path, data)


def test_causes_fills_and_spreads_of_both_runs_are_joined(tmp_path):
    path = dirty(tmp_path / "a.fits")
    repair(path, tmp_path / "b.fits", find=("hot",), spread=2.0)
    mask = np.zeros(SHAPE, np.uint8)
    mask[5, 5:8] = 1
    mask[30, 8] = 1
    named = plain_file(tmp_path / "m.fits", mask)
    repair(tmp_path / "b.fits", tmp_path / "c.fits", mask=named, spread=3.0)
    with checked(tmp_path / "c.fits") as hdus:
        names = [hdu.name for hdu in hdus]
        assert names == ["PRIMARY", "GCM_FILL", "GCM_STD", "GCM_FLAG", "GCM_PROV"]
        flags = hdus["GCM_FLAG"].data
        assert flags[12, 40] == bits("HOT"), "the first run's cause"
        assert (flags[30, 8:12] == bits("NO_DATA")).all()
        assert hdus["GCM_FILL"].data.sum() == 1 + 4 + 3
        assert hdus["GCM_STD"].data[12, 40] == 2
        assert (hdus["GCM_STD"].data[30, 8:10] == [3, 2]).all(), "filled again, and left"
        assert (hdus["GCM_STD"].data[5, 5:8] == 3).all()
        assert len(hdus["GCM_PROV"].data) == 2


def test_new_causes_join_old_ones(tmp_path):
    repair(dirty(tmp_path / "a.fits"), tmp_path / "b.fits", find=("hot",))
    with fits.open(tmp_path / "b.fits", mode="update") as hdus:
        hdus[0].data[12, 40] = hdus[0].data[20, 50] = 9000
    repair(tmp_path / "b.fits", tmp_path / "c.fits", find=("hot",))
    flags = fits.getdata(tmp_path / "c.fits", "GCM_FLAG")
    assert flags[12, 40] == bits("HOT", "FILLED"), "hot, and an estimate of the first run before this one"
    assert flags[20, 50] == bits("HOT")
    assert (flags[30, 8:12] == bits("NO_DATA")).all()


def test_filled_pixels_are_told_when_they_are_read_again(tmp_path):
    repair(dirty(tmp_path / "a.fits"), tmp_path / "b.fits")
    image = gio.read(tmp_path / "b.fits")
    assert count(image.flags) == {"FILLED": 4}
    assert not image.mask.any()
    part = gio.read(tmp_path / "b.fits", section=(slice(20, 40), slice(0, 20)))
    assert count(part.flags) == {"FILLED": 4}


def test_planes_of_an_hdu_that_the_second_run_leaves_alone_stay(tmp_path):
    data = [sky(seed=i) for i in range(3)]
    for plane in data:
        plane[3, 3:6] = np.nan
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), *(fits.ImageHDU(d, name=f"C{i}") for i, d in enumerate(data)))
    repair(path, tmp_path / "b.fits", hdu="C1", spread=2.0)
    repair(tmp_path / "b.fits", tmp_path / "c.fits", hdu="C0", spread=3.0)
    repair(tmp_path / "c.fits", tmp_path / "d.fits", hdu="C1", mask=f"{mask_file(tmp_path)}", spread=4.0)
    with checked(tmp_path / "d.fits") as hdus:
        spread = {hdu.header["GCMOF"]: hdu.data for hdu in hdus if hdu.name == "GCM_STD"}
        assert {name: float(plane.max()) for name, plane in spread.items()} == {"C0": 3, "C1": 4}
        assert spread["C1"][3, 3] == 2
        assert len({hdu.ver for hdu in hdus if hdu.name == "GCM_STD"}) == 2
        assert len(hdus["GCM_PROV"].data) == 3


def mask_file(folder):
    mask = np.zeros(SHAPE, np.uint8)
    mask[9, 9] = 1
    return plain_file(folder / "m.fits", mask)


def test_samples_of_an_earlier_run_go_with_a_word(tmp_path):
    path = dirty(tmp_path / "a.fits")
    image = gio.read(path)
    from dataclasses import replace

    plain = fill(image)
    result = replace(plain, samples=np.stack([plain.mean, plain.mean + 1]))
    gio.write(tmp_path / "b.fits", result, like=path, image=image)
    with pytest.warns(GencosmoWarning, match="samples of the earlier run are dropped"):
        repair(tmp_path / "b.fits", tmp_path / "c.fits", mask=mask_file(tmp_path))
    assert "GCM_SAMP" not in [hdu.name for hdu in fits.open(tmp_path / "c.fits")]


def test_exact_values_come_back_exact(tmp_path):
    ivar = np.full(SHAPE, 0.04, np.float32)
    ivar[2, :5], ivar[3, :4], ivar[4, 0] = np.inf, 0, 3e38
    image = as_image(sky()).replace(ivar=ivar[None])
    gio.write(tmp_path / "a.fits", image)
    back = gio.read(tmp_path / "a.fits")
    assert np.isinf(back.ivar[0, 2, :5]).all()
    assert np.isfinite(back.ivar).sum() == ivar.size - 5
    assert count(back.flags) == {"BAD": 4, "NO_NOISE": 4}, "error 0 still means unknown"
    assert np.allclose(back.ivar[0, 5:], 0.04)
    assert 0 < fits.getdata(tmp_path / "a.fits", "ERR")[2, 0] < 1e-18, "other readers see a tiny error"
    plain = as_image(sky()).replace(ivar=np.full((1, *SHAPE), 0.04, np.float32))
    gio.write(tmp_path / "b.fits", plain)
    assert "GCMEXACT" not in fits.getheader(tmp_path / "b.fits", "ERR")


def test_every_flag_of_ours_comes_back(tmp_path):
    """EDGE too, which in a mask of LSST is no defect."""
    from gencosmo.flags import FLAGS

    flags = np.zeros((1, *SHAPE), np.uint32)
    for row, flag in enumerate(FLAGS.values()):
        flags[0, row, row] = flag.value
    image = as_image(sky()).replace(flags=flags)
    gio.write(tmp_path / "a.fits", image)
    back = gio.read(tmp_path / "a.fits")
    assert np.array_equal(back.mask, image.mask)
    assert np.array_equal(back.flags, flags)
