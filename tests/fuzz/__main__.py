"""Fuzz the readers with atheris; the options are libFuzzer's: `python -m tests.fuzz -max_total_time=60`."""

import gc
import sys
import tempfile
from pathlib import Path
from types import FunctionType

import atheris

from tests.fuzz.readers import read_file, read_header, seeds

folder = Path(tempfile.mkdtemp())
corpus = folder / "corpus"
corpus.mkdir()
for number, seed in enumerate(seeds()):
    (corpus / str(number)).write_bytes(seed)


def one(raw: bytes) -> None:
    """Feed the same bytes to both readers."""
    read_header(raw[:5760])
    read_file(raw, folder)


for thing in gc.get_objects():  # an editable installation has a loader that atheris cannot follow
    if isinstance(thing, FunctionType) and (thing.__module__ or "").startswith("gencosmo.io"):
        atheris.instrument_func(thing)
atheris.Setup([*sys.argv, str(corpus), "-max_len=40000"], one)
atheris.Fuzz()
