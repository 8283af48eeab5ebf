"""Builds that are killed or stopped and run again: the same gallery, and no more work than was lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.errors import MalformedError
from index_builder.build import Built, RunOptions, run_build
from index_builder.catalog_source import CatalogFile
from index_builder.errors import ConflictError
from index_builder.local_engine import LocalEngine
from index_builder.pictures import Job, Outcome, Task
from index_builder.store import LocalStore
from index_builder.work import work_folder
from tests.index_builder.conftest import CountingNetworks, make_catalog, plain_settings
from tests.index_builder.stopped_builder import MOMENTS, SHARD_ENTRIES
from tests.tiny_repository import random_pictures

ROOT = Path(__file__).parents[2]
PICTURES = 100


class StoppedError(Exception):
    """What stops a build of these tests."""


class StoppingEngine:
    """A real engine that stops before the outcome of this number."""

    def __init__(self, networks: CountingNetworks, after: int) -> None:
        self._engine = LocalEngine(networks)
        self._left = after

    def run(self, jobs: Iterable[Job], task: Task) -> Iterator[Outcome]:
        for outcome in self._engine.run(jobs, task):
            if self._left == 0:
                raise StoppedError
            self._left -= 1
            yield outcome

    def close(self) -> None:
        self._engine.close()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Path:
    return make_catalog(tmp_path_factory.mktemp("hundred") / "shop", PICTURES)


@pytest.fixture
def counting(networks) -> CountingNetworks:
    return CountingNetworks(networks)


def build(catalog: Path, networks: CountingNetworks, store: Path, *, engine=None, **options) -> Built:
    changes = {name: options.pop(name) for name in ("max_bad_rows", "views", "version") if name in options}
    version = changes.pop("version", "v")
    given = RunOptions(**{"shard_entries": SHARD_ENTRIES, **options})
    kind, shop = plain_settings(**changes), LocalStore(store)
    return run_build(
        CatalogFile(catalog), networks, None, settings=kind, store=shop, version=version, engine=engine, options=given
    )


@pytest.fixture(scope="module")
def undisturbed(catalog, networks, tmp_path_factory) -> dict:
    return build(catalog, CountingNetworks(networks), tmp_path_factory.mktemp("undisturbed") / "s").manifest.files


@pytest.mark.parametrize("where", MOMENTS)
def test_a_killed_builder_loses_at_most_a_shard(catalog, counting, tiny, *, undisturbed, tmp_path, where):
    command = [sys.executable, "-m", "tests.index_builder.stopped_builder"]
    given = [where, catalog, tiny[0], tmp_path / "s"]
    with subprocess.Popen(
        [*command, *map(str, given)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "here\n"
        os.kill(process.pid, signal.SIGKILL)
    assert LocalStore(tmp_path / "s").versions() == []
    built = build(catalog, counting, tmp_path / "s")
    finished = SHARD_ENTRIES if where == "shard" else PICTURES
    assert (built.counts.resumed, built.counts.embedded) == (finished, PICTURES - finished)
    assert counting.pictures == PICTURES - finished
    assert built.manifest.files == undisturbed
    assert [path.name for path in (tmp_path / "s").iterdir()].count("galleries") == 1
    assert not list((tmp_path / "s").glob(".staging-*"))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, PICTURES - 1), max_size=4), size=st.integers(7, 60))
def test_any_stops_give_each_row_once_in_order(catalog, networks, undisturbed, *, tmp_path_factory, stops, size):
    store = tmp_path_factory.mktemp("stops") / "s"
    for after in stops:
        counting = CountingNetworks(networks)
        try:
            build(catalog, counting, store, engine=StoppingEngine(counting, after), shard_entries=size)
        except StoppedError:
            continue
        break  # what was left took less than `after`
    else:
        build(catalog, CountingNetworks(networks), store, shard_entries=size)
    manifest = LocalStore(store).manifest("v")
    assert manifest.files == undisturbed
    assert manifest.count == PICTURES


def test_a_picture_that_changed_between_two_runs_is_seen(networks, counting, tmp_path):
    catalog = make_catalog(tmp_path / "shop", PICTURES)
    with pytest.raises(StoppedError):
        build(catalog, counting, tmp_path / "s", engine=StoppingEngine(counting, 90))
    Image.fromarray(random_pictures(1, seed=99)[0]).save(tmp_path / "shop" / "3.png")
    again = CountingNetworks(networks)
    built = build(catalog, again, tmp_path / "s")
    # Two shards were finished; of the first one picture changed, the third was lost.
    assert (built.counts.resumed, built.counts.embedded) == (79, 21)
    assert again.pictures == 21
    fresh = build(catalog, counting, tmp_path / "fresh")
    assert built.manifest.files == fresh.manifest.files


def test_no_resume_starts_anew(catalog, counting, undisturbed, tmp_path):
    with pytest.raises(StoppedError):
        build(catalog, counting, tmp_path / "s", engine=StoppingEngine(counting, 90))
    built = build(catalog, counting, tmp_path / "s", resume=False)
    assert (built.counts.resumed, built.counts.embedded) == (0, PICTURES)
    assert built.manifest.files == undisturbed


def test_after_too_many_bad_pictures_only_those_are_tried_again(networks, counting, tmp_path):
    catalog = make_catalog(tmp_path / "shop", PICTURES)
    away = [(tmp_path / "shop" / f"{number}.png", tmp_path / f"{number}.away") for number in (50, 55)]
    for here, there in away:
        here.rename(there)
    with pytest.raises(MalformedError, match=r"2 of 100 rows are bad .* first: row 51 \(p00050\).*; then: row 56"):
        build(catalog, counting, tmp_path / "s")
    for here, there in away:
        there.rename(here)
    again = CountingNetworks(networks)
    built = build(catalog, again, tmp_path / "s")
    # Two shards were finished, the second without its two bad pictures; the third was never begun.
    assert (built.counts.resumed, again.pictures) == (2 * SHARD_ENTRIES - 2, PICTURES - 2 * SHARD_ENTRIES + 2)
    assert built.manifest.count == PICTURES
    assert built.counts.rejected == 0


@pytest.mark.parametrize("bad", [1, 50])
def test_garbage_is_listed_or_fails_before_anything_is_published(networks, counting, tmp_path, bad):
    catalog = make_catalog(tmp_path / "shop", PICTURES)
    for number in range(0, 2 * bad, 2):
        (tmp_path / "shop" / f"{number}.png").write_bytes(np.random.default_rng(number).bytes(200))
    if bad == 50:
        message = (
            r"2 of 100 rows are bad \(limit 0.01 of them\); first: row 1 \(p00000\): image '0.png': .*; then: row 3"
        )
        with pytest.raises(MalformedError, match=message):
            build(catalog, counting, tmp_path / "s")
        assert LocalStore(tmp_path / "s").versions() == []
        return
    built = build(catalog, counting, tmp_path / "s")
    folder = LocalStore(tmp_path / "s").gallery("v")
    rejected = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert [(row["row"], row["product_id"]) for row in rejected] == [(1, "p00000")]
    assert (built.manifest.count, built.counts.rejected) == (99, 1)


def test_two_builders_of_one_work_folder(catalog, counting, tmp_path):
    with work_folder(tmp_path / ".s-work"), pytest.raises(ConflictError, match=r"another build is at work in .*--work"):
        build(catalog, counting, tmp_path / "s")
    build(catalog, counting, tmp_path / "s")
