"""SageMaker's POST /invocations: one address for all operations, since an endpoint there has no other.

The body is a JSON envelope, `{"operation": "search", "image": BASE64, ...}`, or the bytes of a photo. The fields beside
a photo then stand in the query string or, as InvokeEndpoint has none, in its CustomAttributes: `weight=2&top_k=5`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from bento.deadlines import timeout_of
from bento.pages import body
from bento.pipeline import SearchPipeline
from bento.requests import MAX_FIELDS, MAX_FIELDS_BYTES, json_fields, once, parse_options, read_body, search_of
from bento.schemas import Operation, ProductOptions, TextOptions
from bento.threads import in_thread
from catalog.errors import MalformedError, TooLargeError

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
PHOTO_TYPES = ("image/", "application/x-image", "application/octet-stream")
BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
WHITESPACE = str.maketrans("", "", " \t\r\n")


async def invoke(pipeline: SearchPipeline, request: Request) -> Response:
    """Do what the envelope asks, as the route of that name does; raises a ShopcamError for everything else."""
    settings = pipeline.settings
    timeout_s = timeout_of(request.headers, default_s=settings.timeout_s, most_s=settings.longest_s)
    fields = await _envelope(request, timeout_s=settings.timeout_s)
    operation = _operation(fields.pop("operation", Operation.SEARCH))
    if operation is Operation.SEARCH:
        return body(await pipeline.search(search_of(fields), timeout_s=timeout_s))
    if operation is Operation.SEARCH_TEXT:
        return body(await pipeline.search_text(parse_options(fields, TextOptions), timeout_s=timeout_s))
    if operation in (Operation.PRODUCT, Operation.PICTURE):
        product_id = parse_options(fields, ProductOptions).product_id
        if operation is Operation.PRODUCT:
            return body(await pipeline.product(product_id))
        return Response(await pipeline.picture(product_id), media_type="image/jpeg")
    if fields:
        raise MalformedError(f"operation {operation} takes no fields, got {sorted(fields)[0][:80]!r}")
    return body(await (pipeline.gallery() if operation is Operation.GALLERY else pipeline.categories()))


async def _envelope(request: Request, *, timeout_s: float) -> dict[str, Any]:
    """All fields of a request, `image` as bytes."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    is_photo = kind.startswith(PHOTO_TYPES)
    if not is_photo and kind != "application/json":
        raise MalformedError(f"expected application/json or image/jpeg, got {kind or 'no content type'}")
    beside = _beside(request)
    content = await read_body(request, timeout_s=timeout_s)
    if is_photo:
        return once([*beside, ("image", content)])
    # In a thread: to unpack a photo of megabytes holds others up.
    fields = await in_thread(lambda: _unpacked(content), name="envelope")
    return once([*beside, *fields.items()])


def _beside(request: Request) -> list[tuple[str, Any]]:
    """Fields of the query string and of CustomAttributes."""
    said = (request.url.query, request.headers.get(ATTRIBUTES, ""))
    try:
        return [pair for part in said for pair in parse_qsl(part, keep_blank_values=True, max_num_fields=MAX_FIELDS)]
    except ValueError as error:
        raise MalformedError(f"the fields beside the body cannot be read: {error}") from None


def _unpacked(content: bytes) -> dict[str, Any]:
    # A photo is base64; everything else is short, or it would be parsed for seconds.
    if len(content.translate(None, BASE64)) > MAX_FIELDS_BYTES:
        raise TooLargeError(f"the fields beside the image have more than {MAX_FIELDS_BYTES:,} bytes")
    fields = json_fields(content)
    if fields.get("image") not in (None, ""):
        fields["image"] = _photo(fields["image"])
    return fields


def _photo(said: object) -> bytes:
    """Base64 with or without line breaks, or a browser's data URL of it."""
    if isinstance(said, str):
        text = said.partition(",")[2] if said.startswith("data:") else said
        try:
            return base64.b64decode(text.translate(WHITESPACE), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise MalformedError("image must be the photo's bytes as base64")


def _operation(said: object) -> Operation:
    try:
        return Operation(str(said))
    except ValueError:
        raise MalformedError(f"unknown operation {str(said)[:40]!r}; known are {', '.join(Operation)}") from None
