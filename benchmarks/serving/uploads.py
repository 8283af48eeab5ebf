"""JPEG photos in; request bodies out that show the same picture and differ in every byte string that may be a key.

A service may remember what the networks said of a photo it has seen; a load that repeats its photos would measure that
memory. Each upload carries a comment of its own (a JPEG COM segment, which decoders pass over).
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path

BOUNDARY = "photo-boundary-of-the-benchmark"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
START_OF_IMAGE = b"\xff\xd8"
COMMENT = b"\xff\xfe"


def read_photos(folder: Path) -> list[bytes]:
    """Read a folder's JPEG files in the order of their names; FileNotFoundError where there are none."""
    photos = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    if not photos:
        raise FileNotFoundError(f"no *.jpg in {folder}")
    return photos


def commented(photo: bytes, comment: bytes) -> bytes:
    """Return a JPEG with a comment before all else; its pixels stay. ValueError for what is no JPEG."""
    if not photo.startswith(START_OF_IMAGE):
        raise ValueError("a photo is no JPEG: it does not begin with the bytes FF D8")
    length = (len(comment) + 2).to_bytes(2, "big")
    return START_OF_IMAGE + COMMENT + length + comment + photo[2:]


def comments() -> Iterator[bytes]:
    """Yield comments that no other call of this function, in whatever process, yields."""
    run = secrets.token_hex(8)
    return (f"{run}-{number}".encode() for number in itertools.count())


def multipart(photo: bytes, *, top_k: int | None = None) -> bytes:
    """Return the body of a search with a photo, for the header `CONTENT_TYPE`."""
    fields = b"" if top_k is None else _head("top_k") + str(top_k).encode() + b"\r\n"
    image = _head("image", '; filename="photo.jpg"\r\nContent-Type: image/jpeg')
    return fields + image + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


def _head(name: str, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
