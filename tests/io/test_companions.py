"""Noise and mask in files of their own: a survey's files come back as a set, whole or not at all."""

import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.batch import process_file, process_files
from gencosmo.errors import GencosmoWarning, InputError, StorageError, UsageError
from gencosmo.io import atomic
from gencosmo.io.fits import ReadOptions, prepare
from gencosmo.io.fits_write import WriteOptions, copy_file
from gencosmo.io.hdus import open_fits

from ..stand_in import stand_in  # noqa: F401
from .files import SHAPE, decam_files, plain_file, sha, sky, write
from .test_survey_files import brick
from .test_write import checked, hdu_bytes, repair


def told(path, out, **options):
    """Fill, and return what was told as {file: words}."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        repair(path, out, **options)
    texts = [entry.message.message for entry in caught if entry.message.code == "companion"]
    return {text.split(" is written")[0]: text for text in texts}


@pytest.mark.parametrize("plver", ["V4.8.2a", "V2.3"])
def test_a_triplet_comes_back_as_a_triplet(tmp_path, plver):
    path = decam_files(tmp_path, plver=plver)
    before = {name: sha(tmp_path / name) for name in os.listdir(tmp_path)}
    out = tmp_path / "out"
    out.mkdir()
    words = told(path, out / "c4d_1_ooi_z.fits", spread=4.0)
    assert {name: sha(tmp_path / name) for name in before} == before, "inputs are never touched"
    assert sorted(os.listdir(out)) == ["c4d_1_ood_z.fits", "c4d_1_ooi_z.fits", "c4d_1_oow_z.fits"]
    assert words["c4d_1_oow_z.fits"].endswith("beside the output, with the filled pixels")
    mask = gio.read(path).mask[0]
    with checked(out / "c4d_1_oow_z.fits") as hdus, fits.open(tmp_path / "c4d_1_oow_z.fits") as truth:
        assert np.array_equal(hdus[1].data, np.where(mask, np.float32(1 / 16), truth[1].data)), "as an inverse variance"
    primary = [hdu_bytes(folder / "c4d_1_oow_z.fits")["PRIMARY1"] for folder in (tmp_path, out)]
    assert primary[0] == primary[1]
    with checked(out / "c4d_1_ood_z.fits") as hdus, fits.open(tmp_path / "c4d_1_ood_z.fits") as truth:
        codes = plver == "V4.8.2a"
        expected = truth[1].data if codes else np.where(mask, truth[1].data | 4, truth[1].data)
        assert np.array_equal(hdus[1].data, expected), "codes do not combine; bits get INTERP"
    if plver == "V4.8.2a":
        assert words["c4d_1_ood_z.fits"].endswith("as it is")
        assert sha(out / "c4d_1_ood_z.fits") == before["c4d_1_ood_z.fits"]


def test_the_set_is_read_again_with_its_planes(tmp_path):
    path, out = decam_files(tmp_path), tmp_path / "out"
    out.mkdir()
    told(path, out / "c4d_1_ooi_z.fits", spread=4.0)
    again = gio.read(out / "c4d_1_ooi_z.fits")
    assert again.meta["profile"] == "decam"
    assert again.meta["hdu"] == 1, "our own planes are not taken for chips"
    mask = gio.read(path).mask
    assert np.array_equal(again.ivar[mask], np.full(mask.sum(), np.float32(1 / 16)))
    assert again.meta["counts"]["FILLED"] == mask.sum()


def test_a_brick_gets_its_inverse_variance_and_its_shared_mask(tmp_path):
    path, out = brick(tmp_path), tmp_path / "out"
    shutil.copy(path, tmp_path / "b-image-g.fits.fz")
    out.mkdir()
    words = told(path, out / "b-image-r.fits")
    assert sorted(words) == ["b-invvar-r.fits", "b-maskbits.fits"]
    assert (fits.getdata(out / "b-invvar-r.fits", 1)[9, :4] == np.float32(0.25)).all()
    words = told(tmp_path / "b-image-g.fits.fz", out / "b-image-g.fits")
    assert words == {}, "the mask of all bands is there already, and g has no inverse variance of its own"
    image = gio.read(out / "b-image-r.fits")
    assert image.meta["profile"] == "legacy"
    assert np.allclose(image.ivar[0, 9, :4], 0.25)


def test_an_ivar_beside_the_image(tmp_path):
    ivar = np.full(SHAPE, 0.25, np.float32)
    ivar[3, 3] = 0
    path, out = plain_file(tmp_path / "s-image-r.fits"), tmp_path / "out"
    plain_file(tmp_path / "s-ivar-r.fits", ivar)
    out.mkdir()
    told(path, out / "s-image-r.fits", spread=1.0)
    assert fits.getdata(out / "s-ivar-r.fits")[3, 3] == 1


def test_names_without_a_pattern_leave_companions_where_they_are(tmp_path):
    path = decam_files(tmp_path)
    with pytest.warns(GencosmoWarning, match=r"plane in c4d_1_oo[wd]_z.fits stays as it is; see GCM_STD") as caught:
        repair(path, tmp_path / "filled.fits")
    assert [entry.message.code for entry in caught] == ["companion", "companion"]
    assert len(os.listdir(tmp_path)) == 4


def test_what_the_user_named_is_not_renamed(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    ivar = np.full(SHAPE, 0.04, np.float32)
    ivar[4, 4] = 0
    named, out = plain_file(tmp_path / "w.fits", ivar), tmp_path / "out"
    out.mkdir()
    with pytest.warns(GencosmoWarning, match="the noise plane in w.fits stays as it is"):
        repair(path, out / "a.fits", ivar=named)
    assert os.listdir(out) == ["a.fits"]


def test_nothing_to_fill_copies_the_set(tmp_path):
    path, out = decam_files(tmp_path), tmp_path / "out"
    out.mkdir()
    with open_fits(path) as file:
        prepare(file, ReadOptions())
        with pytest.warns(GencosmoWarning, match="beside the output, as it is"):
            copy_file(file, str(out / "c4d_1_ooi_z.fits"))
    for name in os.listdir(out):
        assert sha(out / name) == sha(tmp_path / name)
    assert len(os.listdir(out)) == 3


def test_a_companion_that_exists_is_refused_before_anything_is_written(tmp_path):
    path, out = decam_files(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "c4d_1_oow_z.fits").write_text("mine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UsageError, match=r"c4d_1_oow_z.fits exists"):
            repair(path, out / "c4d_1_ooi_z.fits")
        assert os.listdir(out) == ["c4d_1_oow_z.fits"]
        assert (out / "c4d_1_oow_z.fits").read_text() == "mine"
        repair(path, out / "c4d_1_ooi_z.fits", options=WriteOptions(overwrite=True))
    assert fits.getdata(out / "c4d_1_oow_z.fits", 1).shape == SHAPE


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_rename_that_fails_puts_all_back(tmp_path, monkeypatch, failing):
    path, out = decam_files(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "c4d_1_oow_z.fits").write_text("mine")
    replace, calls = os.replace, []

    def breaks(source, target):
        calls.append(target)
        if str(source).endswith(".part") and sum(str(c).endswith(".fits") for c in calls) == failing:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", breaks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(StorageError, match="Input/output error"):
            repair(path, out / "c4d_1_ooi_z.fits", options=WriteOptions(overwrite=True))
    assert os.listdir(out) == ["c4d_1_oow_z.fits"]
    assert (out / "c4d_1_oow_z.fits").read_text() == "mine"


def test_sixty_chips_share_one_companion_file(tmp_path):
    science, weight, mask = [fits.PrimaryHDU()], [fits.PrimaryHDU()], [fits.PrimaryHDU()]
    for hdus in (science, weight, mask):
        hdus[0].header["PLVER"] = "V4.8.2a"
    for number in range(1, 7):
        codes = np.zeros(SHAPE, np.int32)
        codes[number, :number] = 3
        names = {"name": f"N{number}"}
        science.append(fits.ImageHDU(sky(seed=number), **names))
        weight.append(fits.ImageHDU(np.where(codes, 0, 0.04).astype(np.float32), **names))
        mask.append(fits.ImageHDU(codes, **names))
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for letter, hdus in (("i", science), ("w", weight), ("d", mask)):
        write(folder / f"c4d_oo{letter}_g.fits", *hdus)
    told(folder / "c4d_ooi_g.fits", out / "c4d_ooi_g.fits", spread=1.0)
    with checked(out / "c4d_oow_g.fits") as hdus, checked(out / "c4d_ooi_g.fits") as images:
        for number in range(1, 7):
            assert (hdus[f"N{number}"].data == np.where(mask[number].data, 1, np.float32(0.04))).all()
        fills = [hdu for hdu in images if hdu.name == "GCM_FILL"]
        assert [hdu.header["GCMOF"] for hdu in fills] == [f"N{n}" for n in range(1, 7)]
        assert [hdu.ver for hdu in fills] == list(range(1, 7))


def test_a_companion_is_not_taken_for_an_image(tmp_path):
    decam_files(tmp_path)
    brick(tmp_path)
    plain_file(tmp_path / "s-image-r.fits")
    plain_file(tmp_path / "s-ivar-r.fits")
    for name, what, image in (
        ("c4d_1_oow_z.fits", "weight", "c4d_1_ooi_z.fits"),
        ("c4d_1_ood_z.fits", "mask", "c4d_1_ooi_z.fits"),
        ("b-invvar-r.fits.fz", "inverse variance", "b-image-r.fits.fz"),
        ("b-maskbits.fits.fz", "mask", "b-image-r.fits.fz"),
        ("s-ivar-r.fits", "inverse variance", "s-image-r.fits"),
    ):
        with pytest.raises(InputError) as caught:
            gio.read(tmp_path / name)
        assert caught.value.code == "companion"
        assert caught.value.message == f"{name} is the {what} of {image}"
        assert gio.read(tmp_path / name, profile="plain").shape == (1, *SHAPE)
    (tmp_path / "c4d_1_ooi_z.fits").unlink()
    assert gio.read(tmp_path / "c4d_1_oow_z.fits").meta["profile"] == "plain", "alone it is what it is"


def test_a_weight_map_beside_an_image_is_mentioned(tmp_path):
    path = plain_file(tmp_path / "coadd.fits")
    assert gio.read(path).meta["notes"] == ()
    plain_file(tmp_path / "coadd.weight.fits")
    assert gio.read(path).meta["notes"] == ("coadd.weight.fits lies beside: --weight takes it",)


@pytest.mark.usefixtures("stand_in")
def test_images_that_share_a_mask_run_side_by_side(tmp_path):
    path, out = brick(tmp_path), tmp_path / "out"
    paths = [path]
    for band in "giz":
        paths.append(str(tmp_path / f"b-image-{band}.fits.fz"))
        shutil.copy(path, paths[-1])
    with ThreadPoolExecutor(4) as pool:
        reports = process_files(paths, out, executor=pool)
    assert [report.error for report in reports] == [None] * 4
    assert len(os.listdir(out)) == 4 + 1 + 1


@pytest.mark.usefixtures("stand_in")
def test_a_companion_in_the_way_is_told_before_anything_is_computed(tmp_path):
    path, out = decam_files(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "c4d_1_oow_z.fits").write_text("mine")
    with pytest.raises(UsageError, match=r"c4d_1_oow_z.fits exists"):
        process_file(path, out / "c4d_1_ooi_z.fits", on_plane=lambda image, result: pytest.fail("it ran"))


def test_a_shared_file_that_appears_meanwhile_is_no_obstacle(tmp_path):
    def appears():
        (tmp_path / "shared").write_bytes(b"same")
        yield b"main"

    atomic.write_all_atomic(
        [(str(tmp_path / "shared"), [b"same"]), (str(tmp_path / "main"), appears())], shared=[str(tmp_path / "shared")]
    )
    assert sorted(os.listdir(tmp_path)) == ["main", "shared"]
    atomic.write_all_atomic(
        [(str(tmp_path / "shared"), [b"same"]), (str(tmp_path / "other"), [b"main"])], shared=[str(tmp_path / "shared")]
    )
    assert (tmp_path / "other").read_bytes() == b"main", "it was there before the writing began"
    with pytest.raises(UsageError, match="exists"):
        atomic.write_all_atomic([(str(tmp_path / "shared"), [b"else"])], shared=[str(tmp_path / "shared")])
