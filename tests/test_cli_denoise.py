"""`gencosmo denoise` and the options about noise, times and depths, as a lab meets them."""

import json

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from typer.testing import CliRunner

from gencosmo.batch import OPS
from gencosmo.cli import app
from gencosmo.commands.reading import parse_camera, parse_channels, parse_numbers
from gencosmo.errors import UsageError
from gencosmo.io.camera import Camera

from .io.files import plain_file, stsci_file
from .io.stacks import SIZE, filled, holes, mask_file, quick_task, values  # noqa: F401
from .photon.scenes import cells, counted

SIDE = 72


def call(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.stderr
    return done


def noisy(path, *, told=False, planes=2):
    """A z-stack of a camera with 0.5 electrons per unit, read noise 2 and offset 100; the light behind it."""
    light = np.stack([cells(SIDE, peak=60.0, seed=n) for n in range(planes)])
    array = np.clip(np.rint([counted(plane, 0.5, 2.0, 100.0, n) for n, plane in enumerate(light)]), 0, 65535)
    words = {"axes": "ZYX", "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3}
    if told:
        keys = {"Cam-CONVERSION FACTOR COEFF": "0.5", "Cam-CONVERSION FACTOR OFFSET": "100", "Current Read Noise": "2"}
        words["MapAnnotation"] = {"Namespace": "camera", **keys}
    tifffile.imwrite(path, array.astype(np.uint16), ome=True, photometric="minisblack", metadata=words)
    return path, array, light / 0.5 + 100


def test_an_ome_tiff_is_denoised_in_one_command(tmp_path):
    path, array, light = noisy(tmp_path / "in.ome.tif", told=True)
    done = call("denoise", path, "-o", tmp_path / "out.ome.tif", "--report", tmp_path / "out.png", "--json")
    assert "gain 0.5, read noise 2, offset 100 (file)" in done.stderr
    (report,) = json.loads(done.stdout)["files"]
    assert report["filled"] == array.size and report["status"] == "done"
    got, std = tifffile.imread(tmp_path / "out.ome.tif"), tifffile.imread(tmp_path / "out.std.ome.tif")
    assert got.shape == array.shape and got.dtype == std.dtype == np.float32 and (std > 0).all()
    assert np.std(got - light) < 0.6 * np.std(array - light)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert 'PhysicalSizeX="0.3"' in file.ome_metadata and '"GCMOP": "denoise"' in str(
            file.pages[0].tags[65427].value
        )
    assert (tmp_path / "out.png").stat().st_size > 1000


def test_the_noise_must_come_from_somewhere(tmp_path):
    path = noisy(tmp_path / "in.ome.tif")[0]
    done = call("denoise", path, "-o", tmp_path / "out.ome.tif", code=3)
    assert "error[no_noise]" in done.stderr and "does not say the gain" in done.stderr
    assert "--noise estimate" in done.stderr
    assert not (tmp_path / "out.ome.tif").exists()


def test_check_tells_and_draws_the_law(tmp_path):
    path = noisy(tmp_path / "in.ome.tif")[0]
    words = ["check", path, "--noise", "estimate", "--offset", "100", "--noise-picture", tmp_path / "law.png"]
    done = call(*words)
    assert "camera, channel 0:" in done.stdout and "electrons per unit" in done.stdout
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(call("check", path, "--noise", "estimate", "--json").stdout)
    assert set(told["camera"]["0"]) == {"gain", "read_noise", "offset"}
    assert "exists" in call(*words, code=2).stderr
    for more in (["--gain", "1", "--read-noise", "2"], ["--noise", "5"], []):
        again = call("check", path, *more, "--noise-picture", tmp_path / "b.png", code=2)
        assert "--noise estimate" in again.stderr
    assert not (tmp_path / "b.png").exists()


def test_only_chosen_times_and_depths_are_filled(tmp_path, quick_task):  # noqa: F811
    array, mask = values((4, 3, *SIZE)), holes()
    path = tmp_path / "in.ome.tif"
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": "TZYX"})
    call("inpaint", path, "-o", tmp_path / "out.ome.tif", "--mask", mask_file(tmp_path, mask), "--times", "1:3",
         "--depths", "0,2")  # fmt: skip
    got = tifffile.imread(tmp_path / "out.ome.tif")
    for t in range(4):
        for z in range(3):
            chosen = t in (1, 2) and z in (0, 2)
            assert np.array_equal(got[t, z], np.where(mask & chosen, filled(), array[t, z]))
    done = call("inpaint", path, "-o", tmp_path / "b.tif", "--times", "9", code=2)
    assert "error[times]: times 9:" in done.stderr and "has 4 times, 0 to 3" in done.stderr


@pytest.mark.parametrize(("text", "numbers"), [("0,2", (0, 2)), ("0:3,1,7", (0, 1, 2, 7)), (None, None), (" 4 ", (4,))])
def test_numbers(text, numbers):
    assert parse_numbers(text, "times") == numbers


@pytest.mark.parametrize("text", ["", "x", "1:", ":3", "3:1", "2:2", "0:99999999", "-1", "1;2"])
def test_what_is_no_list_of_numbers(text):
    with pytest.raises(UsageError, match=r"--depths .* is not a list of numbers") as caught:
        parse_numbers(text, "depths")
    assert caught.value.code == "depths"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0,2", (0, 2)), ("0:3,1", (0, 1, 2)), (None, None), ("DAPI, GFP", ("DAPI", "GFP")),
        ("1,DAPI,1", (1, "DAPI")), ('"EGFP, ET",2', ("EGFP, ET", 2)), ("1:2:3", ("1:2:3",)), ("488 nm", ("488 nm",)),
    ],
)  # fmt: skip
def test_channels_by_number_and_name(text, found):
    assert parse_channels(text) == found


@pytest.mark.parametrize("text", ["", ",", "1,,2", "3:1", "0:99999999"])
def test_what_is_no_list_of_channels(text):
    with pytest.raises(UsageError, match=r"--channels .* is not a list of numbers") as caught:
        parse_channels(text)
    assert caught.value.code == "channels"


def test_noise_that_does_not_grow_with_the_light_has_no_gain(tmp_path):
    """An image of a flat field with even noise: the fit finds no slope."""
    path, rng = tmp_path / "in.tif", np.random.default_rng(3)
    level = 200 * np.linspace(0, 1, 128)[None] + 1000
    tifffile.imwrite(path, (level + rng.normal(0, 5 - 3 * np.linspace(0, 1, 128), (128, 128))).astype(np.float32))
    done = call("denoise", path, "-o", tmp_path / "out.tif", "--noise", "estimate", "--dry-run")
    assert "at every level (estimate)" in done.stderr and "inf" not in done.stderr
    law = call("check", path, "--noise", "estimate", "--noise-picture", tmp_path / "law.png")
    assert "at every level" in law.stdout and "inf" not in law.stdout


def test_a_channel_is_told_with_its_name(tmp_path):
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "in.ome.tif", values((2, *SIZE)), ome=True, photometric="minisblack", metadata=metadata)
    words = ["check", tmp_path / "in.ome.tif", "--gain", "0.5", "--read-noise", "2", "--channels", "gfp"]
    assert "camera, channel 1 GFP: 0.5 electrons per unit" in call(*words).stdout
    assert json.loads(call(*words, "--json").stdout)["channels"] == {"0": "DAPI", "1": "GFP"}


def test_words_about_noise():
    assert parse_camera(None, None, None, None) is None
    assert parse_camera("12.5", None, None, None) == Camera(std=12.5)
    assert parse_camera("estimate", None, 100.0, None) == Camera(offset=100.0, source="estimate")
    assert parse_camera(None, 2.0, None, 1.0) == Camera(2.0, None, 1.0)
    for words in (("loud", None, None, None), ("-3", None, None, None), (None, 2.0, None, None)):
        with pytest.raises(UsageError) as caught:
            parse_camera(*words)
        assert caught.value.code == "bad_noise"


@pytest.fixture
def halved(monkeypatch):
    from .test_batch_denoise import halved as task

    monkeypatch.setitem(OPS, "denoise", task)
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)


def test_a_fits_file_is_denoised_in_one_command(tmp_path, halved):
    path, out = stsci_file(tmp_path / "a.fits"), tmp_path / "b.fits"
    done = call("denoise", path, "-o", out, "--report", tmp_path / "b.png", "--samples", 2, "--json")
    assert "2240 pixels denoised, std," in done.stderr
    (report,) = json.loads(done.stdout)["files"]
    assert report["status"] == "done" and report["filled"] == 2240
    with fits.open(out) as hdus:
        assert [hdu.name for hdu in hdus if hdu.name.startswith("GCM")] == [
            "GCM_FILL",
            "GCM_STD",
            "GCM_SAMP",
            "GCM_PROV",
        ]
        assert hdus["GCM_PROV"].data["GCMTARG"][0] == "scene"
    assert (tmp_path / "b.png").stat().st_size > 1000
    assert "error[exists]" in call("denoise", path, "-o", out, code=2).stderr
    assert "already done" in call("denoise", path, "-o", out, "--samples", 2, "--resume").stderr
    assert "dry run" in call("denoise", path, "-o", tmp_path / "c.fits", "--dry-run").stderr


def test_fits_without_noise_is_told_the_options_and_takes_them(tmp_path, halved):
    path, out = plain_file(tmp_path / "a.fits"), tmp_path / "b.fits"
    told = call("denoise", path, "-o", out, code=3).stderr
    assert "error[no_noise]" in told and "--noise NUMBER" in told and "--noise estimate" in told
    assert "does not say the GAIN" in call("denoise", path, "-o", out, "--noise", "file", code=3).stderr
    assert "5 for every pixel" in call("denoise", path, "-o", out, "--noise", 5).stderr
    more = ["--gain", 4, "--read-noise", 2, "--offset", 0, "--passes", 2, "--overwrite"]
    assert "gain 4, read noise 2, offset 0 (told)" in call("denoise", path, "-o", out, *more).stderr
    assert "means nothing for a FITS file" in call("denoise", path, "-o", out, "--depths", 1, code=2).stderr
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 9), np.uint8))
    mixed = ["denoise", path, tmp_path / "a.tif", "-o", tmp_path / "out", "--prior", "sky"]
    assert "run them apart, or give --noise" in call(*mixed, code=2).stderr


def test_cameras_are_for_fits_as_well(tmp_path):
    """`check` shows what would be taken."""
    path = plain_file(tmp_path / "a.fits")
    assert "gain 4, read noise 2" in call("check", path, "--gain", 4, "--read-noise", 2, "--offset", 0).stdout
    assert "channels means nothing for a FITS" in call("check", path, "--channels", 0, code=2).stderr


def test_images_too_poor_for_a_fit_say_so(tmp_path):
    """Few pixels at every level, and a rendered image without noise."""
    spread = np.arange(64 * 80).reshape(64, 80).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).permutation(spread.ravel()).reshape(64, 80)[:30, :40])
    tifffile.imwrite(tmp_path / "b.tif", np.tile(np.arange(80, dtype=np.uint16), (64, 1)))
    for name in ("a.tif", "b.tif"):
        done = call("denoise", tmp_path / name, "-o", tmp_path / "out.ome.tif", "--noise", "estimate", code=3)
        assert "error[no_noise]" in done.stderr and "give gain and read noise instead" in done.stderr
    assert not (tmp_path / "out.ome.tif").exists()


def test_what_tifffile_says_in_passing_is_not_shown(tmp_path):
    path = noisy(tmp_path / "in.ome.tif")[0]
    (tmp_path / "cut.ome.tif").write_bytes(path.read_bytes()[:4000])
    done = call("check", tmp_path / "cut.ome.tif", code=3)
    assert done.stderr.startswith("error[truncated]") and "TiffTag" not in done.stderr
    (tmp_path / "none.tif").write_bytes(b"")
    assert "none.tif is not a TIFF file: it is empty" in call("check", tmp_path / "none.tif", code=3).stderr


def test_a_finer_stack_without_noise_is_told_the_options(tmp_path):
    path = noisy(tmp_path / "in.ome.tif")[0]
    done = call("super-resolve", path, "-o", tmp_path / "out.ome.tif", "--psf", "gaussian:2.5", code=3)
    assert "error[no_noise]" in done.stderr and "--noise estimate" in done.stderr
    done = call("inpaint", path, "-o", tmp_path / "out.ome.tif", "--mask", path, "--target", "scene", code=3)
    assert done.stderr.startswith("error[")


def test_blocks_of_a_large_plane_come_out_as_the_plane(tmp_path, monkeypatch):
    """With the shipped prior; scale, law of noise and background are the whole plane's."""
    from gencosmo.batch import process_file
    from gencosmo.io.stack_options import StackRead

    light = cells(160, peak=60.0, seed=2)
    array = np.clip(np.rint(counted(light, 0.5, 2.0, 100.0, 1)), 0, 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", array)
    read = StackRead(camera=Camera(0.5, 100.0, 2.0), illumination=1)
    process_file(tmp_path / "in.tif", tmp_path / "whole.tif", op="denoise", prior="cells", read=read)
    for name, value in (("WHOLE", 1000), ("BLOCK", 128), ("MARGIN", 64)):
        monkeypatch.setattr(f"gencosmo.io.blocks.{name}", value)
    report = process_file(tmp_path / "in.tif", tmp_path / "blocks.tif", op="denoise", prior="cells", read=read)
    assert len(report.planes) == 4
    whole, blocks = (tifffile.imread(tmp_path / f"{name}.tif") for name in ("whole", "blocks"))
    std = tifffile.imread(tmp_path / "whole.std.ome.tif")
    away = np.abs(blocks - whole) / std
    assert np.sqrt(np.mean(away**2)) < 0.05 and away.max() < 0.5
