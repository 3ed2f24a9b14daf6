"""Cameras and uneven light of stacks: what is told, what files say, what is fitted, and that blocks see the same."""

import json

import numpy as np
import pytest
import tifffile

import gencosmo
from gencosmo.errors import GencosmoError, GencosmoWarning, InputError, UsageError
from gencosmo.io.axes import Plane
from gencosmo.io.camera import Camera
from gencosmo.io.camera_words import camera_words
from gencosmo.io.stack_image import StackReader
from gencosmo.io.stack_open import open_stack
from gencosmo.io.stack_options import StackRead
from tests.photon.scenes import cells, counted

from .stacks import mask_file, values, zarr_file

OFFSET, GAIN, READ = 100.0, 0.5, 2.0
SIDE = 160


def frame(scale=1.0, seed=0, side=SIDE):
    electrons = scale * cells(side, peak=100.0, seed=3)
    return np.clip(np.rint(counted(electrons, GAIN, READ, OFFSET, seed)), 0, 65535).astype(np.uint16)


def stored(tmp_path, array, letters="YX", **words):
    path = str(tmp_path / "in.ome.tif")
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": letters} | words)
    return path


def reader(path, **options):
    return StackReader(open_stack(path, limit=1 << 26), StackRead(**options))


def image_of(made, plane=(0, 0, 0), rows=None, cols=None):
    height, width = made.stack.axes.inside[3:]
    return made.image(Plane(*plane), (rows or slice(0, height), cols or slice(0, width)))


def test_a_fit_of_one_plane_is_that_of_the_array(tmp_path):
    array = frame()
    mask = np.zeros(array.shape, bool)
    mask[50:60, 70:90] = True
    (law,) = gencosmo.estimate_noise(array, mask, offset=OFFSET)
    expected = gencosmo.with_noise(gencosmo.as_image(array, mask), law)
    camera = Camera(offset=OFFSET, source="estimate")
    made = reader(stored(tmp_path, array), camera=camera, mask=mask_file(tmp_path, mask))
    got = image_of(made)
    assert np.array_equal(got.ivar, expected.ivar) and (got.gain, got.read_noise) == (law.gain, law.read_noise)
    assert "offset 100 (estimate)" in got.meta["noise_source"]
    section = image_of(made, rows=slice(40, 120), cols=slice(30, 150))
    inside = (slice(None), slice(30, 50), slice(30, 90))
    assert np.allclose(section.ivar[inside], expected.ivar[:, 70:90, 60:120], rtol=1e-4)


def test_each_channel_has_a_law_of_its_own_from_several_planes(tmp_path, monkeypatch):
    """Planes that are too large are read in tiles; the seams between pieces are not taken for detail."""
    array = np.stack([[frame(seed=t), 3 * (frame(seed=10 + t) - 90)] for t in range(3)])
    path = stored(tmp_path, array, "TCYX")
    made = reader(path, camera=Camera(source="estimate", offset=OFFSET))
    whole = made.camera.law(0)
    assert whole.gain == pytest.approx(GAIN, rel=0.15)
    assert made.camera.law(1).gain == pytest.approx(GAIN / 3, rel=0.2)
    for name, value in (("BUDGET", 3 * 4 * 72 * 72), ("TILE", 72)):
        monkeypatch.setattr(f"gencosmo.io.stack_noise.{name}", value)
    tiles = reader(path, camera=Camera(source="estimate", offset=OFFSET)).camera.law(0)
    assert tiles.gain != whole.gain and tiles.gain == pytest.approx(GAIN, rel=0.3)


def test_told_cameras_and_numbers(tmp_path):
    path = stored(tmp_path, frame())
    image = image_of(reader(path, camera=Camera(GAIN, OFFSET, READ)))
    light = (frame().astype(float) - OFFSET).mean()
    assert np.mean(1 / image.ivar) == pytest.approx(light / GAIN + (READ / GAIN) ** 2, rel=0.03)
    image = image_of(reader(path, camera=Camera(std=4.0)))
    assert (image.ivar == np.float32(1 / 16)).all()
    with pytest.warns(GencosmoWarning, match="no black level is known"):
        reader(path, camera=Camera(GAIN, None, READ))


WORDS = {
    "dcam": {"Core-Camera": "Cam", "Cam-CONVERSION FACTOR COEFF": "0.46", "Cam-CONVERSION FACTOR OFFSET": "100.0"},
    "pvcam": {"Evolve-Actual Gain e/ADU": "1.9", "Evolve-Current Read Noise": "9.5", "Evolve-Gain": "2"},
}


@pytest.mark.parametrize("where", ["annotation", "micromanager", "nested", "imagej", "zarr"])
@pytest.mark.parametrize("camera", WORDS)
def test_what_files_say_of_their_camera(tmp_path, where, camera):
    words, array = WORDS[camera], values((20, 24))
    path = str(tmp_path / "in.tif")
    if where == "annotation":
        path = stored(tmp_path, array, MapAnnotation={"Namespace": "openmicroscopy.org/OriginalMetadata", **words})
    elif where == "imagej":
        info = "\n".join(f"{key} = {value}" for key, value in words.items())
        tifffile.imwrite(path, array, imagej=True, metadata={"Info": info})
    elif where == "zarr":
        path = zarr_file(tmp_path / "in.zarr", array, "YX")
        (tmp_path / "in.zarr/OME").mkdir()
        rows = "".join(
            f"<OriginalMetadata><Key>{k}</Key><Value>{v}</Value></OriginalMetadata>" for k, v in words.items()
        )
        (tmp_path / "in.zarr/OME/METADATA.ome.xml").write_text(f"<OME>{rows}</OME>")
    else:
        told = {key: {"PropVal": value} for key, value in words.items()} if where == "nested" else words
        tifffile.imwrite(path, array, extratags=[(51123, 2, None, json.dumps(told), True)])
    with open_stack(path, limit=1 << 26) as stack:
        found = camera_words(stack)
    expected = {"dcam": {"gain": 0.46, "offset": 100.0}, "pvcam": {"gain": 1.9, "read_noise": 9.5}}
    assert found == expected[camera]
    if camera == "dcam":
        with pytest.raises(InputError, match=r"does not say the read noise of its camera, only its gain, 0.46"):
            reader(path, camera=Camera(source="file"))
        camera_of = reader(path, camera=Camera(source="file", read_noise=1.5)).camera.camera
        assert (camera_of.gain, camera_of.offset, camera_of.read_noise) == (0.46, 100.0, 1.5)


def test_settings_of_detectors_are_no_electrons(tmp_path):
    """OME's Detector Gain has no unit."""
    path = stored(tmp_path, values((20, 24)), MapAnnotation={"Namespace": "x", "Detector Gain": "700"})
    with pytest.raises(InputError, match="does not say the gain") as caught:
        reader(path, camera=Camera(source="file"))
    assert caught.value.code == "no_noise" and "--noise estimate" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"gain": 0.0, "read_noise": 1.0}, "gain is 0, expected electrons per unit"),
        ({"gain": 1.0, "read_noise": -1.0}, "read noise is -1"),
        ({"gain": 1.0}, "gain and read noise belong together"),
        ({"std": float("nan")}, "std is nan"),
        ({"std": 1.0, "gain": 1.0, "read_noise": 1.0}, "are both given"),
        ({"source": "estimate", "gain": 1.0}, "to be estimated"),
        ({"gain": 1.0, "read_noise": 1.0, "offset": float("inf")}, "offset is inf"),
    ],
)
def test_cameras_that_make_no_sense(words, text):
    with pytest.raises(UsageError, match=text):
        Camera(**words)


def test_one_noise_only(tmp_path):
    path = stored(tmp_path, values((20, 24)))
    with pytest.raises(UsageError, match="are both given"):
        reader(path, camera=Camera(std=1.0), ivar=path)


def uneven(side=(120, 150)):
    rows, cols = np.indices(side)
    fall = 400 - 150 * ((rows / side[0] - 0.5) ** 2 + (cols / side[1] - 0.4) ** 2) * 4
    return (fall + np.random.default_rng(0).normal(0, 4, side)).astype(np.float32)


def test_uneven_light_is_carried_as_background(tmp_path):
    array = uneven()
    expected = gencosmo.with_illumination(array, order=2).background
    made = reader(stored(tmp_path, array), illumination=2)
    assert np.allclose(image_of(made).background, expected, rtol=1e-6)
    part = image_of(made, rows=slice(40, 80), cols=slice(10, 100))
    assert np.allclose(part.background, expected[:, 40:80, 10:100], rtol=1e-6)


def test_a_thinned_plane_has_the_surface_of_the_whole(tmp_path, monkeypatch):
    array = uneven()
    expected = gencosmo.with_illumination(array, order=2).background
    monkeypatch.setattr("gencosmo.io.stack_noise.BUDGET", array.size // 5)
    got = image_of(reader(stored(tmp_path, array), illumination=2)).background
    assert not np.array_equal(got, expected) and np.abs(got - expected).max() < 3


def test_orders_that_are_not_fitted(tmp_path):
    path = stored(tmp_path, uneven())
    with pytest.raises(UsageError, match="order is 9, expected 0 to 6"):
        reader(path, illumination=9)
    small = stored(tmp_path, uneven((16, 16)))
    with pytest.raises(InputError, match="a surface of order 5"):
        image_of(reader(small, illumination=5))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"channels": (2,)}, "channels 2: .* has 2 channels, 0 to 1"),
        ({"times": (0, 4, 5)}, "times 4, 5: .* has 3 times, 0 to 2"),
        ({"depths": (1,)}, "depths 1: .* has only depth 0"),
        ({"channels": ()}, "channels none"),
    ],
)
def test_planes_that_are_not_there(tmp_path, options, text):
    path = stored(tmp_path, values((3, 2, 8, 9)), "TCYX")
    with pytest.raises(GencosmoError, match=text) as caught:
        reader(path, **options)
    assert caught.value.code == next(iter(options))
