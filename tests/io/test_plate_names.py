"""Wells, fields and channels in names as microscopes give them."""

import pytest

from gencosmo.io.plate_names import place_of, well_name

KNOWN = [
    ("P1/Images/r01c02f03p01-ch1sk1fk1fl1.tiff", "A02", "03", "ch1", "P1"),
    ("x/r16c24f01p12-ch4.tiff", "P24", "01", "ch4", "x"),
    ("exp/Plate7_B03_s2_w1.TIF", "B03", "2", "w1", "Plate7"),
    ("exp/Plate7_B03_s2_w1A1B2C3D4-11AA-22BB-33CC-445566778899.tif", "B03", "2", "w1", "Plate7"),
    ("x/HTD_C05_w3.tif", "C05", "", "w3", "HTD"),
    ("x/AssayPlate_Greiner_P24_T0001F002L01A01Z01C01.tif", "P24", "002", "C01", "AssayPlate_Greiner"),
    ("AS_09125_050116030001_D03f00d2.tif", "D03", "00", "d2", "AS_09125_050116030001"),
    ("in/B - 04(fld 3 wv DAPI - DAPI).tif", "B04", "3", "DAPI", "in"),
    ("in/H - 12(fld 01).tif", "H12", "01", "", "in"),
    ("scan/A01_ch2.tif", "A01", "", "ch2", "scan"),
    ("scan/A1.tif", "A01", "", "", "scan"),
    ("scan/run2_site_E11_field_7.ome.tif", "E11", "7", "", "run2_site"),
    ("plate/B07/field_3_w2.tif", "B07", "3", "w2", "plate"),
    ("plate/Well_C12/img.tif", "C12", "img", "", "plate"),
    ("a/p.ome.zarr[A/1/0]", "A01", "0", "", "p.ome"),
    ("p.zarr[AF/48/1]", "AF48", "1", "", "p"),
]


@pytest.mark.parametrize(("path", "well", "field", "channel", "plate"), KNOWN)
def test_names_of_microscopes(path, well, field, channel, plate):
    place = place_of(path)
    assert (place.well, place.field, place.channel, place.plate) == (well, field, channel, plate)


@pytest.mark.parametrize(
    "name",
    ["17P1_POS0013_D_1UL.tif", "test_image.ome.tif", "EMBO_2012_data1.tif", "Channel 1-01-A-01-00.tif", "a/b/c.tif",
     "slide4_A01F02.tif", "x_A00.tif", "x_A49.tif", "x_A123.tif", "xA01.tif"],
)  # fmt: skip
def test_other_names_tell_of_no_well(name):
    assert place_of(name) is None


def test_names_of_wells():
    assert [well_name(*place) for place in ((0, 0), (15, 23), (25, 4), (26, 0), (31, 47))] == [
        "A01", "P24", "Z05", "AA01", "AF48",
    ]  # fmt: skip
