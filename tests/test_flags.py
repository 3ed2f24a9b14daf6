import numpy as np
import pytest

from gencosmo import flags
from gencosmo.errors import UsageError


def test_bits_are_distinct_and_fit_in_uint32():
    values = [flag.value for flag in flags.FLAGS.values()]
    assert len(set(values)) == len(values)
    assert max(values) <= np.iinfo(np.uint32).max


def test_what_is_filled_and_what_is_told():
    for name in ("BAD", "SATURATED", "COSMIC_RAY", "BLEED", "HOT", "DEAD", "NO_DATA", "STREAK", "USER"):
        assert flags.FILL_BITS & flags.bits(name), name
    for name in ("NO_NOISE", "FILLED", "HOLE_TOO_LARGE", "OUT_OF_DOMAIN", "INTERPOLATED", "REFERENCE"):
        assert not flags.FILL_BITS & flags.bits(name), name


def test_names_and_bits_are_inverse():
    for name, flag in flags.FLAGS.items():
        assert flags.names_of(flag.value) == [name]
    assert flags.names_of(flags.bits("HOT", "dead") | 1 << 31) == ["HOT", "DEAD", "BIT31"]


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError) as caught:
        flags.bits("COSMICRAY")
    assert caught.value.code == "flag"
    assert "COSMIC_RAY" in caught.value.hint


def test_count_only_what_occurs():
    plane = np.zeros((2, 3), np.uint32)
    plane[0] = flags.bits("HOT")
    plane[0, 0] |= flags.bits("USER")
    assert flags.count(plane) == {"HOT": 3, "USER": 1}
    assert flags.count(np.zeros((0,), np.uint32)) == {}


def test_table_has_a_row_for_every_flag():
    lines = flags.documentation_table().splitlines()
    assert len(lines) == 2 + len(flags.FLAGS)
    for line, flag in zip(lines[2:], flags.FLAGS.values(), strict=True):
        assert [cell.strip() for cell in line.strip("|").split("|")] == [
            str(flag.bit), str(flag.value), f"`{flag.name}`", "yes" if flag.fill else "no", flag.meaning,
        ]  # fmt: skip
