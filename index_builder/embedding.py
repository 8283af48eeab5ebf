"""A catalog in, all of its shards on disk out: what was embedded before is taken over, the rest goes to an engine.

Nothing here grows with the catalog but a number a shard. Stopped at any moment, the next run goes on behind the last
shard that was finished.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from pathlib import Path

import pyarrow as pa

from catalog.machine import give_back
from catalog.rows import BadRow
from catalog.terminal import progress
from index_builder.catalog_source import CatalogSource, Entry, Survey, chunks, entries
from index_builder.earlier import EarlierRows, Found
from index_builder.engines import Engine
from index_builder.errors import GalleryError
from index_builder.fetching import is_url
from index_builder.pictures import Embedded, Job, Outcome, Task, Unusable
from index_builder.shards import SHARD_ENTRIES, Line, Shard, Stamp, place_of, stamp_of, write_shard
from index_builder.work import BuildFolder

WINDOW_SHARDS = 32  # an engine is given so many shards at once


@dataclass
class Counts:
    """What became of the pictures.

    `embedded` by the networks now, `reused` from earlier builds, `resumed` from a run of this build that was stopped,
    or `rejected`.
    """

    embedded: int = 0
    reused: int = 0
    resumed: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class _Pending:
    """A shard to be written once nothing is `missing`.

    `known` says of each place what became of the entry: what was made of it, where that is to be read, or a reason.
    """

    number: int
    entries: list[Entry]
    stamps: list[Stamp]
    known: dict[int, Embedded | Found | str] = field(default_factory=dict)
    missing: deque[int] = field(default_factory=deque)


class Embedding:
    """The stage that embeds one catalog."""

    def __init__(
        self,
        source: CatalogSource,
        task: Task,
        *,
        folder: BuildFolder,
        earlier: EarlierRows,
        trust_urls: bool = False,
        shard_entries: int = SHARD_ENTRIES,
    ) -> None:
        self.counts = Counts()
        self._source = source
        self._task = task
        self._folder = folder
        self._earlier = earlier
        self._trust_urls = trust_urls
        self._size = shard_entries
        self._look_again = folder.gave_up

    def run(self, engine: Engine, found: Survey) -> list[Path]:
        """Write the shards that are missing and return all of them, the first first.

        Raises `MalformedError` when more rows are bad than the survey's limit allows.
        """
        with contextlib.closing(self._entries(engine)) as done:
            for rejected in progress(done, description="pictures", total=found.total):
                if rejected is not None:
                    self.counts.rejected += 1
                    found.bad.add(rejected)
                    if found.bad.too_many(total=found.total):
                        self._folder.note_gave_up()
                    found.bad.check(total=found.total)
        self._folder.forget_gave_up()
        give_back()  # what decoding took, before the next stage takes its own
        return [self._folder.shard(number) for number in range(-(-found.total // self._size))]

    def _entries(self, engine: Engine) -> Generator[BadRow | None, None, None]:
        """Yield once for each entry that is done: a picture that cannot be used, or None."""
        numbered = enumerate(chunks(entries(self._source), self._size))
        for first in numbered:
            yield from self._window(engine, chain([first], islice(numbered, WINDOW_SHARDS - 1)))

    def _window(self, engine: Engine, numbered: Iterable[tuple[int, list[Entry]]]) -> Iterator[BadRow | None]:
        pending: deque[_Pending] = deque()
        done: deque[BadRow | None] = deque()

        def jobs() -> Iterator[Job]:
            for number, chunk in numbered:
                shard = self._begun(number, chunk)
                if shard is None:
                    done.extend(self._resumed(number))
                elif not shard.missing:
                    done.extend(self._write(shard))
                else:
                    pending.append(shard)
                    yield from [_job(shard.entries[place]) for place in shard.missing]

        for outcome in engine.run(jobs(), self._task):
            shard = pending[0]
            place = shard.missing.popleft()
            shard.known[place] = self._known(outcome)
            if not shard.missing:
                done.extend(self._write(pending.popleft()))
            while done:
                yield done.popleft()
        yield from done

    def _begun(self, number: int, chunk: list[Entry]) -> _Pending | None:
        """Return a shard with the lines that need no engine; None when it is there and nothing changed since."""
        base = self._task.base
        stamps = [Stamp() if isinstance(entry, BadRow) else stamp_of(entry.image, base=base) for entry in chunk]
        shard = _Pending(number, chunk, stamps)
        with contextlib.closing(_Stopped(self._folder.shard(number), shard, look_again=self._look_again)) as stopped:
            if len(stopped.settled) == len(chunk):
                return None
            for place, entry in enumerate(chunk):
                known = stopped.known(place)
                self.counts.resumed += isinstance(known, Found)
                known = known or self._reused(entry, stamps[place])
                if known is None:
                    shard.missing.append(place)
                else:
                    shard.known[place] = known
        return shard

    def _reused(self, entry: Entry, stamp: Stamp) -> Found | str | None:
        """What is known of an entry without a look at its picture: a bad row, or a row of an earlier build."""
        if isinstance(entry, BadRow):
            return entry.reason
        if not (stamp.is_of_a_file or (self._trust_urls and is_url(entry.image))):
            return None
        found = self._earlier.by_place(place_of(entry.image, entry.box, base=self._task.base), stamp)
        self.counts.reused += found is not None
        return found

    def _known(self, outcome: Outcome) -> Embedded | Found | str:
        if isinstance(outcome, Unusable):
            return outcome.reason
        if isinstance(outcome, Embedded):
            self.counts.embedded += 1
            return outcome
        found = self._earlier.by_digest(outcome.digest)
        if found is None:
            raise GalleryError(f"the rows of earlier builds in {self._folder.path.parent} changed; run again")
        self.counts.reused += 1
        return found

    def _write(self, shard: _Pending) -> list[BadRow | None]:
        lines = []
        for place, entry in enumerate(shard.entries):
            known = shard.known[place]
            made = self._earlier.read(known) if isinstance(known, Found) else known
            reason = made if isinstance(made, str) else None
            lines.append(Line(entry, shard.stamps[place], None if isinstance(made, str) else made, reason))
        write_shard(self._folder.shard(shard.number), lines, self._task.vision, base=self._task.base)
        return [line.rejected for line in lines]

    def _resumed(self, number: int) -> list[BadRow | None]:
        """Count a shard that is taken over whole."""
        with contextlib.closing(Shard(self._folder.shard(number))) as shard:
            rejected = list(shard.bad_rows(of_catalog=False))
            self.counts.resumed += shard.column("reason").count(None)
            return [*rejected, *repeat(None, len(shard) - len(rejected))]


class _Stopped:
    """The shard that a stopped run of the same build left, if any, and which of its lines need no second look.

    Files must be as they were. After a run that gave up, what was rejected is looked at again.
    """

    def __init__(self, path: Path, now: _Pending, *, look_again: bool) -> None:
        self._shard = _opened(path)
        self._reasons: list[str | None] = []
        self.settled: set[int] = set()
        if self._shard is not None and len(self._shard) == len(now.entries):
            self._reasons, stamps = self._shard.column("reason"), self._shard.stamps()
            same = [then == stamp for then, stamp in zip(stamps, now.stamps, strict=True)]
            self.settled = {
                place
                for place, entry in enumerate(now.entries)
                if isinstance(entry, BadRow) or (same[place] and not (look_again and self._reasons[place]))
            }

    def known(self, place: int) -> Found | str | None:
        if place not in self.settled or self._shard is None:
            return None
        reason = self._reasons[place]
        return Found(self._shard.path, place) if reason is None else reason

    def close(self) -> None:
        if self._shard is not None:
            self._shard.close()


def _opened(path: Path) -> Shard | None:
    try:
        return Shard(path)
    except (OSError, pa.ArrowException):
        return None  # not there, or damaged: made again


def _job(entry: Entry) -> Job:
    if isinstance(entry, BadRow):
        raise TypeError("a bad row of the catalog has no picture")
    return Job(entry.image, entry.box)
