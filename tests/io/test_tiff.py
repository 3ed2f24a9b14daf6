"""TIFF in and out: every kind of file comes back as it was but for the filled pixels."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gencosmo.io import read
from gencosmo.io.axes import Axes
from gencosmo.io.painted import TAG
from gencosmo.io.stack_options import StackWrite
from gencosmo.io.tiff_copy import rows_of

from .stacks import DATED, SIZE, codes, filled, holes, mask_file, ome_schema, quick_task, run, tree, values  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")

KINDS = {
    "uint8": ((), np.uint8, {}),
    "uint16 deflate tiles": ((), np.uint16, {"compression": "zlib", "predictor": True, "tile": (16, 32)}),
    "big-endian": ((), np.uint16, {"byteorder": ">"}),
    "BigTIFF": ((), np.int16, {"bigtiff": True}),
    "float32 LZW": ((), np.float32, {"compression": "lzw", "predictor": True, "rowsperstrip": 7}),
    "float64": ((), np.float64, {}),
    "packbits": ((), np.uint8, {"compression": "packbits"}),
    "zstd": ((), np.uint16, {"compression": "zstd"}),
    "RGB": ((3,), np.uint8, {"photometric": "rgb"}),
    "RGB planes": ((3,), np.uint8, {"photometric": "rgb", "planarconfig": "separate"}),
    "palette": ((), np.uint8, {"photometric": "palette", "colormap": np.tile(np.arange(256, dtype="u2") * 9, (3, 1))}),
    "white is zero": ((), np.uint8, {"photometric": "miniswhite", "resolution": (300, 300), "software": "scope 2"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_one_page_comes_back_as_it_was_but_for_the_filled_pixels(tmp_path, kind):
    samples, dtype, how = KINDS[kind]
    planar = how.get("planarconfig") == "separate"
    shape = (*samples, *SIZE) if planar else (*SIZE, *samples)
    array = values(shape, dtype)
    path = tmp_path / "in.tif"
    with tifffile.TiffWriter(path, **{k: how[k] for k in ("bigtiff", "byteorder") if k in how}) as file:
        file.write(array, metadata=None, **{k: v for k, v in how.items() if k not in ("bigtiff", "byteorder")})
    before = tree(path)
    report = run(tmp_path, path)
    assert tree(path) == before
    assert report.filled == holes().sum() * (samples[0] if samples else 1)
    with tifffile.TiffFile(path) as was, tifffile.TiffFile(tmp_path / "out.tif") as file:
        old, page = was.pages[0], file.pages[0]
        for name in ("shape", "compression", "predictor", "photometric", "planarconfig", "is_tiled", "bitspersample"):
            assert getattr(page, name) == getattr(old, name), name
        assert (file.byteorder, file.is_bigtiff) == (was.byteorder, was.is_bigtiff)
        if old.is_tiled:
            assert (page.tilelength, page.tilewidth) == (old.tilelength, old.tilewidth)
        moved = (273, 279, 324, 325, 282, 283, 296)
        for tag in old.tags:
            assert tag.code in moved or np.array_equal(page.tags.valueof(tag.code), tag.value), tag
        assert json.loads(page.tags.valueof(TAG))[0]["GCMOP"] == "inpaint"
        got = page.asarray()
    assert got.dtype == array.dtype
    for sample in range(samples[0] if samples else 1):
        one, was_one = (
            (got, array)
            if not samples
            else ((got[sample], array[sample]) if planar else (got[..., sample], array[..., sample]))
        )
        assert np.array_equal(one[~holes()], was_one[~holes()])
        assert np.array_equal(one[holes()], filled(dtype=dtype)[holes()])


def imagej_file(path):
    array = values((2, 3, 2, *SIZE))
    luts = [np.tile(np.arange(256, dtype=np.uint8), (3, 1)) * n for n in (1, 0)]
    tifffile.imwrite(
        path, array, imagej=True, resolution=(1 / 0.2, 1 / 0.2),
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 1.5, "finterval": 2.0, "Info": "at night", "LUTs": luts,
                  "mode": "composite", "Labels": [f"l{n}" for n in range(12)]},
    )  # fmt: skip
    return array


def test_imagej_hyperstack_keeps_axes_channels_sizes_and_luts(tmp_path):
    array = imagej_file(tmp_path / "in.tif")
    assert run(tmp_path, tmp_path / "in.tif", channels=(1,)).filled == 6 * holes().sum()
    with tifffile.TiffFile(tmp_path / "in.tif") as was, tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_imagej and file.series[0].axes == "TZCYX" and file.series[0].shape == array.shape
        before, words = was.imagej_metadata, file.imagej_metadata
        assert {k: v for k, v in words.items() if k != "LUTs"} == {k: v for k, v in before.items() if k != "LUTs"}
        assert np.array_equal(words["LUTs"], before["LUTs"])
        assert file.pages[0].tags["XResolution"].value == was.pages[0].tags["XResolution"].value
        got = file.asarray()
    assert np.array_equal(got[:, :, 0], array[:, :, 0])
    assert np.array_equal(got[:, :, 1][..., ~holes()], array[:, :, 1][..., ~holes()])
    assert (got[:, :, 1][..., holes()] == filled()[holes()]).all()
    image = read(tmp_path / "in.tif", t=1, z=2)
    assert image.shape == (2, *SIZE) and image.pixel_scale == pytest.approx(0.2, rel=1e-6)
    assert np.array_equal(image.data, array[1, 2].astype(np.float32))


def ome_file(path, array, axes, **how):
    with tifffile.TiffWriter(path, ome=True, bigtiff=how.pop("bigtiff", False)) as file:
        metadata = {
            "axes": axes, "PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 325,
            "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2.0, "Channel": {"Name": ["DAPI", "GFP"]},
            "SignificantBits": 12, "Name": "a cell",
        }  # fmt: skip
        levels = how.pop("levels", 0)
        file.write(array, subifds=levels or None, metadata=metadata, photometric="minisblack", **how)
        for level in range(1, levels + 1):
            file.write(array[..., :: 2**level, :: 2**level], subfiletype=1, photometric="minisblack", **how)


def test_ome_tiff_keeps_its_document_and_stays_valid(tmp_path):
    array = values((3, 2, *SIZE))
    path = tmp_path / "in.ome.tif"
    ome_file(path, array, "ZCYX", tile=(16, 16), compression="zlib")
    report = run(tmp_path, path, "out.ome.tif")
    assert report.profile == "ome-tiff" and report.planes[0]["pixel_scale"] == 0.325
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert file.is_ome and file.series[0].axes == "ZCYX" and file.asarray().shape == array.shape
        xml = file.ome_metadata
        got = file.asarray()
    for words in (
        'PhysicalSizeX="0.325"',
        'PhysicalSizeY="325"',
        'Name="DAPI"',
        'Name="GFP"',
        'SignificantBits="12"',
        'Name="a cell"',
        'K="GCMNFILL"',
    ):
        assert words in xml
    ome_schema().validate(xml)
    assert np.array_equal(got[..., ~holes()], array[..., ~holes()])
    assert (got[..., holes()] == filled()[holes()]).all()


def test_a_second_run_adds_a_second_row_and_stays_valid(tmp_path):
    ome_file(tmp_path / "in.ome.tif", values((2, *SIZE)), "CYX")
    run(tmp_path, tmp_path / "in.ome.tif", "b.ome.tif", channels=(0,))
    run(tmp_path, tmp_path / "b.ome.tif", "c.ome.tif", channels=(1,))
    with tifffile.TiffFile(tmp_path / "c.ome.tif") as file:
        assert len(json.loads(file.pages[0].tags.valueof(TAG))) == 2
        assert file.ome_metadata.count("<MapAnnotation") == 2
        ome_schema().validate(file.ome_metadata)


def test_std_and_fill_lie_beside_with_the_same_geometry(tmp_path):
    ome_file(tmp_path / "in.ome.tif", values((3, 2, *SIZE)), "ZCYX")
    run(tmp_path, tmp_path / "in.ome.tif", "out.ome.tif", channels=(1,), saturation=245.0)
    for layer, dtype, expected in (("std", np.float32, 2), ("fill", np.uint8, 1), ("flags", np.uint16, 1 << 10)):
        with tifffile.TiffFile(tmp_path / f"out.{layer}.ome.tif") as file:
            assert file.series[0].axes == "ZCYX" and 'PhysicalSizeX="0.325"' in file.ome_metadata
            ome_schema().validate(file.ome_metadata)
            got = file.asarray()
        assert got.dtype == dtype and got.shape == (3, 2, *SIZE)
        assert not got[:, 0].any()
        assert (got[:, 1][..., holes()] & 1 << 10 if layer == "flags" else got[:, 1][..., holes()] == expected).all()


@pytest.mark.parametrize("side", [(128, 192), (125, 171)])
def test_levels_change_over_filled_pixels_only_and_there_to_means(tmp_path, side):
    array = values((2, *side))
    mask = holes(side)
    mask[-1, -1] = True
    ome_file(tmp_path / "in.ome.tif", array, "CYX", levels=2, tile=(32, 32))
    run(tmp_path, tmp_path / "in.ome.tif", "out.ome.tif", mask=mask)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        levels = [level.asarray() for level in file.series[0].levels]
        assert len(levels) == 3
        ome_schema().validate(file.ome_metadata)
    for number in (1, 2):
        old, new, below = array[:, :: 2**number, :: 2**number], levels[number], levels[number - 1].astype(float)
        touched = np.zeros(new.shape[1:], bool)
        rows, cols = np.nonzero(mask)
        touched[rows >> number, cols >> number] = True
        assert np.array_equal(new[:, ~touched], old[:, ~touched])
        for r, c in np.argwhere(touched):
            mean = below[0, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean()
            assert new[0, r, c] == np.rint(mean)


def test_jpeg_goes_back_without_loss_and_says_so(tmp_path):
    array = values((*SIZE, 3), np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", array, photometric="rgb", compression="jpeg", tile=(16, 16))
    stored = tifffile.imread(tmp_path / "in.tif")
    report = run(tmp_path, tmp_path / "in.tif")
    assert "lossless" in codes(report)
    got = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(got[~holes()], stored[~holes()])


def test_other_pages_are_copied(tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for seed, size in ((0, SIZE), (1, (20, 30))):
            file.write(values(size, seed=seed), metadata=None, description=f"page {seed}")
    run(tmp_path, tmp_path / "in.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert [page.description for page in file.pages] == ["page 0", "page 1"]
        assert np.array_equal(file.pages[1].asarray(), values((20, 30), seed=1))
    run(tmp_path, tmp_path / "in.tif", "second.tif", hdu="1", mask=holes((20, 30)))
    with tifffile.TiffFile(tmp_path / "second.tif") as file:
        assert np.array_equal(file.pages[0].asarray(), values(SIZE))
        assert (file.pages[1].asarray()[holes((20, 30))] == filled((20, 30))[holes((20, 30))]).all()


ORDERS = ["TYX", "ZTYX", "CZYX", "TZCYX", "CTZYX", "YXS", "ZYXS", "YXC", "XYC", "CXY", "SYX", "TCZYXS"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ORDERS), st.lists(st.integers(2, 3), min_size=4, max_size=4), st.data())
def test_any_order_of_axes_comes_back(tmp_path_factory, letters, sizes, data):
    folder = tmp_path_factory.mktemp("axes")
    others = iter(sizes)
    shape = tuple({"Y": 24, "X": 20, "S": 3}.get(a) or next(others) for a in letters)
    array = values(shape)
    tifffile.imwrite(folder / "in.tif", array, photometric="minisblack")
    axes = Axes(letters, shape)
    channel = data.draw(st.integers(0, axes.inside[1] - 1))
    mask = holes((24, 20), seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(folder, folder / "in.tif", "out.tif", mask=mask, axes=letters, channels=(channel,))
    with tifffile.TiffFile(folder / "out.tif") as file:
        got = file.asarray()
        letters_now = letters if got.shape == shape else file.series[0].axes
    was, now = axes.to_inside(array), Axes(letters_now, got.shape).to_inside(got)
    assert now.shape == was.shape
    mine = np.zeros(was.shape, bool)
    mine[:, channel] = mask
    assert np.array_equal(now[~mine], was[~mine])
    assert (now[:, channel][..., mask] == filled((24, 20))[mask]).all()


def test_integers_are_rounded_with_a_warning_or_become_floats(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE, np.uint8))
    report = run(tmp_path, tmp_path / "in.tif", "a.tif")
    assert "rounded" in codes(report)
    report = run(tmp_path, tmp_path / "in.tif", "b.tif", write=StackWrite(floating=True))
    assert "rounded" not in codes(report)
    got = tifffile.imread(tmp_path / "b.tif")
    assert got.dtype == np.float32
    assert np.array_equal(got[~holes()], values(SIZE, np.uint8)[~holes()])
    assert (got[holes()] == filled(dtype=np.float32)[holes()]).all()
    ome_file(tmp_path / "c.ome.tif", values((2, *SIZE)), "CYX")
    run(tmp_path, tmp_path / "c.ome.tif", "d.ome.tif", write=StackWrite(floating=True))
    xml = tifffile.TiffFile(tmp_path / "d.ome.tif").ome_metadata
    assert 'Type="float"' in xml and "SignificantBits" not in xml
    ome_schema().validate(xml)


def test_values_beyond_the_type_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE, np.int8).clip(0, 100))
    report = run(tmp_path, tmp_path / "in.tif")
    assert "clipped" in codes(report)
    assert tifffile.imread(tmp_path / "out.tif")[holes()].max() == 127


def test_the_same_run_has_the_same_bytes(tmp_path):
    ome_file(tmp_path / "in.ome.tif", values((2, *SIZE)), "CYX", tile=(16, 16), compression="zlib")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        run(tmp_path, tmp_path / "in.ome.tif", f"{folder}/out.ome.tif")
    assert [*tree(tmp_path / "a").values()] == [*tree(tmp_path / "b").values()]
    assert len(tree(tmp_path / "a")) == 3


def test_a_picture_of_a_page_that_is_not_stored_as_planes_is_converted(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values((*SIZE, 5)), photometric="minisblack")
    report = run(tmp_path, tmp_path / "in.tif", axes="YXC", channels=(4,))
    assert "converted" in codes(report)
    got = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(got[:4], np.moveaxis(values((*SIZE, 5)), -1, 0)[:4])


def test_a_section_is_the_part_of_the_whole(tmp_path):
    for name, how in (("a", {}), ("b", {"tile": (16, 32), "compression": "zlib"}), ("c", {"rowsperstrip": 5})):
        tifffile.imwrite(tmp_path / f"{name}.tif", values((*SIZE, 3)), photometric="rgb", **how)
        whole = read(tmp_path / f"{name}.tif", channels=(2,), mask=mask_file(tmp_path))
        part = read(
            tmp_path / f"{name}.tif", channels=(2,), mask=mask_file(tmp_path), section=(slice(5, 40), slice(11, 50))
        )
        assert part.origin == (5, 11)
        assert np.array_equal(part.data, whole.data[:, 5:40, 11:50])
        assert np.array_equal(part.flags, whole.flags[:, 5:40, 11:50])


@pytest.mark.parametrize("kind", ["uint16", "float", "rgb", "deflated"])
def test_planes_of_an_imagej_stack_lie_behind_each_other(tmp_path, kind):
    """ImageJ takes the first page for all of its own stacks: a byte between two planes would shift those behind it."""
    array = values((3, *SIZE, 3), np.uint8) if kind == "rgb" else values((3, *SIZE))
    packed = {"compression": "zlib"} if kind == "deflated" else {}
    metadata = {"axes": "ZYXS" if kind == "rgb" else "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "in.tif", array, imagej=True, metadata=metadata, **packed)
    run(tmp_path, tmp_path / "in.tif", write=replace(DATED, floating=kind == "float"))
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_imagej and file.imagej_metadata["spacing"] == 2.0 and len(file.pages) == 3
        assert rows_of(file.pages[0].tags.valueof(TAG))[-1]["GCMOP"] == "inpaint"
        got, first = file.asarray(), file.pages[0]
        if kind != "deflated":  # those it reads page by page
            starts = [page.dataoffsets[0] for page in file.pages]
            assert starts == [first.dataoffsets[0] + n * first.nbytes for n in range(3)]
    assert got.shape == array.shape
    assert np.array_equal(got[:, ~holes()], array[:, ~holes()]) and not np.array_equal(
        got[:, holes()], array[:, holes()]
    )
