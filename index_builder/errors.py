"""What can be wrong with a gallery or a store, on top of the errors of `catalog`."""

from __future__ import annotations

from catalog.errors import NotReadyError, ShopcamError


class GalleryError(NotReadyError):
    """A gallery is damaged, incomplete, or does not fit the networks or this program."""


class JournalError(GalleryError):
    """A batch of the journal is damaged, missing, or does not fit a gallery."""


class ConflictError(ShopcamError):
    """Somebody else changed the store in between, or the name is taken."""

    status, code = 409, "conflict"


class StoreError(NotReadyError):
    """The store was not reached, refused, or answered what makes no sense."""


class GateError(ShopcamError):
    """A gallery did not pass the gate before it would have become live."""

    status, code = 409, "gate"
