"""A folder of pictures in, photos as phones upload them out: sizes drawn by a seed, JPEG."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from loadtests.mistakes import LoadTestError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MAX_PHOTOS = 200
# Long sides that phone apps and mobile browsers send, and how often; a picture is never enlarged.
LONG_SIDES_PX = (640, 1080, 1280, 1600, 2048)
SHARES = (0.10, 0.30, 0.25, 0.20, 0.15)
QUALITIES = (75, 92)


@dataclass(frozen=True)
class Photo:
    """One file as a phone sends it."""

    name: str
    data: bytes


def load_photos(folder: Path | str, *, seed: int = 0, most: int = MAX_PHOTOS) -> tuple[Photo, ...]:
    """At most `most` photos below `folder`, evenly taken over file sizes; the same seed gives the same bytes.

    A picture above its drawn long side is scaled down and saved as JPEG; any other is sent as it is. Files that are no
    pictures are left out. Raises LoadTestError when none is left.
    """
    if not folder:
        raise LoadTestError("no photo folder was given; name one with --photos or SHOPCAM_PHOTOS")
    folder = Path(folder)
    if not folder.is_dir():
        raise LoadTestError(f"the photo folder {folder} does not exist; name one with --photos or SHOPCAM_PHOTOS")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    paths.sort(key=lambda path: (path.stat().st_size, path.name))
    choice = random.Random(seed)
    photos = [_as_uploaded(path, choice) for path in _spread(paths, most)]
    found = tuple(photo for photo in photos if photo is not None)
    if not found:
        raise LoadTestError(f"{folder} holds no photos; expected pictures ending in {', '.join(sorted(SUFFIXES))}")
    return found


def _spread(paths: Sequence[Path], most: int) -> list[Path]:
    if len(paths) <= most:
        return list(paths)
    return [paths[position * (len(paths) - 1) // max(1, most - 1)] for position in range(most)]


def _as_uploaded(path: Path, choice: random.Random) -> Photo | None:
    long_side_px = choice.choices(LONG_SIDES_PX, SHARES)[0]
    quality = choice.randint(*QUALITIES)
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if max(picture.size) <= long_side_px:
                picture.verify()
                return Photo(path.name, data)
            exif = picture.getexif().tobytes()  # the orientation: phones turn pictures by it, not by their pixels
            picture.draft("RGB", (long_side_px, long_side_px))
            small = picture.convert("RGB")
            small.thumbnail((long_side_px, long_side_px))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError):
        return None
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, exif=exif)
    return Photo(f"{path.stem}.jpg", buffer.getvalue())
