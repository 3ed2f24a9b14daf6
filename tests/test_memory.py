"""Memory that the command line keeps: blocks of megabytes are not fetched anew each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from gencosmo.commands.memory import keep_memory
asked = keep_memory() if sys.argv[1] == "keep" else False
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    np.empty(8 << 20, np.uint8)[::4096] = 1
use()
before = faults()
for _ in range(20):
    use()
print(asked, faults() - before)
"""


def faults_of(how: str) -> tuple[bool, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    asked, count = done.stdout.split()
    return asked == "True", int(count)


def test_blocks_of_megabytes_are_kept():
    asked, kept = faults_of("keep")
    if not asked:
        pytest.skip("the C library is not glibc")
    _, fetched = faults_of("leave")
    # numpy may ask for huge pages: then even the fetched blocks fault only some times each
    assert kept <= 4
    assert kept < fetched
