"""OME-Zarr made anew from another: places, units, labels and colours go with it."""

import numpy as np
import pytest
import tifffile
import zarr

from gencosmo.io.ngff import Step, steps_of_image
from gencosmo.io.stack_options import StackWrite

from .stacks import DATE, SIZE, codes, filled, holes, quick_task, run, values, zarr_file  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")

OTHER = {"0.4": "0.5", "0.5": "0.4"}


def words_of(path):
    found = dict(zarr.open_group(str(path), mode="r").attrs)
    return found.get("ome", found)


def placed(path, version, *, unit="micrometer", time="millisecond"):
    """Two times of a tile of a larger scene: every 5 ms, pixels of 0.4 x 0.3, beginning at (120, -70)."""
    zarr_file(path, values((2, *SIZE)), "TYX", version=version)
    group = zarr.open_group(path, mode="a", zarr_format={"0.4": 2, "0.5": 3}[version])
    words = words_of(path)
    entry = words["multiscales"][0]
    entry["axes"] = [
        {"name": "t", "type": "time"} | ({"unit": time} if time else {}),
        *({"name": a, "type": "space"} | ({"unit": unit} if unit else {}) for a in "yx"),
    ]
    entry["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [5.0, 0.4, 0.3]},
        {"type": "translation", "translation": [0.0, 120.0, -70.0]},
    ]
    group.attrs.update(words if version == "0.4" else {"ome": words})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("unit", "time"), [("micrometer", "millisecond"), (None, None), ("nanometer", "hour")])
def test_a_tile_stays_at_its_place_in_its_own_units(tmp_path, version, unit, time):
    path = placed(tmp_path / "a.zarr", version, unit=unit, time=time)
    run(tmp_path, path, "b.zarr", write=StackWrite(date=DATE, ngff=OTHER[version]))
    entry = words_of(tmp_path / "b.zarr")["multiscales"][0]
    assert [row.get("unit") for row in entry["axes"]] == [time, unit, unit]
    assert entry["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [5.0, 0.4, 0.3]},
        {"type": "translation", "translation": [0.0, 120.0, -70.0]},
    ]
    std = words_of(tmp_path / "b.zarr" / "gcm_std")["multiscales"][0]
    assert std["datasets"][0]["coordinateTransformations"] == entry["datasets"][0]["coordinateTransformations"]


def test_smaller_copies_lie_over_the_tile(tmp_path):
    path = zarr_file(tmp_path / "a.zarr", values((700, 520)), "YX", levels=1)
    words = words_of(path)
    words["multiscales"][0]["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [0.4, 0.4]},
        {"type": "translation", "translation": [120.0, -70.0]},
    ]
    zarr.open_group(path, mode="a").attrs.update({"ome": words})
    run(tmp_path, path, "b.zarr", write=StackWrite(date=DATE, ngff="0.4"), mask=holes((700, 520)))
    levels = [row["coordinateTransformations"] for row in words_of(tmp_path / "b.zarr")["multiscales"][0]["datasets"]]
    assert [step["scale"] for step, _ in levels] == [[0.4, 0.4], [0.8, 0.8]]
    np.testing.assert_allclose([step["translation"] for _, step in levels], [[120.0, -70.0], [120.2, -69.8]])


def test_transformations_of_the_image_come_after_those_of_a_level():
    rows = {
        "axes": [{"name": "y", "unit": "micrometer"}, {"name": "x", "unit": "micrometer"}],
        "coordinateTransformations": [
            {"type": "scale", "scale": [2, 2]},
            {"type": "translation", "translation": [1, 0]},
        ],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [0.5, 0.25]},
                    {"type": "translation", "translation": [10, 20]},
                ],
            }
        ],
    }
    assert steps_of_image(rows, "YX") == {"Y": Step(1.0, 21.0, "micrometer"), "X": Step(0.5, 40.0, "micrometer")}


@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_label_images_of_the_input_are_carried(tmp_path, version, ngff):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    path = zarr_file(tmp_path / "a.zarr", values(SIZE), "YX", version=version)
    nuclei = np.random.default_rng(4).integers(0, 900, SIZE).astype(np.uint32)
    zarr_file(tmp_path / "a.zarr" / "labels" / "nuclei", nuclei, "YX", version=version, levels=2)
    number = {"0.4": 2, "0.5": 3}[version]
    zarr.open_group(path, mode="a", zarr_format=number).create_group("tables")
    rows = {"labels": ["nuclei"]}
    labels = zarr.open_group(path, mode="a", path="labels", zarr_format=number)
    labels.attrs.update(rows if version == "0.4" else {"ome": {"version": "0.5", **rows}})
    report = run(tmp_path, path, "b.zarr", write=StackWrite(date=DATE, ngff=ngff, floating=True))
    assert words_of(tmp_path / "b.zarr" / "labels")["labels"] == ["nuclei", "gcm_fill"]
    kept = zarr.open_group(str(tmp_path / "b.zarr" / "labels" / "nuclei"), mode="r")
    assert kept.metadata.zarr_format == {"0.4": 2, "0.5": 3}[ngff]
    np.testing.assert_array_equal(kept["s0"][...], nuclei)
    np.testing.assert_array_equal(kept["s1"][...], nuclei[::2, ::2])
    assert [entry["message"] for entry in report.warnings if entry["code"] == "left_out"] == [
        f"{path}: tables stay behind; only images and labels are carried"
    ]
    nodes = {node.zarr.basename(): node for node in Reader(parse_url(tmp_path / "b.zarr"))()}
    np.testing.assert_array_equal(np.asarray(nodes["nuclei"].data[0]), nuclei)
    # a second run makes what is ours anew and keeps the rest
    again = {"0.4": "0.5", "0.5": "0.4"}[ngff]
    run(tmp_path, tmp_path / "b.zarr", "c.zarr", write=StackWrite(date=DATE, ngff=again))
    assert words_of(tmp_path / "c.zarr" / "labels")["labels"] == ["nuclei", "gcm_fill"]


def test_colours_of_channels_go_from_tiff_to_zarr_and_back(tmp_path):
    colors = [-16776961, 16711935, 65535]  # red, green, blue, all opaque: RGBA in signed 32 bits
    tifffile.imwrite(
        tmp_path / "a.ome.tif", values((3, *SIZE)), ome=True, photometric="minisblack",
        metadata={"axes": "CYX", "Channel": {"Name": ["Cy5", "GFP", "DAPI"], "Color": colors}},
    )  # fmt: skip
    run(tmp_path, tmp_path / "a.ome.tif", "b.zarr")
    shown = words_of(tmp_path / "b.zarr")["omero"]["channels"]
    assert [(row["label"], row["color"]) for row in shown] == [
        ("Cy5", "FF0000"), ("GFP", "00FF00"), ("DAPI", "0000FF"),
    ]  # fmt: skip
    run(tmp_path, tmp_path / "b.zarr", "c.ome.tif")
    with tifffile.TiffFile(tmp_path / "c.ome.tif") as file:
        told = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["Channel"]
    assert [(row["Name"], row["Color"]) for row in told] == list(zip(["Cy5", "GFP", "DAPI"], colors, strict=True))


def test_channels_without_colours_do_not_hide_each_other(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", values((2, *SIZE)), ome=True, photometric="minisblack",
                     metadata={"axes": "CYX", "Channel": {"Name": ["a", "b"]}})  # fmt: skip
    run(tmp_path, tmp_path / "a.ome.tif", "b.zarr")
    assert [row["color"] for row in words_of(tmp_path / "b.zarr")["omero"]["channels"]] == ["00FF00", "FF00FF"]
    tifffile.imwrite(tmp_path / "c.tif", values((*SIZE, 3), np.uint8), photometric="rgb")
    run(tmp_path, tmp_path / "c.tif", "d.zarr")
    assert [row["color"] for row in words_of(tmp_path / "d.zarr")["omero"]["channels"]] == [
        "FF0000",
        "00FF00",
        "0000FF",
    ]


def test_steps_of_time_are_told_in_seconds(tmp_path):
    from gencosmo.io.stack_open import open_stack

    with open_stack(placed(tmp_path / "a.zarr", "0.5"), limit=1 << 20) as stack:
        assert stack.details.time_step == pytest.approx(0.005)
    tifffile.imwrite(tmp_path / "a.ome.tif", values((2, *SIZE)), ome=True, photometric="minisblack",
                     metadata={"axes": "TYX", "TimeIncrement": 3.0, "TimeIncrementUnit": "min"})  # fmt: skip
    with open_stack(str(tmp_path / "a.ome.tif"), limit=1 << 20) as stack:
        assert stack.details.time_step == 180.0
