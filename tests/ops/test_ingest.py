"""File numbers to float32, ivar and flags: bit-equal to NumPy in float64, for every type and byte order."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gencosmo.errors import InputError, UsageError
from gencosmo.flags import bits
from gencosmo.ops.ingest import NOISE_KINDS, ingest, ingest_reference

TYPES = [
    "u1",
    "i1",
    "<i2",
    ">i2",
    "<u2",
    ">u2",
    "<i4",
    ">i4",
    ">u4",
    ">i8",
    ">u8",
    "<f4",
    ">f4",
    "<f8",
    ">f8",
]
SHAPE = (37, 1, 61)  # ends within a vector, whatever its width


def numbers(kind: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(kind).kind in "iu":
        info = np.iinfo(kind)
        data = rng.integers(info.min, info.max, SHAPE, dtype=np.dtype(kind).newbyteorder("="), endpoint=True)
        data[3, 0, :10] = 5
        return data.astype(kind)
    data = (1e3 * rng.standard_normal(SHAPE)).astype(kind)
    data.ravel()[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42]
    return data


def assert_equal(got: tuple, want: tuple) -> None:
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("threads", [1, 3])
def test_values(kind: str, threads: int) -> None:
    data = numbers(kind)
    assert_equal(ingest(data, threads=threads), ingest_reference(data))
    options = {"bscale": 0.1, "bzero": 32768.0, "blank": 5}
    assert_equal(ingest(data, threads=threads, **options), ingest_reference(data, **options))


@pytest.mark.parametrize("noise_kind", NOISE_KINDS)
@pytest.mark.parametrize("noise_type", [">f4", "<f8", ">i2"])
def test_noise_and_quality(noise_kind: str, noise_type: str) -> None:
    noise = numbers(noise_type, 1)
    if noise.dtype.kind == "f":
        noise.ravel()[6:12] = [1e-30, 1e30, -1, np.nan, np.inf, 1e-44]
    quality = np.random.default_rng(2).integers(0, 1 << 20, SHAPE).astype(np.uint32)
    options = {"noise": noise, "noise_kind": noise_kind, "dq": quality}
    assert_equal(ingest(numbers(">f4"), **options), ingest_reference(numbers(">f4"), **options))


BLANKS = ((">i8", -(2**63)), ("<i8", 2**53 + 1), (">u8", 2**62), (">u2", -1), ("u1", 300))


@pytest.mark.parametrize(("kind", "blank"), BLANKS)
def test_blank_is_compared_as_an_integer(kind: str, blank: int) -> None:
    """Neighbours of a large blank are the same float64; a blank that the type cannot hold is nowhere."""
    info = np.iinfo(kind)
    data = np.array([min(max(blank + k, info.min), info.max) for k in (0, 1, 2)], dtype=kind)
    got = ingest(data, blank=blank)
    assert_equal(got, ingest_reference(data, blank=blank))
    assert int((got[2] != 0).sum()) == (info.min <= blank <= info.max)


def test_meaning_of_bad_numbers() -> None:
    data = np.array([1.0, np.nan, 3.0, 4.0, 1e39], ">f8")
    noise = np.array([4.0, 4.0, 0.0, np.nan, 4.0], ">f4")
    value, ivar, flags = ingest(data, noise=noise, noise_kind="variance")
    missing, unknown = bits("NO_DATA"), bits("NO_NOISE")
    assert value.tolist() == [1, 0, 3, 4, 0]
    assert ivar is not None
    assert ivar.tolist() == [0.25, 0, 0, 0, 0]
    assert flags.tolist() == [0, missing, unknown, unknown, missing]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (1,)])
def test_nothing_and_one_number(shape: tuple[int, ...]) -> None:
    data = np.full(shape, 7, ">i2")
    assert_equal(ingest(data, noise=data), ingest_reference(data, noise=data))


def test_input_is_not_written_and_may_be_strided_or_read_only() -> None:
    data = np.arange(60, dtype=">f4").reshape(6, 10)
    data.flags.writeable = False
    before = data.tobytes()
    assert_equal(
        ingest(data[::2, ::3], noise=data.T[:3, :4].reshape(3, 4)),
        ingest_reference(data[::2, ::3], noise=data.T[:3, :4]),
    )
    assert data.tobytes() == before


@pytest.mark.parametrize("kind", ["c8", "f2", "U3", "O"])
def test_types_that_are_no_pixels(kind: str) -> None:
    with pytest.raises(InputError, match="data: got dtype"):
        ingest(np.zeros(3, kind))


def test_arrays_that_do_not_fit() -> None:
    data = np.zeros((3, 4), ">f4")
    with pytest.raises(InputError, match=r"noise: got shape \(4, 3\), expected \(3, 4\)"):
        ingest(data, noise=data.T)
    with pytest.raises(InputError, match="dq: got"):
        ingest(data, dq=np.zeros((3, 5), np.uint32))
    with pytest.raises(UsageError, match="noise_kind: got 'sigma'"):
        ingest(data, noise=data, noise_kind="sigma")


def test_reading_numbers_needs_no_torch() -> None:
    code = (
        "import sys, numpy as np; from gencosmo.ops.ingest import ingest; ingest(np.zeros(3)); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
