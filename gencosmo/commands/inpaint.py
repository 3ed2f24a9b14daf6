"""`gencosmo inpaint`: files through `gencosmo.batch`, pictures and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gencosmo.batch import FileReport, Job
from gencosmo.commands.runs import Run, Task, run_files
from gencosmo.errors import UsageError

if TYPE_CHECKING:
    from gencosmo.image import Image
    from gencosmo.result import Result

__all__ = ["Pictures", "Run", "parse_grow", "run_inpaint"]


def parse_grow(text: str | None) -> dict[str, int]:
    """Read `sat=3,cr=1` as flag names and radii.

    Raises
    ------
    UsageError
    """
    short = {"sat": "SATURATED", "cr": "COSMIC_RAY"}
    found = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, _, radius = part.partition("=")
        if not radius.strip().isdigit():
            raise UsageError(f"--grow {part!r} is not NAME=PIXELS", hint="for example --grow sat=3,cr=1")
        found[short.get(name.strip().lower(), name.strip().upper())] = int(radius)
    return found


def run_inpaint(run: Run, job: Job) -> None:
    """Process the inputs and tell about each; raises as :func:`gencosmo.commands.runs.run_files`."""
    run_files(run, job, Task(Pictures, _words))


class Pictures:
    """Writes one picture per science plane; the second one of a file is NAME-2.png."""

    def __init__(self, path: str, title: str, overwrite: bool) -> None:
        self._path, self._title, self._overwrite = path, title, overwrite
        self._number = 0

    def __call__(self, image: Image, result: Result) -> None:
        """Write the picture of one plane."""
        from gencosmo.report import picture

        self._number += 1
        stem = self._path[: -len(".png")]
        path = self._path if self._number == 1 else f"{stem}-{self._number}.png"
        title = f"{self._title}[{image.meta.get('hdu', 0)}]"
        picture(path, image, result, title=title, overwrite=self._overwrite)


def _words(report: FileReport) -> str:
    masked = sum(plane["masked"] for plane in report.planes)
    sizes = sum(plane["size"][0] * plane["size"][1] * plane["size"][2] for plane in report.planes)
    share = 100 * masked / max(1, sizes)
    return {
        "done": f"{report.filled} pixels filled ({share:.2g} %), {report.seconds:.1f} s -> {report.out}",
        "copied": f"nothing to fill, copied -> {report.out}",
        "skipped": f"already done: {report.out}",
        "planned": f"{masked} pixels to fill ({share:.2g} %), profile {report.profile}; dry run, no output",
    }[report.status]
