"""A seller's title and category path in, clean words out: what word vectors are trained on and asked with.

The rule of the one-shot multimodal paper: lower case, stop words out, digits and symbols out, title and category in
one sentence. Its "non-English characters out" is the option `ascii_only`; by default letters of every script stay.
"""

from __future__ import annotations

import unicodedata

_ENGLISH = """
a about above after again against all also am an and any are aren as at be because been before being below between
both but by can could couldn did didn do does doesn doing don down during each either else ever every few for from
further get got had hadn has hasn have haven having he her here hers herself him himself his how however if in into is
isn it its itself just let like ll may me might more most much must my myself neither no nor not now of off on once
one only or other our ours ourselves out over own per re same shall she should shouldn so some such than that the
their theirs them themselves then there these they this those through thru to too under until up upon us ve very via
was wasn we were weren what when where whether which while who whom whose why will with within without won would
wouldn yet you your yours yourself yourselves
"""
_SELLER = """
amazing authentic bargain best brand buy cheap clearance collection deal deals discount exclusive express fast free
genuine great guarantee guaranteed hot lot lots lowest new newest nice nwot nwt oem offer official original pc pcs
perfect piece pieces popular premium price promo promotion quality sale seller ship shipped shipping special store
super top trendy uk usa warranty wholesale worldwide wow
"""
STOP_WORDS = frozenset((_ENGLISH + _SELLER).split())


def words(text: str, *, ascii_only: bool = False) -> list[str]:
    """Words of `text` in order: lower case, NFKC, without stop words, digits, symbols and single letters.

    Marks stay with their letters, so Devanagari and Thai survive, and a run of ideographs is one word. A single letter
    stays only in scripts without case, where it can be a word. With `ascii_only`, accents are folded to their
    letters first and what is not a-z then separates words. Cleaning clean words changes nothing.
    """
    text = _normal(text)
    text = unicodedata.normalize("NFKD", text).translate(_ASCII_LETTERS) if ascii_only else text.translate(_LETTERS)
    found = (_without_leading_marks(word) for word in text.split())
    return [word for word in found if _is_wordlike(word) and word not in STOP_WORDS]


def sentence(title: str, category_path: str, *, ascii_only: bool = False) -> str:
    """Clean words of the title, then those of the category path, joined by single spaces; "" where none is left."""
    return " ".join(words(title, ascii_only=ascii_only) + words(category_path, ascii_only=ascii_only))


def _normal(text: str) -> str:
    """NFKC, lower case, no invisible joiners; repeated until stable, since each step can call for another."""
    for _ in range(4):
        after = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).lower()
        if after == text:
            break
        text = after
    return text


class _Invisible(dict[int, str]):
    """Drops format characters (joiners, soft hyphens, byte order marks), which stand inside words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = "" if unicodedata.category(character) == "Cf" else character
        return self[code]


class _Letters(dict[int, str]):
    """Keeps letters and their marks; anything else separates words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if unicodedata.category(character)[0] in "LM" else " "
        return self[code]


class _AsciiLetters(dict[int, str]):
    """Keeps a-z; drops marks, which NFKD has parted from their letters; anything else separates words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        other = "" if unicodedata.category(character)[0] == "M" else " "
        self[code] = character if "a" <= character <= "z" else other
        return self[code]


# Tables fill on first sight of a character: at most one entry for each code point of Unicode.
_INVISIBLE, _LETTERS, _ASCII_LETTERS = _Invisible(), _Letters(), _AsciiLetters()


def _without_leading_marks(word: str) -> str:
    start = 0
    while start < len(word) and unicodedata.category(word[start])[0] == "M":
        start += 1
    return word[start:]


def _is_wordlike(word: str) -> bool:
    if len(word) > 1 and word.isascii():
        return True
    letters = [character for character in word if unicodedata.category(character)[0] == "L"]
    return len(letters) > 1 or (len(letters) == 1 and unicodedata.category(letters[0]) == "Lo")
