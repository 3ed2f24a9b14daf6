"""What bounds the compute-bound kernels on this core: ``python -m benchmarks.roofline [--out FILE]``.

Compiles `roofline.cpp` with the flags of the core for the widest instruction set of this machine and runs it: cycles of
a vector division, root and product, and of sixty-four normals, whole and in parts. See docs/kernels.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from gencosmo import _core
from gencosmo.ops._tuning import cpu_name

HERE = Path(__file__).resolve().parent
ARCH = {"avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"], "avx2": ["-march=x86-64-v3"], "base": []}


def measure() -> dict[str, Any]:
    """Compile, run, read."""
    flags = ["-std=c++20", "-O3", "-w", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "roofline"
        source = [str(HERE / "roofline.cpp"), f"-I{HERE.parent / 'csrc'}", "-o", str(binary)]
        subprocess.run([os.environ.get("CXX", "c++"), *flags, *ARCH[_core.isa()], *source], check=True)
        told = subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout
    return {"cpu": cpu_name(), "isa": _core.isa(), **json.loads(told)}


def main() -> None:
    """Print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    text = json.dumps(measure(), indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
