"""What the service adds to a single client's wait: milliseconds beyond decoding, networks and search.

One photo after the other goes through four parts, in turning order: `POST /search`, as the client sees it; the same
bytes decoded in this process; their pixels through ONNX Runtime in this process, one network after the other, each on
all cores; their vectors searched in the same gallery in this process, with the label's word vector and top_k as the
service takes them. What is left of the first after the other three is the service's: HTTP, the form, waiting between
threads, gRPC, Triton, products and JSON. It is taken photo by photo; the median is reported.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Row, Target
from benchmarks.serving.running import CORES, Running
from benchmarks.serving.uploads import CONTENT_TYPE, commented, comments, multipart, read_photos
from bento.labels import of_probabilities
from catalog.errors import NotReadyError
from catalog.pictures import load_input
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.gallery import Gallery, Hits
from index_builder.manifest import ImageVector
from index_builder.store import open_store

TOP_K = 20
MOST_ADDED_MS = 3.0
WARM_PHOTOS = 5


@dataclass(frozen=True)
class PhotoTimes:
    """Milliseconds of one photo's parts."""

    client_ms: float
    decode_ms: float
    networks_ms: float
    search_ms: float

    @property
    def added_ms(self) -> float:
        """What the service added."""
        return self.client_ms - self.decode_ms - self.networks_ms - self.search_ms


class Alone:
    """The parts of a search without a server, each as one call; the later ones take what the earlier ones gave."""

    def __init__(self, repository: Path, gallery: Gallery) -> None:
        self.networks = OnnxRuntimeNetworks(repository, threads=CORES)
        self.gallery = gallery

    def decode(self, photo: bytes) -> NDArray[np.uint8]:
        """Bytes to uint8 [1, S, S, 3]."""
        return load_input(photo, size_px=self.networks.info.size_px)[0][None]

    def infer(self, pixels: NDArray[np.uint8]) -> PhotoOutputs:
        """All answers of the networks for one photo."""
        return self.networks.infer(pixels)

    def search(self, outputs: PhotoOutputs) -> Hits:
        """One-shot search as the gallery says it."""
        manifest = self.gallery.manifest
        image = outputs.pooled if manifest.image_vector is ImageVector.POOLED else outputs.embedding
        text = of_probabilities(self.gallery, outputs.probabilities[0], manifest.label.mode).vector
        return self.gallery.search(image, None if text is None else text[None], top_k=TOP_K)

    def close(self) -> None:
        """Let go of sessions and gallery."""
        self.networks.close()
        self.gallery.close()


def added_times(run: Running, *, repository: Path, store: Path, photos: Path, seconds: float) -> list[PhotoTimes]:
    """Measure photo by photo for so long; NotReadyError when the service does not answer one."""
    opened = open_store(str(store))
    pointer = opened.live()
    if pointer is None:
        raise NotReadyError(f"{store} has no live gallery")
    alone = Alone(repository, Gallery.open(opened.gallery(pointer.live.gallery), threads=1))
    given, own = read_photos(photos), comments()
    post = _poster(run.service_url)
    found: list[PhotoTimes] = []
    number = 0
    end_s = time.perf_counter() + seconds
    try:
        while number < WARM_PHOTOS + 1 or time.perf_counter() < end_s:
            photo = commented(given[number % len(given)], next(own))
            times = _measure(photo, alone, post, served_first=number % 2 == 0)
            if number >= WARM_PHOTOS:
                found.append(times)
            number += 1
    finally:
        alone.close()
    return found


def _measure(photo: bytes, alone: Alone, post: Callable[[bytes], Any], *, served_first: bool) -> PhotoTimes:
    if served_first:
        client_ms, _ = _timed(post, photo)
    decode_ms, pixels = _timed(alone.decode, photo)
    networks_ms, outputs = _timed(alone.infer, pixels)
    search_ms, _ = _timed(alone.search, outputs)
    if not served_first:
        client_ms, _ = _timed(post, photo)
    return PhotoTimes(client_ms, decode_ms, networks_ms, search_ms)


def _timed(work: Callable[[Any], Any], given: Any) -> tuple[float, Any]:
    begun_s = time.perf_counter()
    result = work(given)
    return 1e3 * (time.perf_counter() - begun_s), result


def _poster(url: str) -> Callable[[bytes], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def post(photo: bytes) -> bytes:
        connection.request("POST", "/search", multipart(photo, top_k=TOP_K), {"Content-Type": CONTENT_TYPE})
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.HTTPStatus.OK:
            raise NotReadyError(f"the service answered {response.status}: {answer.decode(errors='replace')[:200]}")
        return answer

    return post


def added_rows(found: Sequence[PhotoTimes], *, networks: str, served: str) -> list[Row]:
    """The median of what was added, with its quarters and the parts it was taken from; `served` says by what."""
    low_ms, middle_ms, high_ms = (float(q) for q in np.quantile([one.added_ms for one in found], [0.25, 0.5, 0.75]))
    parts = {
        name: median(getattr(one, f"{name}_ms") for one in found) for name in ("client", "decode", "networks", "search")
    }
    told = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
    note = f"quarters {low_ms:.1f} to {high_ms:.1f}, {len(found):,} photos; p50 of {told} ms"
    return [
        Row(f"{networks}: added by {served} at one client, p50", middle_ms, "ms", Target("<=", MOST_ADDED_MS), note)
    ]
