"""What `gencosmo check` prints of a stack: its first plane at length, the others in a line each."""

import tifffile
from typer.testing import CliRunner

from gencosmo.cli import app

from .io.stacks import SIZE, holes, mask_file, values


def test_a_stack_of_many_planes_is_told_in_a_line_each(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", values((2, 3, *SIZE)), ome=True, photometric="minisblack",
                     metadata={"axes": "ZCYX"})  # fmt: skip
    words = [
        "check",
        str(tmp_path / "a.ome.tif"),
        "--mask",
        mask_file(tmp_path),
        "--noise",
        "12",
        "--find",
        "saturated",
    ]
    done = CliRunner().invoke(app, [*words, "--find", "saturated"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stdout.splitlines() if line.startswith("plane ")]
    assert lines[0] == f"plane T0C0Z0: 1x{SIZE[0]}x{SIZE[1]} px, unit not given"
    assert [line.split(":")[0] for line in lines[1:]] == [
        f"plane T0C{c}Z{z}" for c in range(3) for z in range(2) if (c, z) != (0, 0)
    ]
    count = holes().sum()
    for line in lines[1:]:
        assert f": {count} px (" in line and f"(USER {count})" in line and "; noise told 12, measured 1" in line
    assert done.stdout.count("pixel scale") == 1
