"""Where the images of published figures come from, and whether a file is one of them: `sources.toml`.

``GENCOSMO_TEST_DATA=... python -m benchmarks.quality.sources`` tells which files of the table are there and unchanged;
``--write MANIFEST.md`` makes the table anew from a list of origins (rows ``| file | repository : path | ...``).

The hash is that of the bytes in the repository: of a file that is kept with gzip and was not, the unpacked bytes. Where
a file is a repack of several (alert packets, arrays), `repacked` says so, and the hash is that of the repack.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import sys
import tomllib
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE / "sources.toml"
HEAD = """# Images behind the figures: file in the collection, its repository, path there, sha256 of its bytes.
# Made by `python -m benchmarks.quality.sources --write`; the comparison leaves out what is not here or has changed.

"""
ROW = re.compile(r"^\| ((?:astro|micro)/[^|]+?) \| ([^|]+?) : ([^|]+?) \|")


def data_root() -> Path:
    """Folder with `astro/` and `micro/`, from GENCOSMO_TEST_DATA."""
    root = os.environ.get("GENCOSMO_TEST_DATA")
    if not root or not (Path(root) / "astro").is_dir():
        raise SystemExit(
            f"GENCOSMO_TEST_DATA={root!r} is not a folder with astro/ in it: set it to the image collection"
        )
    return Path(root)


@lru_cache
def table() -> dict[str, dict[str, str]]:
    """Origins by file."""
    return tomllib.loads(TABLE.read_text()) if TABLE.exists() else {}


def content_sha256(path: Path, origin: str) -> str:
    """Hash of the bytes in the repository, see the head of this file."""
    packed = path.suffix == ".gz" and not origin.endswith(".gz")
    content = path.read_bytes()
    return sha256(gzip.decompress(content) if packed else content).hexdigest()


@lru_cache(maxsize=2000)
def fault(root: Path, path: Path) -> str:
    """Why a file is not the one that figures were made of; empty when it is."""
    name = path.relative_to(root).as_posix()
    known = table().get(name)
    if known is None:
        return f"{name} is not in {TABLE.name}"
    found, told = content_sha256(path, known["path"]), known["sha256"]
    return "" if found == told else f"{name} has sha256 {found[:12]}..., {TABLE.name} says {told[:12]}..."


def is_known(root: Path, path: Path) -> bool:
    """True for a file of the table; others are told on stderr."""
    why = fault(root, path)
    if why:
        print(f"left out: {why}", file=sys.stderr)
    return not why


def write(manifest: Path, root: Path) -> int:
    """Make the table from a list of origins; returns the number of files."""
    rows = [m.groups() for line in manifest.read_text().splitlines() if (m := ROW.match(line))]
    lines = []
    for name, repository, origin in rows:
        path = root / name
        if not path.is_file():
            continue
        words = {"repository": repository, "path": origin, "sha256": content_sha256(path, origin)}
        told = ", ".join(f'{key} = "{value}"' for key, value in words.items())
        lines.append(f'"{name}" = {{ {told}{", repacked = true" if "repacked" in origin else ""} }}\n')
    TABLE.write_text(HEAD + "".join(lines))
    return len(lines)


def main() -> None:
    """Check or write the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", type=Path, metavar="MANIFEST.md")
    given = parser.parse_args()
    if given.write:
        print(f"{write(given.write, data_root())} files -> {TABLE}")
        return
    root = data_root()
    there = [root / name for name in table() if (root / name).is_file()]
    good = [path for path in there if is_known(root, path)]
    print(f"{len(good)} of {len(table())} files are there and unchanged, {len(table()) - len(there)} are missing")
    if len(good) < len(there):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
