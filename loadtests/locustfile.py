"""A folder of photos in, shoppers with phones out: they send photos over HTTP, think, and move the weight slider.

Run it with Locust's own page (`SHOPCAM_PHOTOS=DIR locust -f loadtests/locustfile.py --host URL`) or through
`python -m loadtests report`. A few users send bytes that are no picture; those must be refused with a 4xx status.
"""

from __future__ import annotations

import logging
import random
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from locust import HttpUser, events, task
from locust.exception import StopUser

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MAX_PHOTOS = 500
GARBAGE = b"this is a shopping list, not a picture"
REPEAT_SHARE = 0.2
SLIDER_SHARE = 0.3
MAX_WEIGHT = 25.0


@dataclass(frozen=True)
class Photo:
    """One file as a phone would send it."""

    name: str
    data: bytes


class PhotoFolderError(ValueError):
    """The folder holds no photos; `str` is one sentence for a person."""


@lru_cache(maxsize=4)
def load_photos(name: str) -> tuple[Photo, ...]:
    """At most `MAX_PHOTOS` photos below the folder, evenly taken over file sizes; raises PhotoFolderError if none."""
    folder = Path(name)
    if not name:
        raise PhotoFolderError("no photo folder was given; name one with --photos or SHOPCAM_PHOTOS")
    if not folder.is_dir():
        raise PhotoFolderError(f"the photo folder {folder} does not exist; name one with --photos or SHOPCAM_PHOTOS")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not paths:
        raise PhotoFolderError(f"{folder} holds no photos; expected files ending in {', '.join(sorted(SUFFIXES))}")
    paths.sort(key=lambda path: (path.stat().st_size, path.name))
    chosen = [paths[int(position)] for position in _spread(len(paths), MAX_PHOTOS)]
    return tuple(Photo(name=path.name, data=path.read_bytes()) for path in chosen)


class Shopper(HttpUser):  # type: ignore[misc]  # Locust is untyped here
    """One phone: search a photo, look at the hits, sometimes the same photo again or another weight.

    Its options (`parsed_options`) are photos, think_s (mean think time), garbage (share of non-pictures) and seed.
    """

    _numbers = count()

    def on_start(self) -> None:
        """Read the photos and seed this user's choices; a user without photos stops at once."""
        options = self.environment.parsed_options
        try:
            self.photos: Sequence[Photo] = load_photos(options.photos)
        except PhotoFolderError as error:
            logging.getLogger(__name__).error("%s", error)
            self.environment.process_exit_code = 2
            self.environment.runner.quit()
            raise StopUser(str(error)) from error
        self.choice = random.Random(f"{options.seed}-{next(self._numbers)}")
        self.garbage_share: float = options.garbage
        self.think_s: float = options.think_s
        self.last: Photo | None = None

    def wait_time(self) -> float:
        """Seconds a shopper looks at the screen: between half and one and a half of the mean."""
        return self.choice.uniform(0.5, 1.5) * self.think_s

    @task  # type: ignore[untyped-decorator]  # Locust is untyped here
    def look_for_something(self) -> None:
        """One search; now and then refused garbage instead, or a slider move after it."""
        if self.choice.random() < self.garbage_share:
            self._send_garbage()
            return
        again = self.last is not None and self.choice.random() < REPEAT_SHARE
        photo = self.last if again and self.last is not None else self.choice.choice(self.photos)
        self.last = photo
        query_id = self._search("photo again" if again else "photo", files={"image": (photo.name, photo.data)})
        if query_id and self.choice.random() < SLIDER_SHARE:
            weight = round(MAX_WEIGHT * self.choice.random() ** 2, 2)
            self._search("slider", data={"query_id": query_id, "weight": str(weight)})

    def _search(self, name: str, **body: Any) -> str | None:
        with self.client.post("/search", name=name, catch_response=True, **body) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return None
            try:
                answer = response.json()
                if not answer["hits"]:
                    response.failure("no hits")
                return str(answer["query_id"])
            except (ValueError, KeyError, TypeError):
                response.failure("the body is not an answer of POST /search")
                return None

    def _send_garbage(self) -> None:
        files = {"image": ("list.jpg", GARBAGE)}
        with self.client.post("/search", name="garbage", catch_response=True, files=files) as response:
            if 400 <= response.status_code < 500:
                response.success()
            else:
                response.failure(f"garbage was answered with status {response.status_code}")


def share(text: str) -> float:
    """A number in [0, 1]."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"a share is between 0 and 1, got {text}")
    return number


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust is untyped here
def add_options(parser: Any) -> None:
    """The same options for Locust's own command line; each is an environment variable too."""
    parser.add_argument("--photos", env_var="SHOPCAM_PHOTOS", default="", help="folder of photos")
    parser.add_argument("--think-s", env_var="SHOPCAM_THINK_S", type=float, default=2.0, help="mean think time")
    parser.add_argument("--garbage", env_var="SHOPCAM_GARBAGE", type=share, default=0.01, help="share of non-pictures")
    parser.add_argument("--seed", env_var="SHOPCAM_SEED", type=int, default=0, help="seed of the users' choices")


def _spread(length: int, wanted: int) -> list[float]:
    if length <= wanted:
        return [float(position) for position in range(length)]
    return [position * (length - 1) / (wanted - 1) for position in range(wanted)]
