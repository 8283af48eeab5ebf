"""What a person got wrong: one sentence, exit status 2."""

from __future__ import annotations


class LoadTestError(Exception):
    """A mistake of a person; `str` is the sentence to show."""
