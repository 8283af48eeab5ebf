"""The raw fields of a request in, checked `SearchOptions` out; a wrong form is 400, a value out of range 422."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from bento.schemas import Body, SearchOptions, TextOptions
from catalog.errors import MalformedError, OutOfRangeError, ShopcamError, TooLargeError

MAX_FIELDS = 32
MAX_FIELDS_BYTES = 1024 * 1024  # of everything but the photo
SOURCES = ("image", "url", "product_id", "query_id")
NUMBERS = ("weight", "top_k")
Options = TypeVar("Options", bound=Body)
Read = TypeVar("Read")
_RANGE_ERRORS = ("greater_than", "less_than", "enum", "finite_number", "too_long", "too_short")


@dataclass(frozen=True)
class SearchRequest:
    """One POST /search: the bytes of the photo, if it was uploaded, and the options."""

    image: bytes | None
    options: SearchOptions = field(default_factory=SearchOptions)


class SlowUploadError(ShopcamError):
    """The client did not send the whole request in time."""

    status, code = 408, "upload_too_slow"


async def read_search(request: Request, *, timeout_s: float) -> SearchRequest:
    """Read a multipart form, a urlencoded form or a JSON object.

    Raises MalformedError or OutOfRangeError, SlowUploadError when it is not there within `timeout_s`.
    """
    return search_of(await _in_time(_fields(request), timeout_s=timeout_s))


def search_of(fields: dict[str, Any]) -> SearchRequest:
    """Check the fields of a search, `image` as bytes among them."""
    image = fields.pop("image", None)
    if image is not None and not isinstance(image, bytes):
        raise MalformedError("image must be an uploaded file, as in `curl -F image=@photo.jpg`")
    given = [name for name, value in {"image": image, **fields}.items() if name in SOURCES and value not in (None, "")]
    if len(given) != 1:
        listed = " and ".join(given) if given else "none"
        raise MalformedError(f"give exactly one of {', '.join(SOURCES)}; got {listed}")
    options = parse_options(fields, SearchOptions)
    if options.box is not None and given[0] not in ("image", "url"):
        raise MalformedError(f"box needs a photo: give image or url, not {given[0]}")
    return SearchRequest(image, options)


async def read_text(request: Request, *, timeout_s: float) -> TextOptions:
    """Read the fields of a search by words; forms and errors as those of `read_search`."""
    return parse_options(await _in_time(_fields(request), timeout_s=timeout_s), TextOptions)


async def read_body(request: Request, *, timeout_s: float) -> bytes:
    """Read a whole body, whose length the door limits; errors as those of `read_search`."""
    _refuse_packed(request)
    return await _in_time(request.body(), timeout_s=timeout_s)


def parse_options(fields: Mapping[str, Any], options: type[Options]) -> Options:
    """Check the fields beside the photo; empty ones count as not given."""
    try:
        return options.model_validate({name: value for name, value in fields.items() if value not in (None, "")})
    except ValidationError as error:
        raise _sentence(error, options) from None


def _sentence(error: ValidationError, options: type[Body]) -> ShopcamError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "the request"
    if first["type"] == "extra_forbidden":
        known = ", ".join([*(["image"] if options is SearchOptions else []), *options.model_fields])
        return MalformedError(f"unknown field {name}; known are {known}")
    if first["type"] == "missing":
        return MalformedError(f"{name} is missing")
    message = f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}, got {str(first['input'])[:80]!r}"
    return OutOfRangeError(message) if any(part in first["type"] for part in _RANGE_ERRORS) else MalformedError(message)


async def _in_time(reading: Awaitable[Read], *, timeout_s: float) -> Read:
    try:
        async with asyncio.timeout(timeout_s):
            return await reading
    except TimeoutError:
        raise SlowUploadError(f"the request was not sent within {timeout_s:g} s") from None
    except ClientDisconnect:
        raise MalformedError("the request ended before it was whole") from None


def _refuse_packed(request: Request) -> None:
    """What is packed could unpack to any size."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise MalformedError(f"send the body without Content-Encoding, got {encoding[:40]!r}")


async def _fields(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    _refuse_packed(request)
    if kind == "multipart/form-data":
        return await _form_fields(request)
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded_fields(await _short_body(request))
    if kind != "application/json":
        raise MalformedError(f"expected multipart/form-data or application/json, got {kind or 'no content type'}")
    return json_fields(await _short_body(request))


def json_fields(content: bytes) -> dict[str, Any]:
    """The object of a JSON body. A form has only texts, but JSON has numbers, and then a text is none."""
    try:
        fields = json.loads(content, parse_constant=_no_json)
    except (ValueError, RecursionError):
        raise MalformedError("the body is not valid JSON") from None
    if not isinstance(fields, dict):
        raise MalformedError(f"the body must be a JSON object, got {type(fields).__name__}")
    for name in NUMBERS:
        if isinstance(value := fields.get(name), str | bool):
            raise MalformedError(f"{name} must be a number, got {json.dumps(value)[:80]}")
    return fields


def _no_json(constant: str) -> float:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(constant)


async def _form_fields(request: Request) -> dict[str, Any]:
    try:
        form = await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELDS_BYTES)
    except HTTPException as error:
        raise MalformedError(f"the form cannot be read: {error.detail}") from None
    items = form.multi_items()
    fields = once([(name, await value.read() if isinstance(value, UploadFile) else value) for name, value in items])
    misplaced = [name for name, value in fields.items() if isinstance(value, bytes) and name != "image"]
    if misplaced:
        raise MalformedError(f"a file may only be given as image, got one as {misplaced[0]}")
    return fields


def _urlencoded_fields(content: bytes) -> dict[str, Any]:
    try:
        return once(parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise MalformedError(f"the form cannot be read: {error}") from None


def once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Fields by name; MalformedError for one that was given twice."""
    fields: dict[str, Any] = {}
    for name, value in items:
        if name in fields:
            raise MalformedError(f"{name} was given twice")
        fields[name] = _unquoted(value)
    return fields


def _unquoted(value: Any) -> Any:
    """A text in a form; one that is in quotes is read as JSON, which is how BentoML's clients send texts."""
    if not (isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"'):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


async def _short_body(request: Request) -> bytes:
    """A body without a photo; without a limit of its own it would be parsed for seconds."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_FIELDS_BYTES:
            raise TooLargeError(f"the fields have more than {MAX_FIELDS_BYTES:,} bytes; a photo belongs into a form")
    return bytes(content)
