"""The one tree of errors: every mistake a person can make is a `ShopcamError` with one clear sentence.

A class carries the HTTP status and the code of the JSON error body, so that one handler in `bento/` and one in
`catalog/terminal.py` can report all of them. Rooms downstream add subclasses beside the code that raises them.
"""

from __future__ import annotations

from typing import ClassVar


class ShopcamError(Exception):
    """Base of all errors meant for a person; `str(error)` is the sentence to show.

    `retry_after_s` says when a retry may succeed and becomes the header `Retry-After`.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MalformedError(ShopcamError):
    """The request or file does not have the form asked for."""

    status, code = 400, "malformed"


class UnauthorizedError(ShopcamError):
    """No valid credentials were given."""

    status, code = 401, "unauthorized"


class ForbiddenError(ShopcamError):
    """The credentials do not allow this."""

    status, code = 403, "forbidden"


class NotFoundError(ShopcamError):
    """A named thing does not exist."""

    status, code = 404, "not_found"


class TooLargeError(ShopcamError):
    """More bytes or pixels than the limit."""

    status, code = 413, "too_large"


class NotAnImageError(ShopcamError):
    """The bytes are not a picture that can be decoded."""

    status, code = 415, "not_an_image"


class OutOfRangeError(ShopcamError):
    """A value has the right type but is outside its range."""

    status, code = 422, "out_of_range"


class OverloadedError(ShopcamError):
    """More work than can be carried; refused early."""

    status, code = 429, "overloaded"


class NotReadyError(ShopcamError):
    """The model server or the gallery is not ready."""

    status, code = 503, "not_ready"


class DeadlineError(ShopcamError):
    """The answer would come too late."""

    status, code = 504, "deadline_exceeded"
