"""What an error came through is let go of at once, though a ring of the error and a frame holds it."""

from __future__ import annotations

import gc
import weakref

import pytest

from bento.threads import empty_frames


class Gallery:
    """Stands for what must not stay open."""


def fail(found: list[weakref.ref[Gallery]]) -> None:
    gallery = Gallery()
    found.append(weakref.ref(gallery))
    try:
        raise OSError("the file is short")
    except OSError as error:
        ring = ValueError("not a gallery")
        raise ring from error


@pytest.mark.parametrize("emptied", [False, True])
def test_a_ring_of_error_and_frame_holds_nothing(emptied: bool) -> None:
    found: list[weakref.ref[Gallery]] = []
    gc.collect()
    gc.disable()
    try:
        try:
            fail(found)
        except ValueError as error:
            if emptied:
                empty_frames(error)
        assert (found[0]() is None) == emptied
    finally:
        gc.enable()
        gc.collect()
