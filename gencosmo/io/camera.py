"""What a user knows of a camera: the noise of every pixel without a noise image, in files of any format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gencosmo.errors import UsageError

__all__ = ["Camera", "law_words"]


@dataclass(frozen=True)
class Camera:
    """What is known of the noise of every pixel without a noise image.

    `gain` in electrons per unit, `read_noise` in electrons, `offset` (black level) in units; what is None is taken from
    where `source` says: nowhere ("told"), the file's metadata ("file"), or a fit to the image ("estimate", of which
    only `offset` can be told). `std`: the same noise for every pixel instead, in units.

    Raises
    ------
    UsageError
        `bad_noise`.
    """

    gain: float | None = None
    offset: float | None = None
    read_noise: float | None = None
    std: float | None = None
    source: Literal["told", "file", "estimate"] = "told"

    def __post_init__(self) -> None:
        for name, least in (("gain", 0.0), ("std", 0.0), ("read_noise", -1e-300), ("offset", -math.inf)):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > least):
                unit = {"gain": "electrons per unit, above 0", "std": "a standard deviation above 0"}
                expected = unit.get(name, "electrons" if name == "read_noise" else "a level in units of the image")
                raise UsageError(f"{name.replace('_', ' ')} is {value:g}, expected {expected}", code="bad_noise")
        law = (self.gain, self.read_noise)
        if self.std is not None and (law != (None, None) or self.offset is not None or self.source != "told"):
            raise UsageError(
                "a standard deviation and a camera's law are both given",
                code="bad_noise",
                hint="--noise NUMBER stands alone; --offset, --gain and --read-noise are of a law",
            )
        if self.source == "estimate" and law != (None, None):
            raise UsageError(
                "noise is to be estimated, and gain or read noise is given", code="bad_noise", hint="leave one out"
            )
        if self.source == "told" and self.std is None and None in law:
            raise UsageError(
                "gain and read noise belong together",
                code="bad_noise",
                hint="a data sheet names both; --noise file or --noise estimate finds them",
            )

    def __str__(self) -> str:
        names = ("gain", "offset", "read_noise", "std")
        told = [f"{name} {getattr(self, name):g}" for name in names if getattr(self, name) is not None]
        return ", ".join([self.source, *told])


def law_words(gain: float, read_noise: float, offset: float, source: str) -> str:
    """Return a law of noise as a report says it; noise that does not grow with the light has no gain."""
    if not math.isfinite(gain):
        return f"noise {read_noise:.4g} at every level ({source})"
    return f"gain {gain:.4g}, read noise {read_noise:.3g}, offset {offset:.4g} ({source})"
