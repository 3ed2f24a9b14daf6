"""`gencosmo validate`: an image of the user's, a table to read, a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from gencosmo.commands.console import note, print_json, print_warning, progress_display, stop_on_signal
from gencosmo.io.atomic import check_output
from gencosmo.io.axes import Section
from gencosmo.io.fits import ReadOptions, read_fits
from gencosmo.io.registry import format_of
from gencosmo.io.stack_format import read_stack
from gencosmo.priors import load_prior
from gencosmo.tasks.figures import FillerFigures, KindFigures, Validation
from gencosmo.tasks.validate import validate

__all__ = ["Asked", "run_validate", "validation_lines"]


@dataclass(frozen=True)
class Asked:
    """Options of the task, as `gencosmo.validate` takes them."""

    prior: str = "sky"
    kinds: tuple[str, ...] | None = None
    pixels: int = 4000
    minutes: float = 3.0
    turns: int = 1
    seed: int = 0
    device: str = "auto"


def run_validate(
    path: str,
    options: ReadOptions,
    asked: Asked,
    *,
    region: Section | None = None,
    picture: str | None = None,
    overwrite: bool = False,
    as_json: bool = False,
    progress: str = "auto",
) -> Validation:
    """Read (rows and columns of `region`, or all), validate, tell.

    Raises
    ------
    GencosmoError
        What reading and `gencosmo.validate` raise; `exists` when the picture is there.
    """
    if picture is not None:
        check_output(picture, overwrite=overwrite, inputs=[path])
    reads = read_fits if format_of(path).name == "fits" else read_stack
    image = reads(path, options, region)
    name = os.path.basename(path)
    with stop_on_signal() as cancel, progress_display(progress, name) as shown:
        prior = load_prior(asked.prior, asked.device, turns=asked.turns)
        found = validate(
            image, prior=prior, kinds=asked.kinds, pixels=asked.pixels, minutes=asked.minutes, seed=asked.seed,
            progress=shown, cancel=cancel,
        )  # fmt: skip
    if picture is not None:
        from gencosmo.report import validation_picture

        validation_picture(picture, found, title=name, overwrite=overwrite)
    if as_json:
        print_json({"path": path, **found.as_dict()})
    else:
        print("\n".join(validation_lines(found)))
    for text in found.notes:
        print_warning("validation", text)
    if picture is not None:
        note(f"picture: {picture}")
    return found


HEAD = (
    f"{'holes':9}{'pixels':>8}  {'filler':14}{'rms':>8}{'on sky':>8}{'sources':>9}{'typical':>9}{'bias':>8}"
    f"{'flux bias':>11}   intervals hold 68 / 95 %"
)


def validation_lines(found: Validation) -> list[str]:
    """The table; errors in units of a pixel's noise (typical: 68 % are smaller; no bright star decides it), flux bias
    in per cent.
    """
    facts = found.facts
    lines = [f"prior {facts['prior']}; errors in units of a pixel's noise (1 = as good as a second look)", HEAD]
    for kind in found.kinds:
        best = kind.best_classical
        for name, figures in kind.fillers.items():
            first = f"{kind.kind:9}{kind.hidden:8}" if name == "gencosmo" else " " * 17
            tail = _coverage(kind) if name == "gencosmo" else "   best classical" if name == best else ""
            lines.append(f"{first}  {name:14}{_row(figures)}{tail}")
    return [*lines, *_verdict(found.kinds)]


def _row(figures: FillerFigures) -> str:
    numbers = (figures.rms, figures.rms_sky, figures.rms_sources)
    told = "".join(f"{'-' if x is None else format(x, '.3f'):>{w}}" for x, w in zip(numbers, (8, 8, 9), strict=True))
    flux = "-" if figures.flux_bias is None else f"{100 * figures.flux_bias:+.1f}%"
    return f"{told}{figures.typical:9.3f}{figures.bias:+8.3f}{flux:>11}"


def _coverage(kind: KindFigures) -> str:
    on = "" if kind.sources68 is None or kind.sources95 is None else (
        f", on sources {100 * kind.sources68:.0f} / {100 * kind.sources95:.0f}"
    )  # fmt: skip
    return f"   {100 * kind.interval68:.0f} / {100 * kind.interval95:.0f}{on}"


def _verdict(kinds: Iterable[KindFigures]) -> list[str]:
    """One sentence for each kind that a classical filler does better."""
    worse = [k for k in kinds if k.fillers["gencosmo"].rms > 1.02 * k.fillers[k.best_classical].rms]
    return [
        f"{kind.kind}: {kind.best_classical} is better here "
        f"(rms {kind.fillers[kind.best_classical].rms:.3f} against {kind.fillers['gencosmo'].rms:.3f}, "
        f"typical error {kind.fillers[kind.best_classical].typical:.3f} against {kind.fillers['gencosmo'].typical:.3f})"
        for kind in worse
    ]
