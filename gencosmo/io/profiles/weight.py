"""`weight`: one image, and a weight map in a file of its own that the user names (SExtractor, SWarp habit).

Nothing is detected here: the meaning of a weight map is not written in it, so it takes `--weight FILE` and
`--weight-type`. Zero weight = bad.
"""

from __future__ import annotations

from dataclasses import replace

from gencosmo.io.hdus import FitsFile
from gencosmo.io.layout import Layout, Profile
from gencosmo.io.profiles import plain

__all__ = ["PROFILE"]


def _layouts(file: FitsFile) -> list[Layout]:
    return [replace(layout, profile="weight") for layout in plain.PROFILE.layouts(file)]


PROFILE = Profile("weight", "one image with --weight FILE --weight-type", lambda file: False, _layouts)
