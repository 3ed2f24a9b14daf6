"""Which planes of a stack are meant: channels by number or name, times and depths by number."""

from __future__ import annotations

from collections.abc import Sequence

from gencosmo.errors import UsageError
from gencosmo.io.axes import Plane
from gencosmo.io.stack import Stack
from gencosmo.io.stack_options import StackRead

__all__ = ["channel_labels", "chosen_planes"]

_COLORS = ("red", "green", "blue", "alpha")


def channel_labels(stack: Stack) -> tuple[str, ...]:
    """Return the name of each channel as it is counted inside, "" where there is none; of colours their own."""
    samples, count = stack.axes.samples, stack.axes.inside[1]
    names = stack.details.channel_names
    if samples in (3, 4) and count == samples:
        return _COLORS[:samples]
    return tuple(names) if len(names) == count else ("",) * count


def chosen_planes(stack: Stack, options: StackRead) -> list[Plane]:
    """Return the planes that the options name; without any, all but opacity.

    Raises
    ------
    UsageError
        `channels`, `times` or `depths`: one that is not there, none at all, or a name that several channels have.
    """
    sizes = stack.axes.inside
    channels = _channels(stack, options.channels)
    for word, chosen, size in (("times", options.times, sizes[0]), ("depths", options.depths, sizes[2])):
        wrong = [n for n in chosen or () if not 0 <= n < size]
        if wrong or chosen == ():
            have = f"{size} {word}, 0 to {size - 1}" if size > 1 else f"only {word[:-1]} 0"
            raise UsageError(f"{word} {', '.join(map(str, wrong)) or 'none'}: {stack.path} has {have}", code=word)
    return [
        plane
        for plane in stack.axes.planes()
        if (plane.c % stack.axes.samples not in stack.alpha if channels is None else plane.c in channels)
        and (options.times is None or plane.t in options.times)
        and (options.depths is None or plane.z in options.depths)
    ]


def _channels(stack: Stack, asked: Sequence[int | str] | None) -> set[int] | None:
    if asked is None:
        return None
    labels = channel_labels(stack)
    asked = (asked,) if isinstance(asked, str) else asked  # one name alone is one name, and no list of letters
    if not asked:
        raise UsageError(f"channels none: {stack.path} has {_have(labels)}", code="channels")
    return {_number(stack, labels, one) for one in asked}


def _number(stack: Stack, labels: Sequence[str], asked: int | str) -> int:
    """The channel behind a number or a name; a number that counts none may be a name, as 488 is of a laser's line."""
    if isinstance(asked, int) and 0 <= asked < len(labels):
        return asked
    text = str(asked).strip()
    found = [n for n, label in enumerate(labels) if text and label == text]
    if not found:
        found = [n for n, label in enumerate(labels) if text and label.casefold() == text.casefold()]
    if len(found) == 1:
        return found[0]
    several = ", ".join(map(str, found))
    wrong = f"{text!r} is the name of channels {several}" if found else text if isinstance(asked, int) else repr(text)
    hint = "samples of RGB count as channels" if stack.axes.samples > 1 else ""
    unnamed = ", without names" if isinstance(asked, str) and not any(labels) else ""
    raise UsageError(
        f"channels {wrong}: {stack.path} has {_have(labels)}{unnamed}",
        code="channels",
        hint="choose it by number" if found else hint,
    )


def _have(labels: Sequence[str]) -> str:
    if not any(labels):
        return f"{len(labels)} channels, 0 to {len(labels) - 1}" if len(labels) > 1 else "only channel 0"
    named = [f"{n} {label}".rstrip() for n, label in enumerate(labels[:16])]
    return f"the channels {', '.join(named)}" + (", ..." if len(labels) > 16 else "")
