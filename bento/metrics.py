"""What happens to requests, galleries and the store in; Prometheus metrics out. All of the service's live here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, values

from bento.visits import CURRENT
from catalog.errors import ShopcamError
from export.tracing import span
from index_builder.live_gallery import JournalState

# BentoML has the client keep values in files, for many processes. Here one process answers from its own memory, which
# is several times quicker; this must stand before the first metric.
values.ValueClass = values.MutexValue
# A second series for each counter and histogram, which nothing here reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package leaves it so

BUCKETS_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0, 8.0)

STAGE_S = Histogram("shopcam_stage_seconds", "Seconds spent in each stage of a search", ["stage"], buckets=BUCKETS_S)
ANSWERS = Counter("shopcam_answers_total", "Answers by route and error code (ok: success)", ["route", "code"])
REQUESTS = Gauge("shopcam_requests_in_progress", "Requests that are being answered, uploads included", ["route"])
SEARCH_BYTES = Histogram(
    "shopcam_search_request_bytes",
    "Bytes of the bodies of POST /search and /search/text",
    buckets=[float(4**power) for power in range(5, 14)],  # 1 KiB to 64 MiB
)
PREDICTED = Counter(
    "shopcam_predicted_labels_total",
    "Photos by the label that the classifier is surest of; other: beyond the cap",
    ["label"],
)
ABSTAINED = Counter(
    "shopcam_abstained_total", "Photos whose label was left out, since the classifier is not sure enough"
)
LABEL_SCORE = Histogram(
    "shopcam_label_score",
    "Probability of the label that the classifier is surest of",
    buckets=[n / 10 for n in range(1, 11)],
)
READY = Gauge("shopcam_ready", "Whether the canary search worked when /readyz last looked; 0 until there is a gallery")
TRITON_SCRAPED = Gauge("shopcam_triton_scraped", "Whether this page has Triton's metrics, too")

IN_PROGRESS = Gauge("shopcam_searches_in_progress", "Searches that are being answered, uploads left out")
EXPECTED_S = Gauge("shopcam_expected_seconds", "What the next search would take; much more than allowed is refused")
CIRCUIT_OPEN = Gauge("shopcam_circuit_open", "1 while calls of the model server are refused until a canary succeeds")
CACHE = Counter(
    "shopcam_shared_work_total",
    "Results by kind (vectors, hits): hit, shared with a request in progress, miss",
    ["kind", "result"],
)

VERSION_ANSWERS = Counter(
    "shopcam_gallery_answers_total", "Searches by gallery version and error code", ["gallery_version", "code"]
)
VERSION_S = Histogram(
    "shopcam_gallery_search_seconds", "Seconds of whole searches by version", ["gallery_version"], buckets=BUCKETS_S
)
GALLERY = Gauge(
    "shopcam_gallery_info", "1 for the gallery that answers; pair: live or canary", ["gallery_version", "pair"]
)
SWAPS = Counter("shopcam_swaps_total", "Galleries opened to answer, by result: live, failed, stale", ["result"])
SWAP_S = Histogram(
    "shopcam_swap_seconds",
    "Seconds from opening a gallery to its answers",
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900),
)
SWAP_FAILED = Gauge("shopcam_swap_failed_info", "1 for a gallery that should answer", ["gallery_version", "reason"])
STORE_REACHABLE = Gauge("shopcam_store_reachable", "Whether the pointer could be read when last looked at")
STORE_FAILURES = Counter("shopcam_store_failures_total", "Looks at the pointer that failed")
JOURNAL = Gauge("shopcam_journal_sequence", "Last batch of changes that this replica has dealt with")
JOURNAL_FOLLOWED = Gauge("shopcam_journal_followed", "Whether the journal could be followed when last looked at")
JOURNAL_SKIPPED = Gauge("shopcam_journal_skipped", "Batches that do not fit the gallery that answers")
DEVICE = Gauge("shopcam_search_device", "1 for where the index answers: cpu or gpu", ["device"])
FALLBACKS = Counter("shopcam_device_fallbacks_total", "Times that the index moved to the CPU since its GPU failed")

# Nothing was in the way before the first look.
STORE_REACHABLE.set(1)
JOURNAL_FOLLOWED.set(1)

MAX_VERSIONS = 4  # label values that are kept; each more version drops the oldest
MAX_LABELS = 200  # of the gallery's labels that are counted by name
OTHER = "other"
REASON_LENGTH = 200
_versions: dict[str, set[str]] = {}  # version -> codes, the oldest first
_labels: set[str] = set()  # counted by name


class Stages:
    """Milliseconds of each stage of one request; the answer, its header, the histogram and the trace have the same."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.ms: dict[str, float] = {"decode": 0.0, "models": 0.0, "fuse": 0.0, "search": 0.0}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside."""
        begun = time.perf_counter()
        try:
            with span(name):
                yield
        finally:
            took_s = time.perf_counter() - begun
            self.ms[name] += took_s * 1e3
            STAGE_S.labels(name).observe(took_s)

    def total(self) -> dict[str, float]:
        """All stages and the total, rounded to a microsecond; they become the answer's `Server-Timing`, too."""
        took_s = time.perf_counter() - self._start
        STAGE_S.labels("total").observe(took_s)
        ms = {name: round(value, 3) for name, value in {**self.ms, "total": took_s * 1e3}.items()}
        if (visit := CURRENT.get()) is not None:
            visit.headers["Server-Timing"] = ", ".join(f"{name};dur={value}" for name, value in ms.items())
        return ms


@contextmanager
def answer_of(version: str) -> Iterator[None]:
    """Count and time one search of a gallery."""
    begun = time.perf_counter()
    code = "internal"
    try:
        yield
        code = "ok"
    except ShopcamError as error:
        code = error.code
        raise
    finally:
        _keep(version, code)
        VERSION_ANSWERS.labels(version, code).inc()
        VERSION_S.labels(version).observe(time.perf_counter() - begun)


def predicted(label: str, score: float, *, abstained: bool) -> None:
    """Count what the classifier says of a photo; labels that `knows_labels` was not told are `other`."""
    PREDICTED.labels(label if label in _labels else OTHER).inc()
    LABEL_SCORE.observe(score)
    if abstained:
        ABSTAINED.inc()


def knows_labels(labels: Sequence[str]) -> None:
    """Count by name the first of these, the labels of the gallery that answers, and forget all others."""
    counted = set(labels[:MAX_LABELS])
    for gone in _labels - counted:
        PREDICTED.remove(gone)
    _labels.clear()
    _labels.update(counted)


@contextmanager
def swap() -> Iterator[None]:
    """Count and time the opening of a gallery up to its first answers."""
    begun = time.perf_counter()
    result = "failed"
    try:
        yield
        result = "live"
    except ShopcamError as error:
        result = "stale" if error.code == "stale" else "failed"
        raise
    finally:
        SWAPS.labels(result).inc()
    SWAP_S.observe(time.perf_counter() - begun)


def serves(version: str | None, *, on_trial: bool) -> None:
    """Say which gallery answers."""
    GALLERY.clear()
    if version is not None:
        GALLERY.labels(version, "canary" if on_trial else "live").set(1)


def failed(reasons: Mapping[str, str]) -> None:
    """Say which galleries should answer and why they do not."""
    SWAP_FAILED.clear()
    for version, reason in reasons.items():
        SWAP_FAILED.labels(version, reason[:REASON_LENGTH]).set(1)


def follows_journal(state: JournalState) -> None:
    """Say how far the gallery follows the journal."""
    JOURNAL.set(state.sequence)
    JOURNAL_FOLLOWED.set(state.reason is None)
    JOURNAL_SKIPPED.set(state.skipped)


def store_answers(answers: bool) -> None:
    """Say whether the store's pointer could be read."""
    STORE_REACHABLE.set(answers)
    if not answers:
        STORE_FAILURES.inc()


def searches_on(device: str) -> None:
    """Say where the index answers."""
    DEVICE.clear()
    DEVICE.labels(device).set(1)


def fell_back() -> None:
    """Say that the CPU took over from a GPU that failed."""
    FALLBACKS.inc()
    searches_on("cpu")


def _keep(version: str, code: str) -> None:
    """Bound the label values: the oldest version makes room."""
    _versions.setdefault(version, set()).add(code)
    while len(_versions) > MAX_VERSIONS:
        oldest = next(iter(_versions))
        for each in _versions.pop(oldest):
            VERSION_ANSWERS.remove(oldest, each)
        VERSION_S.remove(oldest)
