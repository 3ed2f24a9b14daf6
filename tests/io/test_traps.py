"""The table of traps, and the table of bad input: each row has a test that names it, or a reason why it has none."""

import ast
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import gencosmo.io as gio
from gencosmo.batch import process_file
from gencosmo.errors import GencosmoError, UsageError
from gencosmo.io.atomic import write_atomic
from gencosmo.io.checksum import wrong_sums
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.hdus import open_fits

from ..stand_in import stand_in  # noqa: F401
from .files import SHAPE, fill, holes, plain_file, sip_header, sky, stsci_file, write
from .test_write import checked, repair

TESTS = Path(__file__).parent.parent
HERE = "io/test_traps.py"

TRAPS = {
    1: ["io/test_write.py::test_trap_1_compressed_planes_come_back_exact",
        "io/test_compress.py::test_trap_1_4_rice_is_done_on_request_only_recorded_and_keeps_exact_zeros"],
    2: ["io/test_compress.py::test_trap_2_lossless_gzip_is_read_by_cfitsio_and_astropy_bit_for_bit",
        "io/test_compress.py::test_funpack_unpacks_what_we_pack"],
    3: ["io/test_numbers.py::test_trap_3_nan_in_rice_tiles_stay_single_pixels"],
    4: ["io/test_compress.py::test_trap_1_4_rice_is_done_on_request_only_recorded_and_keeps_exact_zeros"],
    5: ["io/test_write.py::test_trap_5_checksums_are_made_anew", f"{HERE}::test_trap_5_sums_of_the_input_are_verified"],
    6: ["io/test_numbers.py::test_trap_6_7_blank_and_scaling",
        "io/test_write.py::test_trap_6_7_scaled_integers_with_blank"],
    7: ["io/test_numbers.py::test_trap_6_7_blank_and_scaling"],
    8: ["io/test_numbers.py::test_trap_8_9_every_type_in_every_packing",
        f"{HERE}::test_trap_8_16_all_32_bits_of_a_mask_survive"],
    9: ["io/test_numbers.py::test_trap_8_9_every_type_in_every_packing"],
    10: ["io/test_write.py::test_trap_10_14_the_header_keeps_its_cards_and_its_wcs"],
    11: ["io/test_wcs.py::test_trap_11_pc_and_cd_that_disagree_are_told",
         f"{HERE}::test_trap_11_inpaint_tells_and_strict_refuses"],
    12: ["tasks/test_super_resolve.py::test_flux_modes", "tasks/test_super_resolve.py::test_units_say_the_flux_mode",
         "tasks/test_super_resolve.py::test_flux_of_a_source_is_kept"],
    13: ["io/test_wcs.py::test_trap_13_a_singular_matrix_is_told"],
    14: ["io/test_write.py::test_trap_10_14_the_header_keeps_its_cards_and_its_wcs"],
    15: ["io/test_wcs.py::test_trap_15_sip_terms_without_sip_in_ctype"],
    16: [f"{HERE}::test_trap_8_16_all_32_bits_of_a_mask_survive"],
    17: ["io/test_layouts.py::test_trap_17_lsst_planes_are_read_from_the_cards"],
    18: ["io/test_layouts.py::test_trap_18_decam_codes_or_bits_by_pipeline_version",
         "io/test_layouts.py::test_trap_18_unknown_pipeline_version_is_asked_for",
         "io/test_mask_bits.py::test_an_unknown_plver_is_answered_by_a_profile"],
    19: ["io/test_layouts.py::test_trap_19_a_weight_map_of_zeros_and_ones_is_a_mask",
         "io/test_layouts.py::test_trap_19_relative_weights_are_scaled_to_the_measured_noise"],
    20: ["io/test_layouts.py::test_trap_20_tiny_weights_of_lossy_maps_are_zeros"],
    21: ["io/test_layouts.py::test_trap_21_grow_widens_a_flag_by_a_disc",
         f"{HERE}::test_trap_21_a_mask_that_is_too_small_is_told"],
    22: ["io/test_layouts.py::test_trap_22_masked_is_nan_or_bits_or_no_variance"],
    23: ["io/test_structure.py::test_trap_23_first_image_hdu_is_taken_and_hdus_are_listed_on_failure"],
    24: ["io/test_layouts.py::test_trap_24_planes_are_paired_by_version_whatever_their_order",
         f"{HERE}::test_trap_24_sixty_chips_in_one_file"],
    25: ["io/test_layouts.py::test_trap_25_degenerate_axes_and_cubes",
         f"{HERE}::test_trap_25_the_planes_of_a_cube_are_filled_on_their_own",
         "io/test_cubes.py::test_memory_does_not_grow_with_the_number_of_planes"],
    26: ["io/test_structure.py::test_trap_26_27_bombs_are_refused_quickly_in_little_memory"],
    27: ["io/test_structure.py::test_trap_26_27_bombs_are_refused_quickly_in_little_memory"],
    28: [f"{HERE}::test_trap_28_writers_of_one_name_never_mix"],
    29: ["io/test_write.py::test_trap_29_outputs_appear_whole_or_not_at_all",
         "io/test_companions.py::test_a_rename_that_fails_puts_all_back",
         "test_batch.py::test_a_killed_run_leaves_no_half_output"],
    30: [f"{HERE}::test_trap_30_units_are_copied_to_the_letter"],
    31: [f"{HERE}::test_trap_31_our_keywords_are_short_and_long_ones_stay",
         "io/test_survey_files.py::test_long_keywords_and_continued_strings_are_kept_in_every_packing"],
}  # fmt: skip
"""Numbers of the table; a text says why a row has no test yet."""

SERVICE = "of the service, which is not built yet"
BAD_INPUT = {
    "empty, PNG, no END, garbage": ["io/test_structure.py::test_bad_files"],
    "truncated data": ["io/test_structure.py::test_bad_files", "io/test_structure.py::test_a_truncated_gzip_file"],
    "BITPIX, NAXIS out of range": ["io/test_structure.py::test_bad_files"],
    "NAXIS1=0": ["io/test_structure.py::test_bad_files"],
    "no image anywhere": ["io/test_structure.py::test_bad_files",
                          "test_cli.py::test_bad_input_exits_3_with_code_and_text_and_no_traceback"],
    "HDU name unknown": ["test_cli.py::test_wrong_hdu_and_wrong_mask_tell_what_to_do"],
    "header and gzip bombs": ["io/test_structure.py::test_trap_26_27_bombs_are_refused_quickly_in_little_memory"],
    "mask of another shape": ["io/test_layouts.py::test_mask_file_and_its_shape"],
    "mask all True": ["test_batch.py::test_nothing_is_written_when_a_plane_fails"],
    "mask all False": ["test_cli.py::test_nothing_to_fill_is_a_copy_and_a_warning"],
    "hole larger than validated": ["test_batch.py::test_strict_refuses_what_a_warning_accepts"],
    "all NaN, constant": ["test_cli.py::test_bad_input_exits_3_with_code_and_text_and_no_traceback"],
    "infinite pixels": ["io/test_numbers.py::test_infinite_pixels_are_masked_and_told"],
    "variance zero, negative, NaN": ["io/test_layouts.py::test_trap_22_masked_is_nan_or_bits_or_no_variance"],
    "float16, complex, bool": ["test_image.py::test_other_types_are_refused"],
    "smaller than the model tile": ["test_cli.py::test_bad_input_exits_3_with_code_and_text_and_no_traceback"],
    "unknown BUNIT": ["tasks/test_super_resolve.py::test_unknown_units_ask"],
    "PC and CD disagree, singular CD": [f"{HERE}::test_trap_11_inpaint_tells_and_strict_refuses",
                                        "test_cli_files.py::test_check_tells_the_wcs_and_the_memory"],
    "factor not offered": ["tasks/test_super_resolve.py::test_faults_are_told",
                           "test_cli_super_resolve.py::test_what_is_refused_leaves_nothing"],
    "unknown model": ["test_batch.py::test_an_unknown_prior_is_told_before_anything_is_read"],
    "pixel scale outside the card": ["tasks/test_inpaint.py::test_large_holes_and_foreign_scales_are_told"],
    "options out of range": ["test_batch.py::test_options_out_of_range", "test_cli.py::test_usage_exits_2"],
    "a parameter twice": SERVICE,
    "bad UPLOAD": SERVICE,
    "parameters after RUN": SERVICE,
    "RUN twice": SERVICE,
    "body too large": SERVICE,
    "disk full": ["io/test_write.py::test_trap_29_outputs_appear_whole_or_not_at_all"],
    "accelerator out of memory": ["priors/test_diffusion.py::test_a_full_device_gets_fewer_windows_at_once",
                                  "priors/test_diffusion.py::test_a_device_without_room_for_one_window_is_told"],
    "CUDA absent": [f"{HERE}::test_cuda_that_is_absent_exits_5", "ops/test_devices.py::"
                    "test_cuda_tensor_without_cuda_code_or_without_a_driver"],
    "output exists": ["test_cli.py::test_usage_exits_2"],
    "output is the input": ["io/test_write.py::test_outputs_that_are_refused"],
    "OME-TIFF without axes": ["io/test_axes.py::test_unnamed_axes_are_an_error_with_an_example"],
    "RGB into one channel": ["io/test_tiff_bad.py::test_masks_of_a_plane_of_all_planes_and_of_labels"],
}  # fmt: skip


def functions_of(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_has_a_test_or_a_reason():
    assert sorted(TRAPS) == list(range(1, 32))
    assert len(BAD_INPUT) == 34
    for row, named in {**TRAPS, **BAD_INPUT}.items():
        if isinstance(named, str):
            assert len(named) > 15, row
            continue
        for node in named:
            path, _, name = node.partition("::")
            assert name in functions_of(path), f"{row}: {node} does not exist"
            numbers = [part for part in name.split("_") if part.isdigit()]
            assert "trap" not in name or not isinstance(row, int) or str(row) in numbers, node


def test_trap_5_sums_of_the_input_are_verified(tmp_path):
    path = plain_file(tmp_path / "a.fits", checksum=True)
    with open_fits(path) as file:
        assert wrong_sums(file, file.hdus[0]) == []
    raw = bytearray(Path(path).read_bytes())
    raw[-3000] ^= 1
    (tmp_path / "b.fits").write_bytes(raw)
    with open_fits(str(tmp_path / "b.fits")) as file:
        assert wrong_sums(file, file.hdus[0]) == ["DATASUM", "CHECKSUM"]
    header = raw.index(b"EXTEND")
    raw[-3000] ^= 1
    raw[header + 40] = ord("!")
    (tmp_path / "c.fits").write_bytes(raw)
    with open_fits(str(tmp_path / "c.fits")) as file:
        assert wrong_sums(file, file.hdus[0]) == ["CHECKSUM"]
    with open_fits(plain_file(tmp_path / "d.fits")) as file:
        assert wrong_sums(file, file.hdus[0]) == []


@pytest.mark.parametrize("compress", ["none", "gzip", "rice"])
def test_trap_8_16_all_32_bits_of_a_mask_survive(tmp_path, compress):
    dq = (np.uint32(1) << np.arange(32, dtype=np.uint32))[np.arange(SHAPE[0] * SHAPE[1]) % 32].reshape(SHAPE)
    dq[1::2] &= ~np.uint32(1)
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "JWST"
    path = write(tmp_path / "a.fits", primary, fits.ImageHDU(sky(), name="SCI"), fits.ImageHDU(dq, name="DQ"))
    image = repair(path, tmp_path / "b.fits", options=WriteOptions(compress=compress))
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus["DQ"].data.dtype == np.uint32
        written = hdus["GCM_FILL"].data > 0
        assert np.array_equal(hdus["DQ"].data, np.where(written, dq | 1 << 28, dq))
        assert np.array_equal(written, image.mask[0])


def conflict(path, **words):
    header = sip_header()
    header["PC1_1"], header["PC2_2"], header["CDELT1"], header["CDELT2"] = 2.0, 2.0, -7e-5, 7e-5
    header.update(words)
    data = sky()
    data[holes()] = np.nan
    return plain_file(path, data, header)


@pytest.mark.usefixtures("stand_in")
def test_trap_11_inpaint_tells_and_strict_refuses(tmp_path):
    path = conflict(tmp_path / "a.fits")
    report = process_file(path, tmp_path / "b.fits")
    assert [entry["code"] for entry in report.warnings] == ["ambiguous_wcs"]
    assert "0.504 and 0.252 arcsec per pixel" in report.warnings[0]["message"]
    with pytest.raises(GencosmoError) as caught:
        process_file(path, tmp_path / "c.fits", strict=True)
    assert (caught.value.code, caught.value.exit_code) == ("ambiguous_wcs", 3)
    assert not (tmp_path / "c.fits").exists()
    turned = conflict(tmp_path / "d.fits", PC1_1=0.0, PC1_2=1.0, PC2_1=1.0, PC2_2=0.0)
    report = process_file(turned, tmp_path / "e.fits")
    assert "turned against each other" in report.warnings[0]["message"]


@pytest.mark.usefixtures("stand_in")
def test_trap_21_a_mask_that_is_too_small_is_told(tmp_path):
    rows, cols = np.indices(SHAPE)
    data = sky() + 3e4 * np.exp(-np.hypot(rows - 20, cols - 30) / 2).astype(np.float32)
    data[19:22, 29:32] = np.nan
    data[35, 50] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    with open_fits(path):
        image = gio.read(path)
    from gencosmo.batch.rims import bright_rims

    assert bright_rims(image, fill(image, value=100.0)) == 1, "the lone pixel in the sky is none"
    assert bright_rims(image, fill(image, value=2e4)) == 0


def test_trap_24_sixty_chips_in_one_file(tmp_path):
    path = stsci_file(tmp_path / "a.fits", versions=60)
    repair(path, tmp_path / "b.fits")
    with checked(tmp_path / "b.fits") as hdus:
        assert len([hdu for hdu in hdus if hdu.name == "GCM_FILL"]) == 60
        for version in (1, 31, 60):
            assert np.array_equal(hdus["GCM_FILL", version].data, holes(seed=version).astype(np.uint8))
            assert np.array_equal(
                hdus["SCI", version].data[~holes(seed=version)], sky(seed=version)[~holes(seed=version)]
            )


@pytest.mark.usefixtures("stand_in")
def test_trap_25_the_planes_of_a_cube_are_filled_on_their_own(tmp_path):
    cube = np.stack([sky(seed=i) for i in range(4)])
    cube[1][holes()], cube[3, 5:9, 5:9] = np.nan, np.nan
    path = plain_file(tmp_path / "a.fits", cube)
    report = process_file(path, tmp_path / "b.fits")
    assert report.filled == np.isnan(cube).sum()
    got = fits.getdata(tmp_path / "b.fits")
    assert np.isfinite(got).all()
    assert np.array_equal(got[~np.isnan(cube)], cube[~np.isnan(cube)])


def test_trap_28_writers_of_one_name_never_mix(tmp_path):
    """Eight threads write the same output: what is there is whole, from one of them, and nothing else is left."""
    out = str(tmp_path / "out.bin")
    refused = []

    def work(letter: bytes) -> None:
        try:
            write_atomic(out, [letter * 100_000] * 20)
        except UsageError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=work, args=(bytes([65 + i]),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["out.bin"]
    raw = Path(out).read_bytes()
    assert raw == raw[:1] * 2_000_000
    assert set(refused) <= {"exists"}


@pytest.mark.parametrize("unit", ["counts/s", "electron/s", "ADU?", "10^-17 erg/s", None])
def test_trap_30_units_are_copied_to_the_letter(tmp_path, unit):
    header = fits.Header()
    if unit is not None:
        header["BUNIT"] = unit
    path = plain_file(tmp_path / "a.fits", np.where(holes(), np.nan, sky()), header)
    assert repair(path, tmp_path / "b.fits").unit == unit
    with checked(tmp_path / "b.fits") as hdus:
        assert hdus[0].header.get("BUNIT") == hdus["GCM_STD"].header.get("BUNIT") == unit


def test_trap_31_our_keywords_are_short_and_long_ones_stay(tmp_path):
    path = plain_file(tmp_path / "a.fits", np.where(holes(), np.nan, sky()), sip_header())
    repair(path, tmp_path / "b.fits")
    with fits.open(path) as old, checked(tmp_path / "b.fits") as new:
        added = set(new[0].header) - set(old[0].header)
        assert added <= {"DATE", "CHECKSUM", "DATASUM", "EXTEND", "HISTORY"}
        for hdu in new[1:]:
            assert all(len(key) <= 8 for key in hdu.header)
            assert "HIERARCH" not in hdu.header.tostring()
        assert new[0].header["ESO DET ID"] == "abc"


def test_cuda_that_is_absent_exits_5(tmp_path, monkeypatch):
    import torch
    from typer.testing import CliRunner

    from gencosmo.cli import app

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = plain_file(tmp_path / "a.fits", np.where(holes(), np.nan, sky()))
    done = CliRunner().invoke(app, ["inpaint", path, "-o", str(tmp_path / "b.fits"), "--device", "cuda"])
    assert done.exit_code == 5, done.stderr
    assert "error[device]: device 'cuda' cannot be used: torch sees no CUDA device" in done.stderr
    assert "use device='cpu'" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["a.fits"]
