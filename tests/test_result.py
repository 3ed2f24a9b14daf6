import pickle

import numpy as np
import pytest

from gencosmo.errors import InputError, UsageError
from gencosmo.result import Result


def make(**changes):
    fields = {"mean": np.ones((4, 5), np.float32), "std": np.full((4, 5), 2, np.float32)} | changes
    return Result(**fields)


def test_interval_takes_stored_widths_and_nothing_else():
    result = make(quantiles={0.68: 1.1, 0.95: 2.6})
    low, high = result.interval(0.95)
    assert np.allclose(low, 1 - 5.2)
    assert np.allclose(high, 1 + 5.2)
    assert low.dtype == np.float32
    with pytest.raises(UsageError, match="stored levels"):
        result.interval(0.9)
    with pytest.raises(UsageError, match="none"):
        make().interval(0.68)


@pytest.mark.parametrize(
    "changes",
    [
        {"std": np.ones((5, 4), np.float32)},
        {"mean": np.ones((4, 5))},
        {"filled": np.ones((4, 5), np.uint8)},
        {"flags": np.ones((4, 5), np.int64)},
        {"samples": np.ones((3, 4, 4), np.float32)},
    ],
)
def test_arrays_of_wrong_shape_or_type_are_refused(changes):
    with pytest.raises(InputError) as caught:
        make(**changes)
    assert caught.value.code == "shape_mismatch"
    assert next(iter(changes)) in caught.value.message


def test_target_is_one_of_two():
    with pytest.raises(UsageError, match="frame, scene"):
        make(target="truth")


def test_it_pickles_and_its_mappings_are_read_only():
    result = make(quantiles={0.68: 1.0}, provenance={"seed": 3}, samples=np.zeros((2, 4, 5), np.float32))
    back = pickle.loads(pickle.dumps(result))
    assert back.provenance["seed"] == 3
    assert back.quantiles == {0.68: 1.0}
    with pytest.raises(TypeError):
        back.provenance["seed"] = 4
    assert "samples=2" in repr(back)
