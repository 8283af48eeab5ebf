"""A status of the contract in, what its answer looks like out: its codes, its headers, its body."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from bento.headers import REQUEST_ID

Schema = dict[str, Any]

RETRY_AFTER = "Retry-After"
HEADERS: dict[str, Schema] = {
    REQUEST_ID: {
        "description": "the request's name in logs: the client's own, if it sent a sane one",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    RETRY_AFTER: {
        "description": "seconds to wait before the same request may succeed",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}},
    "Allow": {"description": "the methods of this address", "required": True, "schema": {"type": "string"}},
    "RateLimit": {
        "description": 'what is left of the limits, such as `"rate";r=3;t=2`',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "the limits", "schema": {"type": "string"}},
    "Server-Timing": {"description": "`timings_ms` as browsers show them", "schema": {"type": "string"}},
}
LIMIT_HEADERS = ("RateLimit", "RateLimit-Policy")
TIMING_HEADERS = ("Server-Timing",)  # of searches

# Status -> codes, what it means, headers beside the request's id.
_ERRORS: dict[int, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    400: (("malformed",), "The request does not have the form asked for; sent again it fails again.", ()),
    401: (("unauthorized",), "No valid key or token was given.", ("WWW-Authenticate",)),
    403: (("forbidden", "key_disabled"), "The key, the token or the address asked for does not allow this.", ()),
    404: (("not_found",), "A named thing does not exist, or no longer.", ()),
    405: (("method_not_allowed",), "The address does not take this method.", ("Allow",)),
    408: (("upload_too_slow",), "The request was not sent in time; the connection is closed.", ()),
    409: (("conflict", "gate"), "The store was changed in between, or the gallery did not pass the gate.", ()),
    413: (("too_large",), "More bytes or pixels than the limit; send a smaller photo.", ()),
    415: (("not_an_image",), "The bytes are no picture that can be decoded.", ()),
    422: (("out_of_range", "refused"), "The form is right and a value is not possible for this gallery.", ()),
    429: (
        ("overloaded", "rate_limited", "quota_exceeded"),
        "Refused early: too many searches in progress, or the limit of this client is reached.",
        (RETRY_AFTER, *LIMIT_HEADERS),
    ),
    503: (("not_ready",), "The model server, the gallery or the store is not ready; try again.", (RETRY_AFTER,)),
    504: (("deadline_exceeded",), "The answer would have come too late.", ()),
}


def error_answers() -> dict[str, Schema]:
    """All errors by the names that `error_references` uses."""
    return {_name(status): _error(status) for status in _ERRORS}


def error_references(statuses: Iterable[int]) -> dict[str, Schema]:
    """The `responses` of an operation that may fail with these."""
    return {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(set(statuses))}


def success(description: str, content: dict[str, Schema], *, limited: bool, timed: bool) -> Schema:
    """The answer 200; `limited` also says what is left of the client's limits, `timed` how long its parts took."""
    return {
        "description": description,
        "headers": _headers(REQUEST_ID, *(LIMIT_HEADERS if limited else ()), *(TIMING_HEADERS if timed else ())),
        "content": content,
    }


def _error(status: int) -> Schema:
    codes, description, headers = _ERRORS[status]
    with_code = {"properties": {"error": {"properties": {"code": {"enum": list(codes)}}}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/ErrorResponse"}, with_code]}
    return {
        "description": f"{description} Codes: {', '.join(codes)}.",
        "headers": _headers(REQUEST_ID, *headers),
        "content": {"application/json": {"schema": schema}},
    }


def _headers(*names: str) -> dict[str, Schema]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")
