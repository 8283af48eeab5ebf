"""A seed and photos in, what one shopper asks next out. Nothing here waits or sends: users do.

Of a shopper's requests 1 % are garbage (by default). Of the rest 15 % move the weight slider and 10 % ask for products
similar to a hit, once there is an answer to do it with; the others send a photo: every fifth an earlier one, one in ten
of the new ones with a category of the shopper's own (a label of the service).
"""

from __future__ import annotations

import json
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from loadtests.photos import Photo

SLIDER_SHARE = 0.15
SIMILAR_SHARE = 0.10
AGAIN_SHARE = 0.20
MAX_EARLIER = 20
CATEGORY_SHARE = 0.10
MAX_WEIGHT = 25.0
THINK_SIGMA = 0.6  # of the logarithm: half of the pauses lie between 0.56 and 1.25 times the mean
REFUSALS = frozenset({400, 413, 415, 422})
BOUNDARY = "photo-of-a-load-test"


class Kind(StrEnum):
    """What a request asks for; also its name in every table."""

    PHOTO = "photo"
    AGAIN = "photo again"
    CATEGORY = "photo, own category"
    SLIDER = "slider"
    SIMILAR = "similar"
    GARBAGE = "garbage"


@dataclass(frozen=True)
class Action:
    """One request to POST /search: its fields, and the file it uploads under the field name `file_field`."""

    kind: Kind
    fields: Mapping[str, str] = field(default_factory=dict)
    photo: Photo | None = None
    file_field: str = "image"

    def is_right(self, status: int) -> bool:
        """Whether an answer with this status is the right one: garbage must be refused, all else be answered."""
        return status in REFUSALS if self.kind is Kind.GARBAGE else status == 200

    def body(self) -> tuple[bytes, str]:
        """The multipart body, and its content type."""
        parts = [_part(f'name="{name}"', value.encode()) for name, value in self.fields.items()]
        if self.photo is not None:
            head = f'name="{self.file_field}"; filename="{self.photo.name}"\r\nContent-Type: image/jpeg'
            parts.append(_part(head, self.photo.data))
        return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


class Shopper:
    """One person's choices; `think_s` is the mean pause between requests, `garbage` the share of broken uploads."""

    def __init__(
        self, photos: Sequence[Photo], categories: Sequence[str] = (), *, seed: str, think_s: float, garbage: float
    ) -> None:
        self._photos = photos
        self._categories = categories
        self._choice = random.Random(seed)
        self._think_s = think_s
        self._garbage = garbage
        self._earlier: deque[Photo] = deque(maxlen=MAX_EARLIER)
        self._query_id = ""
        self._product_ids: list[str] = []

    def next(self) -> Action:
        """What is asked now."""
        if self._choice.random() < self._garbage:
            return self._broken_upload()
        draw = self._choice.random()
        if draw < SLIDER_SHARE and self._query_id:
            weight = round(MAX_WEIGHT * self._choice.random() ** 2, 2)  # small weights are tried most
            return Action(Kind.SLIDER, {"query_id": self._query_id, "weight": str(weight)})
        if SLIDER_SHARE <= draw < SLIDER_SHARE + SIMILAR_SHARE and self._product_ids:
            return Action(Kind.SIMILAR, {"product_id": self._choice.choice(self._product_ids)})
        return self._photograph()

    def saw(self, action: Action, status: int, body: bytes) -> str | None:
        """Take in an answer; returns what is wrong with the body of a search, or None."""
        if action.kind is Kind.GARBAGE:
            return None
        if status != 200:
            if action.kind is Kind.SLIDER:
                self._query_id = ""  # forgotten by the service: the next request sends a photo
            elif action.kind is Kind.SIMILAR:
                self._product_ids = []
            return None
        try:
            answer = json.loads(body)
            self._query_id = str(answer["query_id"])
            self._product_ids = [str(hit["product_id"]) for hit in answer["hits"]]
        except (ValueError, KeyError, TypeError):
            return "the body is not an answer of POST /search"
        return None if self._product_ids else "no hits"

    def pause_s(self) -> float:
        """Seconds of looking at the screen, log-normal around the mean."""
        if self._think_s == 0:
            return 0.0
        return self._choice.lognormvariate(math.log(self._think_s) - THINK_SIGMA**2 / 2, THINK_SIGMA)

    def _photograph(self) -> Action:
        if self._earlier and self._choice.random() < AGAIN_SHARE:
            return Action(Kind.AGAIN, photo=self._choice.choice(self._earlier))
        photo = self._choice.choice(self._photos)
        self._earlier.append(photo)
        if self._choice.random() < CATEGORY_SHARE and self._categories:
            return Action(Kind.CATEGORY, {"category": self._choice.choice(self._categories)}, photo)
        return Action(Kind.PHOTO, photo=photo)

    def _broken_upload(self) -> Action:
        photo = self._choice.choice(self._photos)
        kind = self._choice.randrange(4)
        if kind == 0:
            return Action(Kind.GARBAGE, photo=Photo("cut.jpg", photo.data[: len(photo.data) // 8]))
        if kind == 1:
            return Action(Kind.GARBAGE, photo=Photo("list.jpg", b"this is a shopping list, not a picture"))
        if kind == 2:
            return Action(Kind.GARBAGE, photo=Photo("empty.jpg", b""))
        return Action(Kind.GARBAGE, photo=photo, file_field="picture")


def _part(head: str, value: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
