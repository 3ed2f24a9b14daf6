import pickle

import pytest

from gencosmo import errors
from gencosmo.errors import GencosmoError, InputError, PartialFailure, UsageError

TREE = {
    "UsageError": (2, 422),
    "InputError": (3, 422),
    "FormatError": (3, 415),
    "TooLargeError": (3, 413),
    "PriorError": (3, 422),
    "PartialFailure": (4, 500),
    "DeviceError": (5, 503),
    "StorageError": (5, 507),
    "RefusedError": (6, 403),
    "Cancelled": (130, 409),
    "GencosmoError": (1, 500),
}


def test_every_error_has_its_exit_code_and_status():
    kinds = {
        name: thing
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, GencosmoError)
    }
    assert {name: (kind.exit_code, kind.http_status) for name, kind in kinds.items()} == TREE


def test_the_page_documents_every_error():
    for name, (exit_code, status) in TREE.items():
        line = next(line for line in errors.__doc__.splitlines() if line.split()[:1] == [name])
        assert {str(exit_code), str(status)} <= set(line.split()), line


def test_numpy_users_can_catch_value_error():
    with pytest.raises(ValueError, match="transposed"):
        raise InputError("mask is 1x2, image is 2x1 (transposed?)", code="shape_mismatch")


def test_message_code_and_hint():
    error = UsageError("out.fits exists", code="exists", hint="--overwrite")
    assert str(error) == "out.fits exists (--overwrite)"
    assert error.as_dict() == {
        "code": "exists",
        "message": "out.fits exists",
        "hint": "--overwrite",
        "status": 422,
    }
    assert UsageError("x").code == "usage"


def test_errors_cross_process_borders_whole():
    error = PartialFailure("1 of 2", hint="h", failures={"a.fits": InputError("bad", code="truncated")})
    back = pickle.loads(pickle.dumps(error))
    assert (back.message, back.code, back.hint) == ("1 of 2", "partial", "h")
    assert back.failures["a.fits"].code == "truncated"
