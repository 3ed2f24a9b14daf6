"""FITS header cards as they lie in the file: read without interpreting more than asked, edited in place.

A header that goes through a general parser and back may lose what the parser does not understand (SIP terms,
odd comments, illegal but meaningful cards). Here every card that is not edited keeps its 80 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gencosmo.errors import InputError

__all__ = ["BLOCK", "Cards", "format_card"]

BLOCK = 2880
Value = bool | int | float | str

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$")


class Cards:
    """The cards of one header, END and padding not included."""

    def __init__(self, raw: bytes) -> None:
        text = raw.decode("latin-1")
        self._cards = [text[i : i + 80] for i in range(0, len(text), 80)]
        self._where: dict[str, int] = {}
        self._index()

    def _index(self) -> None:
        self._where = {}
        for place, card in enumerate(self._cards):
            if card[8:10] == "= ":
                self._where.setdefault(card[:8].rstrip(), place)
            elif card.startswith("HIERARCH ") and "=" in card:
                self._where.setdefault(card[9:].split("=", 1)[0].strip(), place)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keywords that carry a value."""
        return iter(self._where)

    def get(self, key: str, default: Value | None = None) -> Value | None:
        """Return the value of a keyword; `default` when it is absent, undefined or cannot be understood."""
        place = self._where.get(key)
        if place is None:
            return default
        card = self._cards[place]
        value = _parse(card.split("=", 1)[1] if card.startswith("HIERARCH ") else card[10:])
        if isinstance(value, str):
            value = self._continued(value, place)
        return default if value is None else value

    def text(self, key: str, default: str = "") -> str:
        """Return the value as stripped text."""
        value = self.get(key)
        return default if value is None else str(value).strip()

    def number(self, key: str, default: float | None = None) -> float | None:
        """Return the value as a float, `default` when it is absent.

        Raises
        ------
        InputError
            When the card is there and is not a number.
        """
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            raise InputError(f"{key}={value!r} is not a number", code="bad_header")
        return float(value)

    def integer(self, key: str, default: int | None = None) -> int | None:
        """Return the value as an int; raise `InputError` when it is something else."""
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{key}={value!r} is not an integer", code="bad_header")
        return value

    def _continued(self, value: str, place: int) -> str:
        while value.endswith("&") and place + 1 < len(self._cards):
            place += 1
            if not self._cards[place].startswith("CONTINUE"):
                break
            more = _parse(self._cards[place][8:])
            value = value[:-1] + (more if isinstance(more, str) else "")
        return value

    def set(self, key: str, value: Value, comment: str = "", *, after: str | None = None) -> None:
        """Replace the card of `key`, or add one at the end or after another; other cards keep their bytes."""
        place = self._where.get(key)
        if place is None:
            end = len(self._cards) if after is None else self._where[after] + 1
            self._cards.insert(end, format_card(key, value, comment))
        else:
            old = self._cards[place]
            self._cards[place] = format_card(key, value, comment or _comment(old))
        self._index()

    def rename(self, key: str, new: str, value: Value, comment: str = "") -> None:
        """Put a card with another keyword in the place of `key`."""
        self._cards[self._where[key]] = format_card(new, value, comment)
        self._index()

    def remove(self, *keys: str) -> None:
        """Remove the cards of these keywords, if they are there."""
        places = {self._where[key] for key in keys if key in self._where}
        self._cards = [card for place, card in enumerate(self._cards) if place not in places]
        self._index()

    def filtered(self, keep: Callable[[str], bool]) -> Cards:
        """Return a copy with the keywords that `keep` accepts; commentary has its keyword too."""
        return Cards("".join(card for card in self._cards if keep(card[:8].rstrip())).encode("latin-1"))

    def raw(self) -> bytes:
        """Return the cards alone, without END and padding."""
        return "".join(self._cards).encode("latin-1")

    def add_history(self, text: str) -> None:
        """Append HISTORY cards, 72 characters each."""
        plain = text.encode("ascii", "replace").decode()
        for start in range(0, len(plain), 72):
            self._cards.append(f"HISTORY {plain[start : start + 72]}".ljust(80))

    def copy(self) -> Cards:
        """Return an independent copy."""
        return Cards(self.raw())

    def tobytes(self) -> bytes:
        """Return the header as it is written: cards, END, blanks to a full block."""
        raw = self.raw() + b"END".ljust(80)
        return raw.ljust(-(-len(raw) // BLOCK) * BLOCK, b" ")


def _parse(field: str) -> Value | None:
    field = field.strip()
    if field.startswith("'"):
        match = re.match(r"'((?:[^']|'')*)'", field)
        return match.group(1).replace("''", "'").rstrip() if match else None
    word = field.split("/", 1)[0].strip()
    if word in ("T", "F"):
        return word == "T"
    if not _NUMBER.match(word):
        return word or None
    if re.match(r"[+-]?\d+$", word):
        return int(word)
    return float(word.upper().replace("D", "E"))


def _comment(card: str) -> str:
    field = card[10:]
    quoted = re.match(r"\s*'(?:[^']|'')*'", field)
    rest = field[quoted.end() :] if quoted else field
    return rest.split("/", 1)[1].strip() if "/" in rest else ""


def format_card(key: str, value: Value, comment: str = "") -> str:
    """Return one 80-character card in fixed format.

    Raises
    ------
    ValueError
        When the key or the value does not fit: a fault of the caller, not of a file.
    """
    if not re.match(r"[A-Z0-9_-]{1,8}$", key):
        raise ValueError(f"{key!r} is not a FITS keyword")
    if isinstance(value, bool):
        field = f"{'T' if value else 'F':>20}"
    elif isinstance(value, int):
        field = f"{value:>20d}"
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{key}={value} cannot be written to a header")
        field = f"{value!r:>20}".upper()
    else:
        quoted = value.replace("'", "''")
        field = f"'{quoted:<8}'".ljust(20)
    card = f"{key:<8}= {field}"
    if len(card) > 80:
        raise ValueError(f"{key}={value!r} is too long for one card")
    return (f"{card} / {comment}" if comment else card)[:80].ljust(80)
