"""TIFF files that end early, acquisitions that were stopped, and stacks of one page that stands for all."""

import re

import numpy as np
import pytest
import tifffile

from gencosmo.errors import InputError
from gencosmo.io import read

from .stacks import SIZE, filled, holes, quick_task, run, values  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")

SHAPE = (5, *SIZE)
WRITTEN = {
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "ome deflate": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "shaped": {"metadata": {"axes": "ZYX"}},
    "imagej of one page": {"imagej": True, "metadata": {"axes": "ZYX"}, "truncate": True},
    "shaped of one page": {"metadata": {"axes": "ZYX"}, "truncate": True},
}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("kind", WRITTEN)
def test_half_a_stack_is_not_taken_for_a_whole_image(tmp_path, kind, share):
    """What is left of the pages makes an image of one plane, if nobody asks where the others are."""
    tifffile.imwrite(tmp_path / "a.tif", values(SHAPE), photometric="minisblack", **WRITTEN[kind])
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError) as caught:
        run(tmp_path, tmp_path / "a.tif", "b.tif", axes=None)
    assert caught.value.code == "truncated"
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize(
    ("kind", "order"), [("imagej of one page", ">"), ("shaped of one page", ">"), ("shaped of one page", "<")]
)
def test_one_page_that_stands_for_a_stack_is_read_plane_by_plane(tmp_path, kind, order):
    """Fiji writes hyperstacks beyond 4 GB like that: one page, and all planes bare behind it."""
    array = values(SHAPE)
    tifffile.imwrite(tmp_path / "a.tif", array, byteorder=order, photometric="minisblack", **WRITTEN[kind])
    np.testing.assert_array_equal(read(tmp_path / "a.tif", z=3, max_pixels=2 * SIZE[0] * SIZE[1]).data[0], array[3])
    report = run(tmp_path, tmp_path / "a.tif", "b.ome.tif", depths=(1, 4))
    assert report.filled == 2 * holes().sum()
    expected = array.copy()
    for depth in (1, 4):
        expected[depth][holes()] = filled()[holes()]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.ome.tif"), expected)


def stopped(path):
    """An OME-TIFF of nine planes of which three were taken; it names itself, as Micro-Manager has it."""
    tifffile.imwrite(path, values((3, *SIZE)), ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        words = file.ome_metadata.replace('SizeZ="3"', 'SizeZ="9"')
    identity = re.search(r'UUID="(urn:uuid:[^"]*)"', words)[1]
    own = f'<UUID FileName="{path.name}">{identity}</UUID>'
    words = words.replace('<TiffData IFD="0" PlaneCount="3"/>', f'<TiffData IFD="0" PlaneCount="3">{own}</TiffData>')
    assert own in words
    tifffile.imwrite(path, values((3, *SIZE)), photometric="minisblack", description=words, metadata=None)
    return path


def test_planes_that_were_never_taken_are_named_and_the_others_can_be_filled(tmp_path):
    path = stopped(tmp_path / "a.ome.tif")
    with pytest.raises(InputError, match="6 of 9 planes are not in the file, the first is T0 C0 Z3") as caught:
        run(tmp_path, path, "b.ome.tif")
    assert caught.value.code == "missing_planes" and "--depths" in caught.value.hint
    assert run(tmp_path, path, "b.ome.tif", depths=(0, 2)).filled == 2 * holes().sum()
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as file:
        assert len(file.pages) == 3 and 'SizeZ="9"' in file.ome_metadata
        found = [page.asarray() for page in file.pages]
    before = values((3, *SIZE))
    np.testing.assert_array_equal(found[1], before[1])
    np.testing.assert_array_equal(found[2], np.where(holes(), filled(), before[2]))


def test_an_estimate_of_every_plane_needs_every_plane(tmp_path, monkeypatch):
    from gencosmo.batch import OPS, process_file
    from gencosmo.io.stack_options import StackRead

    monkeypatch.setitem(OPS, "denoise", OPS["inpaint"])
    with pytest.raises(InputError, match="6 of 9 planes") as caught:
        process_file(
            stopped(tmp_path / "a.ome.tif"), tmp_path / "b.ome.tif", op="denoise", read=StackRead(depths=(0, 1))
        )
    assert caught.value.code == "missing_planes"
    assert {one.name for one in tmp_path.iterdir()} == {"a.ome.tif"}
