"""Every error gencosmo raises on purpose, on one page.

A message names the thing, what was got, what was expected and what to do about it. `code` is a short machine
word (stable, documented), `hint` one sentence with the next step. Two class attributes say how a front end
reports the error: `exit_code` on the command line, `http_status` in the service.

    GencosmoError                       1   500
      UsageError                        2   422   a call that cannot mean anything; existing outputs
      InputError (also a ValueError)    3   422   a file or an array that you can mend or exchange
        FormatError                     3   415
        TooLargeError                   3   413
      PriorError                        3   422   prior unknown, damaged, or not meant for this
      PartialFailure                    4   500   some of many inputs failed; `.failures` lists them
      DeviceError                       5   503   accelerator missing or out of memory
      StorageError                      5   507   disk full, folder not writable
      RefusedError                      6   403   a service said no
      Cancelled                       130   409   stopped from outside; finished outputs are kept
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "Cancelled",
    "DeviceError",
    "FormatError",
    "GencosmoError",
    "GencosmoWarning",
    "InputError",
    "PartialFailure",
    "PriorError",
    "RefusedError",
    "StorageError",
    "TooLargeError",
    "UsageError",
    "digits",
]


class GencosmoError(Exception):
    """Root of all errors of this package.

    Parameters
    ----------
    message : str
        What is wrong, with the numbers.
    code : str, optional
        Machine word; the class has a default.
    hint : str
        What to do next; empty when the message says it.
    """

    exit_code: int = 1
    http_status: int = 500
    default_code: str = "internal"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle by their positional arguments only; a worker process must not lose code and hint.
        return (_rebuild, (type(self), self.message, self.code, self.hint), self.__dict__.copy())

    def as_dict(self) -> dict[str, object]:
        """Plain words for `--json` and for an HTTP problem document."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "status": self.http_status}


def _rebuild(kind: type[GencosmoError], message: str, code: str, hint: str) -> GencosmoError:
    return kind(message, code=code, hint=hint)


class UsageError(GencosmoError):
    """The call itself cannot be carried out: a wrong option, or an output that already exists."""

    exit_code = 2
    http_status = 422
    default_code = "usage"


class InputError(GencosmoError, ValueError):
    """The data cannot be used as they are; the user can mend or exchange them."""

    exit_code = 3
    http_status = 422
    default_code = "bad_input"


class FormatError(InputError):
    """The bytes are not of the format that their name or place promises."""

    http_status = 415
    default_code = "not_fits"


class TooLargeError(InputError):
    """The header asks for more pixels than the limit, or than the file can hold."""

    http_status = 413
    default_code = "too_large"


class PriorError(GencosmoError):
    """A prior is unknown, does not match its card, or does not offer what was asked."""

    exit_code = 3
    http_status = 422
    default_code = "prior"


class PartialFailure(GencosmoError):  # noqa: N818 (not every input failed)
    """Some of many inputs failed; the others are done."""

    exit_code = 4
    default_code = "partial"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        failures: Mapping[str, GencosmoError] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.failures: dict[str, GencosmoError] = dict(failures or {})


class DeviceError(GencosmoError):
    """The accelerator is missing, broken, or out of memory."""

    exit_code = 5
    http_status = 503
    default_code = "device"


class StorageError(GencosmoError):
    """A file cannot be written: disk full, or folder not writable."""

    exit_code = 5
    http_status = 507
    default_code = "storage"


class RefusedError(GencosmoError):
    """A service refused the request."""

    exit_code = 6
    http_status = 403
    default_code = "refused"


class Cancelled(GencosmoError):  # noqa: N818 (somebody wanted it)
    """Stopped from outside (a signal, an abort, a cancel callback)."""

    exit_code = 130
    http_status = 409
    default_code = "cancelled"


def digits(number: int) -> str:
    """Return a number with its digits in groups of three, as messages show bytes: `16 800`."""
    return f"{number:_}".replace("_", " ")


class GencosmoWarning(UserWarning):
    """Something the user should know; the result is still made. `code` as in errors."""

    def __init__(self, message: str, *, code: str = "warning") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
