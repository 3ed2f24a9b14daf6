"""Written OME-Zarr as others see it: the package ome-zarr, the models of NGFF; axes in any order."""

import warnings

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gencosmo
from gencosmo.batch import process_file
from gencosmo.image import as_image
from gencosmo.io.axes import Axes
from gencosmo.io.stack_options import StackRead, StackWrite

from .stacks import SIZE, filled, holes, mask_file, quick_task, run, values, zarr_file  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")

LENGTHS = {"T": 2, "C": 3, "Z": 4, "Y": SIZE[0], "X": SIZE[1]}
NAMES = ("DAPI", "GFP", "mCherry")


def seen_by_ome_zarr(path):
    """Images below a path, by name: data of all levels, and what is told of them."""
    reader = pytest.importorskip("ome_zarr.reader")
    from ome_zarr.io import parse_url

    place = parse_url(str(path))
    assert place is not None, "ome-zarr finds no OME-Zarr here"
    nodes = list(reader.Reader(place)())
    return {str(node.zarr).split(" ")[0].removeprefix(str(path)).strip("/"): node for node in nodes if node.data}


def valid(path) -> None:
    """Compare the words of an image with the models of its NGFF version."""
    models = pytest.importorskip("ome_zarr_models")
    models.open_ome_zarr(zarr.open_group(str(path), mode="r"))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("letters", ["YX", "CYX", "TZYX", "TCZYX"])
def test_a_repaired_copy_is_read_by_ome_zarr(tmp_path, letters, version):
    array = values(tuple(LENGTHS[a] for a in letters))
    names = NAMES if "C" in letters else ()
    path = zarr_file(tmp_path / "in.zarr", array, letters, version=version, levels=2, names=names)
    run(tmp_path, path, "out.zarr")
    valid(tmp_path / "out.zarr")
    found, before = seen_by_ome_zarr(tmp_path / "out.zarr"), seen_by_ome_zarr(path)
    assert set(found) == {"", "labels/gcm_fill"}
    image, fill, was = found[""], found["labels/gcm_fill"], before[""]
    got = image.data[0].compute()
    assert got.dtype == array.dtype and np.array_equal(got[..., ~holes()], array[..., ~holes()])
    assert (got[..., holes()] == filled()[holes()]).all()
    for word in ("axes", "coordinateTransformations", "name"):
        assert image.metadata[word] == was.metadata[word]
    assert image.metadata.get("channel_names") == was.metadata.get("channel_names") == (list(names) or None)
    assert image.metadata["coordinateTransformations"][0][0]["scale"][-2:] == [0.4, 0.4]
    assert np.array_equal(fill.data[0].compute() != 0, np.broadcast_to(holes(), got.shape))
    assert [level.shape for level in fill.data] == [level.shape for level in image.data]
    valid(tmp_path / "out.zarr/labels/gcm_fill")
    valid(tmp_path / "out.zarr/gcm_std")
    assert np.allclose(seen_by_ome_zarr(tmp_path / "out.zarr/gcm_std")[""].data[0].compute()[..., holes()], 2)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_tiff_that_became_zarr_is_read_by_ome_zarr(tmp_path, version):
    array = values((3, 700, 520))
    meta = {"axes": "CYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "Channel": {"Name": list(NAMES)}}
    tifffile.imwrite(tmp_path / "in.ome.tif", array, ome=True, metadata=meta)
    mask = holes((700, 520))
    read, write = StackRead(mask=mask_file(tmp_path, mask)), StackWrite(ngff=version)
    process_file(tmp_path / "in.ome.tif", tmp_path / "out.zarr", read=read, write=write)
    valid(tmp_path / "out.zarr")
    image = seen_by_ome_zarr(tmp_path / "out.zarr")[""]
    assert [level.shape for level in image.data] == [(3, 700, 520), (3, 350, 260)]
    assert np.array_equal(image.data[0].compute()[:, ~mask], array[:, ~mask])
    assert image.metadata["channel_names"] == list(NAMES)
    (scale,), (half, shift) = image.metadata["coordinateTransformations"]
    assert scale["scale"] == [1, 0.25, 0.25] and half["scale"] == [1, 0.5, 0.5]
    assert shift["translation"] == [0, 0.125, 0.125]


def test_an_image_that_is_written_alone_is_read_by_ome_zarr(tmp_path):
    array = values((2, *SIZE), np.float32)
    gencosmo.write(tmp_path / "a.ome.zarr", as_image(array, holes()).replace(pixel_scale=0.5))
    valid(tmp_path / "a.ome.zarr")
    image = seen_by_ome_zarr(tmp_path / "a.ome.zarr")[""]
    assert np.array_equal(image.data[0].compute(), array)
    assert image.metadata["coordinateTransformations"][0][0]["scale"] == [1, 0.5, 0.5]


ORDERS = ["YX", "XY", "CYX", "YXC", "XYC", "ZTYX", "CZYX", "TZCYX", "CXYZ", "YXTCZ"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ORDERS), st.sampled_from(["0.4", "0.5"]), st.data())
def test_any_order_of_axes_stays_as_it_was(tmp_path_factory, letters, version, data):
    folder = tmp_path_factory.mktemp("axes")
    shape = tuple({"Y": 24, "X": 20}.get(a) or data.draw(st.integers(2, 3)) for a in letters)
    chunks = tuple(data.draw(st.integers(5, 24)) if a in "YX" else data.draw(st.integers(1, 3)) for a in letters)
    array, axes, mask = values(shape), Axes(letters, shape), holes((24, 20), seed=3)
    path = zarr_file(folder / "in.zarr", array, letters, version=version, chunks=chunks)
    channel = data.draw(st.integers(0, axes.inside[1] - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(folder, path, "out.zarr", mask=mask, channels=(channel,))
    was, now = (zarr.open_group(name, mode="r") for name in (path, folder / "out.zarr"))
    words, before = (dict(group.attrs).get("ome", dict(group.attrs)) for group in (now, was))
    assert words["multiscales"] == before["multiscales"]
    got, stored = (axes.to_inside(group["s0"][...]) for group in (now, was))
    mine = np.zeros(got.shape, bool)
    mine[:, channel] = mask
    assert now["s0"].chunks == was["s0"].chunks and now["s0"].dtype == np.uint16
    assert np.array_equal(got[~mine], stored[~mine])
    assert (got[:, channel][..., mask] == filled((24, 20))[mask]).all()
