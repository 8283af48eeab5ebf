"""Cleaning rules, by examples worked out by hand and by properties over all of Unicode."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.texts import STOP_WORDS, sentence, words

ANY_TEXT = st.text(max_size=60)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NEW!! Men's Leather Watch 42mm, free shipping", ["men", "leather", "watch", "mm"]),
        ("a b c of the", []),
        ("", []),
        ("iPhone12Pro case", ["iphone", "pro", "case"]),
        ("Größe: Übergröße", ["größe", "übergröße"]),
        ("\uff37\uff21\uff34\uff23\uff28", ["watch"]),  # full-width letters are NFKC letters
        ("e\u0301le\u0301gant", ["élégant"]),  # composed, whichever way it was typed
        ("घड़ी चमड़ा", ["घड\u093cी", "चमड\u093cा"]),  # Devanagari vowel signs are marks, NFKC parts the nukta
        ("นาฬิกาข้อมือ", [unicodedata.normalize("NFKC", "นาฬิกาข้อมือ")]),
        ("男士手表 防水", ["男士手表", "防水"]),
        ("茶", ["茶"]),  # one ideograph is a word, one Latin letter is not
        ("soft\u00adware می\u200cخواهم", ["software", "میخواهم"]),  # noqa: RUF001 - invisible joiners stand inside words
        ("❤️ 1️⃣ ★ ½ ² x²", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Café crème 手表 watch", ["cafe", "creme", "watch"]), ("घड़ी", []), ("Größe", ["gro"])],
)
def test_words_of_the_paper_are_ascii(text, expected):
    assert words(text, ascii_only=True) == expected


def test_sentence_is_title_then_category():
    assert sentence("New Gold Ring #5", "Jewelry > Rings & Bands") == "gold ring jewelry rings bands"
    assert sentence("the 12", "") == ""


@given(ANY_TEXT, st.booleans())
def test_cleaning_clean_words_changes_nothing(text, ascii_only):
    once = words(text, ascii_only=ascii_only)
    assert words(" ".join(once), ascii_only=ascii_only) == once


@given(ANY_TEXT, st.booleans())
def test_only_letters_and_marks_survive(text, ascii_only):
    for word in words(text, ascii_only=ascii_only):
        assert {unicodedata.category(character)[0] for character in word} <= {"L", "M"}
        assert unicodedata.category(word[0])[0] == "L"
        assert word == word.lower()
        assert word not in STOP_WORDS
        assert word.isascii() or not ascii_only
