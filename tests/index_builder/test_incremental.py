"""A second build of a catalog embeds only what changed; the oracle is a full build of the same catalog."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from PIL import Image

from index_builder.build import Built
from index_builder.store import LocalStore
from index_builder.work import default_work
from tests.index_builder.conftest import CountingNetworks, make_catalog
from tests.index_builder.test_resume import StoppedError, StoppingEngine, build
from tests.tiny_repository import random_pictures


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_catalog(tmp_path / "shop", 200)


def rows_of(catalog: Path) -> list[dict]:
    return [json.loads(line) for line in catalog.read_text().splitlines()]


def write(catalog: Path, rows: list[dict]) -> None:
    catalog.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def repaint(catalog: Path, number: int, seed: int) -> None:
    Image.fromarray(random_pictures(1, seed=seed)[0]).save(catalog.parent / f"{number}.png")


def built_again(catalog: Path, networks, store: Path, **options) -> tuple[Built, int]:
    """A build over the earlier one's work, and how many pictures the networks saw; it equals a build from nothing."""
    counting = CountingNetworks(networks)
    built = build(catalog, counting, store, version="again", **options)
    full = {name: options[name] for name in ("views",) if name in options}
    fresh = build(catalog, CountingNetworks(networks), store.parent / "fresh", version="fresh", **full)
    assert built.manifest.files == fresh.manifest.files
    return built, counting.pictures


@pytest.mark.parametrize("views", [1, 2])
def test_only_changed_pictures_are_embedded(shop, networks, tmp_path, views):
    build(shop, CountingNetworks(networks), tmp_path / "s", views=views)
    rows = rows_of(shop)
    for number in (7, 150):
        repaint(shop, number, seed=1000 + number)
    rows[20]["title"] = "Another title"  # texts need no network
    rows[30]["box"] = [0, 0, 16, 16]
    del rows[40]
    rows.append({"product_id": "new", "image": "new.png", "title": "New"})
    Image.fromarray(random_pictures(1, seed=77)[0]).save(shop.parent / "new.png")
    shutil.copyfile(shop.parent / "50.png", shop.parent / "renamed.png")  # another place, the same content
    rows[49]["image"] = "renamed.png"
    write(shop, rows)
    built, seen = built_again(shop, networks, tmp_path / "s", views=views)
    assert seen == 4 * views
    assert (built.counts.embedded, built.counts.reused) == (4, 196)


def test_a_shuffled_catalog_is_reused_whole(shop, networks, tmp_path):
    build(shop, CountingNetworks(networks), tmp_path / "s")
    rows = rows_of(shop)
    random.Random(1).shuffle(rows)
    write(shop, rows)
    _, seen = built_again(shop, networks, tmp_path / "s")
    assert seen == 0


def test_an_unchanged_file_is_not_read_again(shop, networks, tmp_path):
    """Same size and time, other content: it is believed. With another time it is read."""
    build(shop, CountingNetworks(networks), tmp_path / "s")
    path = shop.parent / "5.png"
    was = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    counting = CountingNetworks(networks)
    assert build(shop, counting, tmp_path / "s", version="two").counts.reused == 200
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns + 1))
    built = build(shop, counting, tmp_path / "s", version="three")
    assert (built.counts.reused, built.counts.rejected, counting.pictures) == (199, 1, 0)


def test_no_reuse_embeds_all(shop, networks, tmp_path):
    build(shop, CountingNetworks(networks), tmp_path / "s")
    built, seen = built_again(shop, networks, tmp_path / "s", reuse=False)
    assert seen == built.counts.embedded == 200


def test_other_ways_to_see_share_nothing_and_only_the_newest_build_is_kept(shop, networks, tmp_path):
    counting = CountingNetworks(networks)
    build(shop, counting, tmp_path / "s")
    build(shop, counting, tmp_path / "s", version="two", views=2)
    assert counting.pictures == 200 + 400
    work = default_work(LocalStore(tmp_path / "s"))
    assert len([path for path in work.iterdir() if path.is_dir()]) == 1
    kept = list(work.glob("*/*"))
    assert [path.name.startswith("kept-") for path in kept] == [True]
    assert len(list(kept[0].glob("shard-*.arrow"))) == 5


def test_a_stopped_build_of_another_catalog_helps_too(shop, networks, tmp_path):
    counting = CountingNetworks(networks)
    with pytest.raises(StoppedError):
        build(shop, counting, tmp_path / "s", engine=StoppingEngine(counting, 130))
    rows = rows_of(shop)
    write(shop, rows[1:])  # a row less: every later row is in another place
    built, seen = built_again(shop, networks, tmp_path / "s")
    assert (built.counts.reused, seen) == (119, 80)
