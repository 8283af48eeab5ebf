"""The first bytes of a picture in; its format, size and orientation out, before any pixel is decoded.

Formats are chosen from an allow-list by signature and opened by their own Pillow class: `Image.open` would try dozens
of rare decoders, and would warn or raise by its own global pixel limit.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator

from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from catalog.errors import NotAnImageError, TooLargeError

try:
    from PIL import AvifImagePlugin
except ImportError:  # Pillow built without it, or older than 11.3
    AvifImagePlugin = None  # type: ignore[assignment]

MAX_JPEG_SCANS = 64  # progressive files of cameras and shops have about 10; thousands are an attack on the decoder
_EXPECTED = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_ORIENTATION_TAG = 0x0112
_MARKER_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

_Opener = Callable[[io.BytesIO], Image.Image]
_OPENERS: tuple[tuple[bytes, _Opener], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),  # MPO too: its first picture is a plain JPEG
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"GIF87a", GifImagePlugin.GifImageFile),
    (b"GIF89a", GifImagePlugin.GifImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"II*\x00", TiffImagePlugin.TiffImageFile),
    (b"MM\x00*", TiffImagePlugin.TiffImageFile),
)


def open_header(data: bytes) -> Image.Image:
    """Open `data` by its signature without decoding pixels; `NotAnImageError` where the format is not on the list."""
    for signature, opener in _OPENERS:
        if data.startswith(signature):
            return opener(io.BytesIO(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _AVIF_BRANDS and AvifImagePlugin is not None and AvifImagePlugin.SUPPORTED:
        return AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    if brand in _HEIC_BRANDS or brand in _AVIF_BRANDS:
        name = "AVIF" if brand in _AVIF_BRANDS else "HEIC"
        raise NotAnImageError(f"{name} pictures can't be read here, save or share the photo as JPEG")
    raise NotAnImageError(f"the {len(data):,} bytes are not a picture, expected {_EXPECTED}")


def early_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a GIF or WebP, whose decoders set canvas memory aside on opening; None for other formats."""
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return width, height
    if not (data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30):
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def refuse_jpeg_bomb(data: bytes) -> None:
    """`TooLargeError` for a progressive JPEG with so many scans that it would keep a core busy for minutes."""
    scans = 0
    for marker in _jpeg_markers(data):
        scans += marker == 0xDA
        if scans > MAX_JPEG_SCANS:
            raise TooLargeError(f"the JPEG has more than {MAX_JPEG_SCANS} scans, save it again as an ordinary JPEG")


def exif_orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8 of an opened picture; 1 where it has none or a broken one.

    TIFF gives 1: Pillow turns those pixels itself.
    """
    exif = image.info.get("exif")
    if image.format == "TIFF" or not isinstance(exif, bytes):
        return 1
    try:
        return _orientation_in(exif.removeprefix(b"Exif\x00\x00"))
    except struct.error:
        return 1


def is_cut_off(data: bytes) -> bool:
    """Whether the end of the file is missing, as far as its format tells."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-4096:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-4096:]
    if data.startswith(b"RIFF") and len(data) >= 8:
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if data.startswith(b"BM") and len(data) >= 6:
        return len(data) < int.from_bytes(data[2:6], "little")
    return data.startswith(b"GIF8") and not data.endswith(b";")


def _jpeg_markers(data: bytes) -> Iterator[int]:
    """Marker codes of the first picture of a JPEG, up to its end; entropy-coded data is skipped."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        code = data[at + 1]
        if code == 0xFF:  # fill byte
            at += 1
            continue
        if code == 0xD9:
            return
        yield code
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if code == 0xDA:
            found = _MARKER_AFTER_SCAN.search(data, at)
            if found is None:
                return
            at = found.start()


def _orientation_in(tiff: bytes) -> int:
    """Look the tag up in the first directory of a TIFF header; `struct.error` where bytes are missing."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", tiff, entry)
        if tag == _ORIENTATION_TAG:
            # SHORT by the standard, LONG by some writers
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, entry + 8)
            return int(value) if 1 <= value <= 8 else 1
    return 1
