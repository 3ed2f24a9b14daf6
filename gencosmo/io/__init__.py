"""Files: path to `Image`, and `Image` or `Result` to path.

Importing this is cheap: a format's module is imported when a file of that format is met.
"""

from __future__ import annotations

from gencosmo.image import register_reader
from gencosmo.io.registry import read, write

__all__ = ["read", "write"]

register_reader(read)
