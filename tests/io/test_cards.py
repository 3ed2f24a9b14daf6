import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from gencosmo.errors import InputError
from gencosmo.io.cards import Cards, format_card

from .files import sip_header


def cards_of(header: fits.Header) -> Cards:
    return Cards(header.tostring(endcard=False, padding=False).encode("latin-1"))


def test_values_are_read_as_astropy_reads_them():
    header = sip_header()
    header["YES"], header["NO"], header["QUOTE"], header["SMALL"] = True, False, "it's", -1.5e-30
    cards = cards_of(header)
    for key in header:
        if key in ("COMMENT", "HISTORY", ""):
            continue
        assert cards.get(key) == header[key], key


def test_fortran_exponents_and_odd_cards():
    raw = "".join(f"{card:80}" for card in ("A       = 1.5D3", "B       =", "C       = 'open", "D       = 1+2", "junk"))
    cards = Cards(raw.encode())
    assert cards.get("A") == 1500.0
    assert cards.get("B") is None
    assert cards.get("C") is None
    assert cards.get("D") == "1+2"


def test_a_card_that_is_edited_leaves_all_others_byte_for_byte():
    header = sip_header()
    before = header.tostring(endcard=False, padding=False)
    cards = cards_of(header)
    cards.set("BUNIT", "adu")
    cards.set("NEW", 3, "added", after="BUNIT")
    cards.add_history("line")
    after = cards.tobytes().decode()
    old = [before[i : i + 80] for i in range(0, len(before), 80)]
    new = [after[i : i + 80] for i in range(0, len(after), 80)]
    assert [c for c in new if c in old and "BUNIT" not in c] == [c for c in old if "BUNIT" not in c]
    assert len(cards.tobytes()) % 2880 == 0
    again = fits.Header.fromstring(after)
    assert again["BUNIT"] == "adu"
    assert list(again).index("NEW") == list(again).index("BUNIT") + 1


def test_the_comment_of_an_edited_card_stays():
    cards = Cards(format_card("DATE", "old", "when").encode())
    cards.set("DATE", "new")
    assert cards.tobytes()[:80].decode() == format_card("DATE", "new", "when")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x" * 80])
def test_what_no_card_can_hold_is_refused(value):
    with pytest.raises(ValueError, match="KEY"):
        format_card("KEY", value)
    with pytest.raises(ValueError, match="not a FITS keyword"):
        format_card("LONGERTHAN8", 1)


def test_wrong_kinds_name_the_card():
    cards = Cards(format_card("BSCALE", "abc").encode())
    with pytest.raises(InputError, match="BSCALE='abc' is not a number"):
        cards.number("BSCALE")
    with pytest.raises(InputError, match="is not an integer"):
        cards.integer("BSCALE")


@given(st.one_of(st.integers(-(10**17), 10**17), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive_a_card(value):
    card = format_card("KEY", value, "comment")
    assert len(card) == 80
    assert Cards(card.encode()).get("KEY") == value
    assert fits.Card.fromstring(card).value == value


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_texts_survive_a_card(text):
    assert Cards(format_card("KEY", text).encode()).get("KEY") == text.rstrip()


@given(st.binary(max_size=400))
def test_garbage_never_breaks_the_parser(raw):
    cards = Cards(raw)
    for key in cards:
        cards.get(key)
