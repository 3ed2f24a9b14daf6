"""`gencosmo inpaint`: files through `gencosmo.batch`, pictures and words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gencosmo.batch import FileReport, Job
from gencosmo.commands.runs import Run, Task, run_files
from gencosmo.errors import UsageError
from gencosmo.io.atomic import check_output

if TYPE_CHECKING:
    from gencosmo.commands.score import Outputs
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


def run_inpaint(run: Run, job: Job, *, score: bool = False) -> None:
    """Process the inputs and tell about each; raises as :func:`gencosmo.commands.runs.run_files`.

    `score` puts an anomaly catalogue and map of every input beside its output.
    """
    outputs = _scores(run, job) if score and not run.dry_run else None
    run_files(run, job, Task(Pictures, _words))
    if outputs is not None:
        from gencosmo.commands.score import Scoring, run_score

        missing = [path for path in run.inputs if not run.resume or not _there(path, outputs)]
        scoring = Scoring(job.prior, job.target, seed=job.seed, device=job.device)
        run_score(missing, outputs, scoring, job.read, progress=run.progress)


def _scores(run: Run, job: Job) -> Outputs:
    """Where catalogues and maps go; refused now rather than after the repair when they are there."""
    from gencosmo.commands.score import Outputs

    single = len(run.inputs) == 1 and not os.path.isdir(run.out) and not run.out.endswith(os.sep)
    folder = os.path.dirname(run.out) or "." if single else run.out
    outputs = Outputs(folder, maps=True, overwrite=job.write.overwrite or run.resume)
    for path in run.inputs:
        for target in outputs.paths(os.path.basename(path)).values():
            check_output(target, overwrite=outputs.overwrite, inputs=[path])
    return outputs


def _there(path: str, outputs: Outputs) -> bool:
    return all(os.path.exists(target) for target in outputs.paths(os.path.basename(path)).values())


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
