"""Channels chosen by name: where names come from, and what is told when one is not there."""

import numpy as np
import pytest
import tifffile

from gencosmo.errors import UsageError
from gencosmo.io import read
from gencosmo.io.ngff import VERSIONS
from gencosmo.io.stack_open import open_stack
from gencosmo.io.zarr import multiscales_of, read_attributes

from .stacks import SIZE, filled, holes, quick_task, run, values, zarr_file  # noqa: F401


def ome(path, names, shape=None, **more):
    array = values(shape or (len(names), *SIZE))
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}} | more
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata=metadata)
    return array


def refused(path, *channels):
    with pytest.raises(UsageError) as caught:
        read(path, channels=channels)
    assert caught.value.code == "channels"
    return caught.value.message


@pytest.mark.parametrize("asked", [("GFP",), ("gfp ",), "GFP", (1,), (1, "GFP")])
def test_a_name_is_a_channel(tmp_path, asked):
    array = ome(tmp_path / "a.ome.tif", ("DAPI", "GFP", "gap"))
    assert np.array_equal(read(tmp_path / "a.ome.tif", channels=asked).data, array[1:2].astype(np.float32))


@pytest.mark.usefixtures("quick_task")
def test_only_the_named_channel_is_filled(tmp_path):
    array = ome(tmp_path / "a.ome.tif", ("DAPI", "GFP"))
    run(tmp_path, tmp_path / "a.ome.tif", "b.ome.tif", channels=("GFP",))
    got = tifffile.imread(tmp_path / "b.ome.tif")
    assert np.array_equal(got[0], array[0]) and (got[1][holes()] == filled()[holes()]).all()


def test_what_is_not_there_is_told_with_what_is(tmp_path):
    ome(tmp_path / "a.ome.tif", ("DAPI", "GFP", "GFP"))
    assert "channels 'RFP'" in refused(tmp_path / "a.ome.tif", "RFP")
    assert "has the channels 0 DAPI, 1 GFP, 2 GFP" in refused(tmp_path / "a.ome.tif", 7)
    assert "'GFP' is the name of channels 1, 2" in refused(tmp_path / "a.ome.tif", "GFP")
    assert "channels none" in refused(tmp_path / "a.ome.tif")
    tifffile.imwrite(tmp_path / "b.tif", values((2, *SIZE)), metadata={"axes": "CYX"}, photometric="minisblack")
    assert refused(tmp_path / "b.tif", "DAPI").endswith("has 2 channels, 0 to 1, without names")
    tifffile.imwrite(tmp_path / "c.tif", values(SIZE))
    assert refused(tmp_path / "c.tif", "").endswith("has only channel 0, without names")


def test_case_counts_where_two_names_differ_by_it(tmp_path):
    array = ome(tmp_path / "a.ome.tif", ("cy3", "Cy3", "x"))
    assert np.array_equal(read(tmp_path / "a.ome.tif", channels=("Cy3",)).data, array[1:2].astype(np.float32))
    assert "channels 0, 1" in refused(tmp_path / "a.ome.tif", "CY3")


def test_lines_of_lasers_are_names_where_they_count_nothing(tmp_path):
    array = ome(tmp_path / "a.ome.tif", ("405", "488", "0"))
    assert np.array_equal(read(tmp_path / "a.ome.tif", channels=(488,)).data, array[1:2].astype(np.float32))
    assert np.array_equal(read(tmp_path / "a.ome.tif", channels=(0,)).data, array[:1].astype(np.float32))
    assert "channels 561" in refused(tmp_path / "a.ome.tif", 561)


def test_colours_are_called_by_their_names(tmp_path):
    array = values((*SIZE, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    for n, name in enumerate(("red", "green", "Blue", "alpha")):
        assert np.array_equal(read(tmp_path / "a.tif", channels=(name,)).data[0], array[..., n].astype(np.float32))


@pytest.mark.parametrize("version", VERSIONS)
def test_names_of_a_zarr(tmp_path, version):
    array = values((2, *SIZE))
    path = zarr_file(tmp_path / "a.zarr", array, "CYX", version=version, names=("DAPI", "GFP"))
    assert np.array_equal(read(path, channels=("GFP",)).data, array[1:].astype(np.float32))


def imagej(path, labels, shape=(2, 3, 2), **more):
    array = values((*shape, *SIZE))
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "TZCYX", "Labels": labels} | more)
    return array


def test_labels_of_imagej_that_are_the_same_in_all_planes_are_names(tmp_path):
    array = imagej(tmp_path / "a.tif", ["nuclei", "actin"] * 6)
    image = read(tmp_path / "a.tif", channels=("actin",), t=1, z=2)
    assert np.array_equal(image.data[0], array[1, 2, 1].astype(np.float32))


@pytest.mark.parametrize(
    "labels", [[f"l{n}" for n in range(12)], ["c:1/2 - x", "c:2/2 - x"] * 6, ["same", "same"] * 6, ["", "b"] * 6]
)
def test_other_labels_of_imagej_are_no_names(tmp_path, labels):
    imagej(tmp_path / "a.tif", labels)
    with open_stack(str(tmp_path / "a.tif"), limit=1 << 20) as stack:
        assert stack.details.channel_names == ()


@pytest.mark.usefixtures("quick_task")
def test_names_and_colours_of_imagej_go_into_a_zarr(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    luts = [np.stack([ramp, 0 * ramp, ramp]), np.stack([0 * ramp, ramp, 0 * ramp])]
    imagej(tmp_path / "a.tif", ["nuclei", "actin"] * 6, LUTs=luts, mode="composite")
    run(tmp_path, tmp_path / "a.tif", "b.zarr")
    attributes = read_attributes(str(tmp_path / "b.zarr"))
    assert multiscales_of(attributes)[0] == "0.5"
    told = [(row["label"], row["color"]) for row in attributes["ome"]["omero"]["channels"]]
    assert told == [("nuclei", "FF00FF"), ("actin", "00FF00")]
