"""A seed in, a form with a photo out: odd but whole pictures, broken ones, bombs, and fields of impossible values.

Pictures that are whole must be searched (200); what is broken must be refused as such, and never with a server error.
"""

from __future__ import annotations

import io
import json
import math
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from PIL import Image

from benchmarks.serving.fuzzing.outcomes import CLOSED, Outcome, problem_of

TIMEOUT_S = 60.0
ORIENTATION = 0x0112  # the EXIF tag; 1 to 8 mean something, the others nothing
FORMATS = (("JPEG", ("RGB", "L", "CMYK")), ("PNG", ("RGB", "RGBA", "L", "P", "1", "LA")), ("WEBP", ("RGB", "RGBA")))
MEDIA_TYPES = ("image/jpeg", "text/plain", "application/pdf", "application/x-www-form-urlencoded", "image/x-none", "")
SEARCHED = frozenset({200})
REFUSED = frozenset({413, 415})
IMPOSSIBLE = frozenset({400, 422})


@dataclass(frozen=True)
class Form:
    """One POST /search and the statuses that are right for it."""

    data: bytes
    allowed: frozenset[int]
    name: str = "photo.jpg"
    media_type: str = "image/jpeg"
    fields: dict[str, str] = field(default_factory=dict)


def whole(rng: random.Random) -> Form:
    """A whole picture of any size, format, mode and orientation, whatever it is said to be."""
    fields = {"top_k": str(rng.randint(1, 200))} if rng.random() < 0.3 else {}
    return Form(
        _picture(rng), SEARCHED, rng.choice(("a.jpg", "ä.png", "../a", "a" * 200)), rng.choice(MEDIA_TYPES), fields
    )


def flipped(rng: random.Random) -> Form:
    """Some bits are wrong."""
    data = bytearray(_picture(rng))
    for _ in range(rng.randint(1, 50)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return Form(bytes(data), SEARCHED | REFUSED)


def cut_off(rng: random.Random) -> Form:
    """The end is missing."""
    data = _picture(rng)
    return Form(data[: rng.randrange(len(data))], SEARCHED | REFUSED)


def followed(rng: random.Random) -> Form:
    """Something follows that does not belong to it."""
    return Form(_picture(rng) + rng.randbytes(rng.randint(1, 5000)), SEARCHED | REFUSED)


def bomb(rng: random.Random) -> Form:
    """A few bytes that say they are a picture of gigabytes."""
    side_px = rng.choice((2**15, 2**16, 2**20, 2**31 - 1))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(bytes(rng.randint(1, 100_000))))
    return Form(b"\x89PNG\r\n\x1a\n" + header + data + _chunk(b"IEND", b""), REFUSED)


def no_picture(rng: random.Random) -> Form:
    """Nothing, zeros, noise, or a document."""
    length = rng.randint(1, 5000)
    document = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    return Form(rng.choice((b"", bytes(length), rng.randbytes(length), document, b"\xff\xd8\xff" * 9)), REFUSED)


def impossible_number(rng: random.Random) -> Form:
    """A number beyond all ranges, or none."""
    name = rng.choice(("weight", "top_k", "box"))
    value = rng.choice(("nan", "-inf", "1e309", "9" * 5000, "-1", "0x10", "1e999999999", "٣٣٣", "1,0"))
    given = ",".join([value] * 4) if name == "box" else value
    return Form(_picture(rng), IMPOSSIBLE, fields={name: given})


def deep_filters(rng: random.Random) -> Form:
    """Filters that no parser should follow to their end, or that mean nothing."""
    depth = rng.choice((10, 1_000, 100_000))
    many = json.dumps({str(number): number for number in range(2000)})
    objects, lists = '{"a":' * depth + "1" + "}" * depth, "[" * depth
    text = rng.choice((objects, lists, many, '{"price": {"lte": NaN}}', "null", '{"\\ud800": 1}'))
    return Form(_picture(rng), IMPOSSIBLE, fields={"filters": text})


def odd_words(rng: random.Random) -> Form:
    """A category of any characters: words without a meaning are no mistake, but too many are."""
    length = rng.randint(1, 250)
    text = "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x80, 0xD800), 0))) for _ in range(length))
    return Form(_picture(rng), SEARCHED if len(text) <= 200 else IMPOSSIBLE, fields={"category": text})


KINDS: dict[str, Callable[[random.Random], Form]] = {
    made.__name__: made
    for made in (
        whole, flipped, cut_off, followed, bomb, no_picture, impossible_number, deep_filters, odd_words,
    )
}  # fmt: skip


def send_form(client: httpx.Client, kind: str, seed: int) -> Outcome:
    """Send the form of a kind and a seed, and judge the answer."""
    form = KINDS[kind](random.Random(seed))
    image = (form.name, form.data, form.media_type) if form.media_type else (form.name, form.data)
    again = f"python -m benchmarks.serving fuzz --again {kind}:{seed} --url {client.base_url}"
    try:
        answer = client.post("/search", files={"image": image}, data=form.fields, timeout=TIMEOUT_S)
    except httpx.TransportError as error:
        return Outcome(kind, CLOSED, f"no answer: {error!r}", again)
    return Outcome(kind, answer.status_code, problem_of(answer.status_code, answer.content, form.allowed), again)


def _picture(rng: random.Random) -> bytes:
    name, modes = rng.choice(FORMATS)
    size_px = (_side_px(rng), _side_px(rng))
    small = Image.frombytes("RGB", (4, 4), rng.randbytes(48))
    picture = small.resize(size_px, Image.Resampling.NEAREST).convert(rng.choice(modes))
    exif = Image.Exif()
    exif[ORIENTATION] = rng.randint(0, 9)
    buffer = io.BytesIO()
    picture.save(buffer, name, exif=exif)
    return buffer.getvalue()


def _side_px(rng: random.Random) -> int:
    """Mostly small, now and then one pixel or very long."""
    return max(1, round(math.exp(rng.uniform(0, math.log(1500)))))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
