"""`gencosmo denoise`: stacks through `gencosmo.batch`, pictures and words."""

from __future__ import annotations

from gencosmo.batch import FileReport, Job
from gencosmo.commands.inpaint import Pictures
from gencosmo.commands.reading import parse_camera
from gencosmo.commands.runs import Run, Task, run_files
from gencosmo.io.stack_options import Camera

__all__ = ["Run", "camera_for", "run_denoise"]


def camera_for(
    noise: str | None, gain: float | None, offset: float | None, read_noise: float | None, *, told: bool
) -> Camera | None:
    """The camera that the options name; without any, and without a noise image (`told`), the one the file names.

    Raises
    ------
    UsageError
        `bad_noise`.
    """
    if noise is None and gain is None and not told:
        noise = "file"
    return parse_camera(noise, gain, offset, read_noise)


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
