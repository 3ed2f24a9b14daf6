"""`gencosmo denoise`: files through `gencosmo.batch`, pictures and words."""

from __future__ import annotations

from collections.abc import Sequence

from gencosmo.batch import FileReport, Job
from gencosmo.commands.inpaint import Pictures
from gencosmo.commands.reading import parse_camera
from gencosmo.commands.runs import Run, Task, run_files
from gencosmo.errors import UsageError
from gencosmo.io.camera import Camera
from gencosmo.io.registry import kind_of

__all__ = ["Run", "camera_for", "run_denoise"]


def camera_for(
    inputs: Sequence[str],
    noise: str | None,
    gain: float | None,
    offset: float | None,
    read_noise: float | None,
    *,
    told: bool,
) -> Camera | None:
    """The camera that the options name; without any, and without a noise image (`told`), the one the files name.

    FITS files have noise planes and need none.

    Raises
    ------
    UsageError
        `bad_noise`; also when some inputs would need a camera, and others not.
    """
    if noise is not None or gain is not None or told:
        return parse_camera(noise, gain, offset, read_noise)
    planes = {kind_of(path) in (None, "fits") for path in inputs}
    if len(planes) > 1:
        raise UsageError(
            "FITS files and stacks are denoised together, and nothing is said about their noise",
            code="bad_noise",
            hint="run them apart, or give --noise",
        )
    if planes == {True}:
        return parse_camera(noise, gain, offset, read_noise)
    return parse_camera("file", gain, offset, read_noise)


def run_denoise(run: Run, job: Job) -> None:
    """Process the inputs and tell about each; raises as :func:`gencosmo.commands.runs.run_files`."""
    run_files(run, job, Task(Pictures, _words))


def _words(report: FileReport) -> str:
    laws = dict.fromkeys(f"{plane['noise']}" for plane in report.planes)
    noise = "; ".join(list(laws)[:4]) + (" ..." if len(laws) > 4 else "")
    return {
        "done": f"{report.filled} pixels denoised, {noise}, {report.seconds:.1f} s -> {report.out}",
        "skipped": f"already done: {report.out}",
        "planned": f"{len(report.planes)} planes, {noise}; dry run, no output",
    }[report.status]
