"""A photo in, a table of hits on the terminal out, over HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from bento.schemas import ErrorResponse
from bento.settings import API_KEY_VARIABLE
from catalog.errors import MalformedError, NotFoundError, NotReadyError, UnauthorizedError

TIMEOUT_S = 60.0
BUSY = (429, 503, 504)
PIPE_COLUMNS = 110
MAX_ID, MAX_TITLE, MAX_CATEGORY, MIN_TEXT = 20, 44, 30, 8
GAP = 2
NUMBERS = ("price", "score", "image", "text")
COLUMNS = ("", "product", "title", "category", *NUMBERS)
PRODUCT, TITLE, CATEGORY = 1, 2, 3


def search(url: str, photo: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """POST a photo to a running service and return the body of its answer. The API key is that of the environment.

    Raises NotFoundError without the photo, NotReadyError without the service or when it is busy, UnauthorizedError
    without a key that it knows, MalformedError with the service's own sentence when it refuses.
    """
    try:
        data = photo.read_bytes()
    except OSError as error:
        raise NotFoundError(f"the photo {photo} cannot be read: {error.strerror}") from None
    form = {name: str(value) for name, value in fields.items() if value is not None}
    files = {"image": (photo.name, data)}
    headers = _key_header()
    try:
        answer = httpx.post(f"{url.rstrip('/')}/search", files=files, data=form, headers=headers, timeout=TIMEOUT_S)
    except httpx.ConnectTimeout:
        raise NotReadyError(f"no service answers at {url}: nobody took the connection") from None
    except httpx.TimeoutException:
        raise NotReadyError(f"{url} did not answer within {TIMEOUT_S:g} s") from None
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise NotReadyError(f"no service answers at {url} ({error}); start one with `make serve`") from None
    return _body(answer, url)


def _key_header() -> dict[str, str]:
    """The header of the environment's key; MalformedError, without the key, for one that no header can hold."""
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise MalformedError(f"{API_KEY_VARIABLE} holds characters that no key has")
    return {"X-API-Key": key} if key else {}


def _body(answer: httpx.Response, url: str) -> dict[str, Any]:
    """The answer of a search, or what is wrong as one of our errors."""
    try:
        if answer.is_success and isinstance(body := answer.json(), dict) and "hits" in body:
            return body
        error = ErrorResponse.model_validate_json(answer.content).error
    except ValueError:
        raise MalformedError(f"{url} is not a shopcam service: it answered {answer.status_code}") from None
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise UnauthorizedError(f"{error.message}; `bento search` sends the one in {API_KEY_VARIABLE}")
    if answer.status_code in BUSY:
        wait_s = answer.headers.get("retry-after", "")
        again = f"; it asks to be asked again after {wait_s} s" if wait_s.isdecimal() else ""
        raise NotReadyError(f"{error.message}{again}")
    raise MalformedError(error.message)


def print_json(body: Mapping[str, Any]) -> None:
    """The body as it came, on standard output."""
    sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=2) + "\n")


def print_hits(
    body: Mapping[str, Any], *, photo: Path, category: str | None = None, console: Console | None = None
) -> None:
    """The hits as a table, with what was recognized above and the time it took below.

    `category` is what was asked for, so that words without a meaning are said to have none.
    """
    console = console or _console()
    console.print(Text.assemble((photo.name, "bold"), "  ", *_recognized(body, category)))
    rows = [_row(rank, hit) for rank, hit in enumerate(body["hits"], start=1)]
    console.print(_table(rows, columns=console.width))
    spent = body["timings_ms"]
    stages = ", ".join(f"{name} {spent[name]:.0f}" for name in ("decode", "models", "search"))
    told = f"gallery {body['gallery_version']}, weight {body['weight']:g}, {spent['total']:.0f} ms ({stages})"
    console.print(Text(told, style="dim"))


def _console() -> Console:
    """A file or a pipe has no width of its own: give it one that no number has to shrink for."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, PIPE_COLUMNS))


def _table(rows: list[tuple[str, ...]], *, columns: int) -> Table:
    """Titles and categories shrink where the terminal is narrow; numbers never do."""
    widths = [max(cell_len(cell) for cell in cells) for cells in zip(COLUMNS, *rows, strict=True)]
    widths[PRODUCT] = min(widths[PRODUCT], MAX_ID)
    left = columns - sum(widths) + widths[TITLE] + widths[CATEGORY] - GAP * (len(COLUMNS) - 1)
    widths[CATEGORY] = min(widths[CATEGORY], MAX_CATEGORY, max(MIN_TEXT, left * 2 // 5))
    widths[TITLE] = min(widths[TITLE], MAX_TITLE, max(MIN_TEXT, left - widths[CATEGORY]))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, width in zip(COLUMNS, widths, strict=True):
        justify: JustifyMethod = "right" if name in ("", *NUMBERS) else "left"
        table.add_column(name, justify=justify, min_width=width, max_width=width, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a seller's brackets are no markup
    return table


def _row(rank: int, hit: Mapping[str, Any]) -> tuple[str, ...]:
    category = hit["category_path"].split(">")[-1].strip()
    return (str(rank), hit["product_id"], hit["title"], category, *_numbers(hit))


def _recognized(body: Mapping[str, Any], category: str | None) -> list[str | tuple[str, str]]:
    said: list[str | tuple[str, str]] = []
    if body["label"] is not None:
        said = ["looks like ", (body["label"], "cyan"), f" ({body['label_score']:.0%})"]
    if body["abstained"]:
        return [*said, ", not sure, so searched by picture alone"]
    if category is not None and body["category"] is None:
        return [*said, f", searched by picture alone: no word of {category!r} is known"]
    if body["category"] not in (None, body["label"]):
        said += [", searched as ", (body["category"], "cyan")]
    return said


def _numbers(hit: Mapping[str, Any]) -> tuple[str, str, str, str]:
    price = "" if hit["price"] is None else f"{hit['price']:.2f}"
    text = "no text" if hit["text_score"] is None else f"{hit['text_score']:.3f}"
    return price, f"{hit['score']:.3f}", f"{hit['image_score']:.3f}", text
