"""A catalog and networks in, the streaming stages of a build done, what they took out; in a process of its own.

`python -m benchmarks.galleries.stages SPEC` is what `staged` runs: survey, embedding and assembling, as `run_build`
does them, without the index, whose memory grows with the gallery by right.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.galleries.measured import taken
from catalog.errors import NotReadyError
from catalog.machine import usable_cores
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.assembling import Assembler
from index_builder.catalog_source import CatalogFile, survey
from index_builder.earlier import EarlierRows
from index_builder.embedding import Embedding
from index_builder.local_engine import LocalEngine, runners_for
from index_builder.manifest import ImageVector, LabelSource, TextVector
from index_builder.pictures import Job, Outcome, Task, vision_of
from index_builder.settings import BuildSettings
from index_builder.shards import SHARD_ENTRIES
from index_builder.texts import TextOptions, text_parts
from index_builder.work import work_folder


@dataclass(frozen=True)
class StageSpec:
    """Paths: a catalog, a model repository, and a folder that is made anew; who says what label a picture has."""

    catalog: str
    repository: str
    out: str
    labels: LabelSource = LabelSource.CLASSIFIER


@dataclass(frozen=True)
class Staged:
    """Rows that were made, seconds from the first picture asked for to the last answer, most anonymous memory."""

    rows: int
    embed_s: float
    peak_bytes: int

    @property
    def photos_per_s(self) -> float:
        """Pictures embedded a second of wall time."""
        return self.rows / self.embed_s


class _Timed:
    """An engine with a clock."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.seconds = 0.0

    def run(self, jobs: Iterable[Job], task: Task) -> Iterator[Outcome]:
        started = time.perf_counter()
        yield from self._engine.run(jobs, task)
        self.seconds += time.perf_counter() - started

    def close(self) -> None:
        self._engine.close()


def staged(spec: StageSpec) -> Staged:
    """Run the stages; NotReadyError when they fail."""
    command = [sys.executable, "-m", "benchmarks.galleries.stages", json.dumps(asdict(spec))]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise NotReadyError(f"building from {spec.catalog} failed; see above")
    return Staged(**json.loads(done.stdout.splitlines()[-1]))


def _stages(spec: StageSpec) -> Staged:
    """Where the classifier says the labels, both networks of a pair answer, else the embedder alone."""
    settings = BuildSettings(
        image_vector=ImageVector.EMBEDDING,
        text=TextOptions(kind=TextVector.ONEHOT, label_source=LabelSource(spec.labels)),
        default_weight=1.0,
        recipe="Flat",
        max_bad_rows=0.0,
        min_recall=0.0,
        seed=0,
    )
    out = Path(spec.out)
    shutil.rmtree(out, ignore_errors=True)
    (out / "gallery").mkdir(parents=True)
    source = CatalogFile(Path(spec.catalog), None)
    runners, threads = runners_for(usable_cores())
    networks = OnnxRuntimeNetworks(Path(spec.repository), threads=threads)
    engine = _Timed(LocalEngine(networks, runners=runners))
    vision = vision_of(
        networks.info,
        image_vector=settings.image_vector,
        views=settings.views,
        labeled=settings.labeled,
        limits=settings.limits,
    )
    with taken() as cost, work_folder(out / "work") as work, contextlib.closing(EarlierRows([])) as earlier:
        found = survey(source, labels=networks.info.labels, limit=settings.max_bad_rows)
        texts = text_parts(settings.text, None, labels=networks.info.labels, label_paths=found.label_paths)
        task = Task(source.path.parent.absolute(), vision)
        folder = work.build(source.key, vision, shard_entries=SHARD_ENTRIES, resume=False)
        shards = Embedding(source, task, folder=folder, earlier=earlier).run(engine, found)
        rows = Assembler(out / "gallery", shards, task, info=networks.info, settings=settings).run(texts, found)
    return Staged(len(rows.parts.vectors), engine.seconds, cost.peak_bytes)


if __name__ == "__main__":
    print(json.dumps(asdict(_stages(StageSpec(**json.loads(sys.argv[1]))))))  # noqa: T201 - read by `staged`
