"""What can be wrong with a swap, on top of the errors of `catalog` and of stores."""

from __future__ import annotations

from catalog.errors import ShopcamError


class RefusedError(ShopcamError):
    """A gallery is not fit to answer here, so the one before it goes on."""

    status, code = 422, "refused"
