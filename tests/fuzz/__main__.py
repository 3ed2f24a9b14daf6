"""Fuzz the readers with atheris; the options are libFuzzer's: `python -m tests.fuzz -max_total_time=60`."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gencosmo.io"]):
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


atheris.Setup([*sys.argv, str(corpus), "-max_len=40000"], one)
atheris.Fuzz()
