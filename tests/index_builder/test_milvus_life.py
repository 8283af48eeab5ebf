"""A life of galleries on Milvus: uploads that are killed, swaps and rollbacks with the alias, prune, the verbs."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import NotFoundError, NotReadyError
from index_builder import milvus_upload
from index_builder.__main__ import main
from index_builder.errors import ConflictError, GalleryError, GateError
from index_builder.gallery import Gallery
from index_builder.gate import Canary, QualityGate
from index_builder.integrity import read_manifest
from index_builder.live_gallery import LiveGallery
from index_builder.milvus_publish import MilvusTarget, to_milvus
from index_builder.milvus_rows import SourceRows
from index_builder.milvus_schema import MilvusIndex, index_of, rows_of, schema_of
from index_builder.milvus_server import MilvusAddress, MilvusServer
from index_builder.milvus_upload import source_name, upload
from index_builder.milvus_verb import publish_to_milvus
from index_builder.opening import open_gallery
from index_builder.store import LocalStore
from tests.index_builder.milvus_folders import draw_folder, draw_queries
from tests.index_builder.test_journal import delete

pytest.importorskip("pymilvus", reason="pymilvus is not installed")
MilvusLite = pytest.importorskip("milvus_lite.db", reason="milvus-lite is not installed").MilvusLite

ROOT = Path(__file__).parents[2]
BATCH = 7


@pytest.fixture
def address(tmp_path, monkeypatch):
    """The address that the environment gives, too; afterwards nobody may hold its folder."""
    address = MilvusAddress(str(tmp_path / "milvus.db"))
    monkeypatch.setenv("SHOPCAM_MILVUS_URI", address.uri)
    yield address
    if Path(address.uri).exists():
        MilvusLite(address.uri).close()  # raises while a server of it runs


@pytest.fixture
def store(tmp_path, address) -> LocalStore:
    """Galleries one and two of 30 rows, and both again on Milvus."""
    store = LocalStore(tmp_path / "store")
    target = MilvusTarget(address, prefix="shop", index=MilvusIndex.FLAT)
    for seed, version in enumerate(("one", "two")):
        store.publish(draw_folder(tmp_path / version, count=30, seed=seed, version=version), version)
        publish_to_milvus(store.gallery(version), store, version=f"m-{version}", target=target)
    return store


def alias(address: MilvusAddress) -> str | None:
    with MilvusServer(address) as server:
        return server.alias("shop_live")


def collections(address: MilvusAddress, *names: str) -> list[bool]:
    with MilvusServer(address) as server:
        return [server.has(name) for name in names]


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip().splitlines()[-1]


def killed_upload(folder: Path, made: Path, address: MilvusAddress, *, batches: int) -> None:
    """Run `to_milvus` in a process of its own that is killed as soon as it has sent so many batches."""
    script = f"""
        import os, signal
        from pathlib import Path
        from index_builder import milvus_publish, milvus_upload
        from index_builder.milvus_server import MilvusAddress, MilvusServer
        milvus_upload.BATCH_ROWS, sent, write = {BATCH}, [], MilvusServer.write
        def write_and_die(self, *arguments, **named):
            write(self, *arguments, **named)
            sent.append(1)
            if len(sent) == {batches}:
                os.kill(os.getpid(), signal.SIGKILL)
        MilvusServer.write = write_and_die
        target = milvus_publish.MilvusTarget(MilvusAddress({address.uri!r}), prefix="shop")
        milvus_publish.to_milvus(Path({str(folder)!r}), Path({str(made)!r}), version="v1", target=target)
    """
    made.mkdir()
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_an_upload_that_was_killed_goes_on(tmp_path, address, monkeypatch):
    folder = draw_folder(tmp_path / "drawn", count=60, rows_each=2)
    killed_upload(folder, tmp_path / "killed", address, batches=3)
    assert not (tmp_path / "killed" / "manifest.json").exists()
    sent: list[tuple[int, bool]] = []
    write = MilvusServer.write

    def watched(self, collection, rows, *, replace=False):
        sent.append((rows[0]["row"], replace))
        write(self, collection, rows, replace=replace)

    monkeypatch.setattr(MilvusServer, "write", watched)
    monkeypatch.setattr(milvus_upload, "BATCH_ROWS", BATCH)
    (tmp_path / "made").mkdir()
    to_milvus(folder, tmp_path / "made", version="v1", target=MilvusTarget(address, prefix="shop"))
    assert sent == [(21, True), *((row, False) for row in range(28, 60, 7))]
    gallery = open_gallery(tmp_path / "made")
    try:
        images, texts = draw_queries(3)
        expected = Gallery.open(folder).search(images, texts, top_k=30)
        np.testing.assert_array_equal(gallery.search(images, texts, top_k=30).rows, expected.rows)
    finally:
        gallery.close()


@pytest.mark.parametrize("there", [range(7, 14), range(30, 33)])
def test_a_collection_with_gaps_is_made_again(tmp_path, address, there):
    """Rows in the middle, or ones that the gallery does not have, cannot be the beginning of an upload."""
    folder = draw_folder(tmp_path / "drawn", count=30)
    manifest, rows = read_manifest(folder), rows_of("shop", "v1", MilvusIndex.FLAT)
    source = SourceRows.of(folder, manifest, np.load(folder / "vectors.npy"))
    with MilvusServer(address) as server:
        index = index_of(MilvusIndex.FLAT, count=30, embedded=True)
        server.create(rows.collection, schema_of(13), index, source=source_name(manifest, rows.index))
        wrong = [source.batch(7, 8)[0] | {"row": row} for row in there]
        server.write(rows.collection, wrong)
        upload(source, server, rows)
        assert sorted(row["row"] for row in server.rows("shop_v1", ("row",), condition="row >= 0")) == list(range(30))
        upload(source, server, rows)  # again: nothing to do
        assert server.count("shop_v1") == 30


def test_the_alias_follows_swaps_and_rollbacks(store, address):
    assert alias(address) is None
    store.swap("m-one", gate=QualityGate())
    assert alias(address) == "shop_m_2done"
    store.swap("m-two", gate=QualityGate())
    assert alias(address) == "shop_m_2dtwo"
    store.rollback()
    assert alias(address) == "shop_m_2done"
    assert store.live().live.gallery == "m-one"
    store.swap("two")  # rows in files: the alias stays at what was live on Milvus last
    assert alias(address) == "shop_m_2done"
    store.rollback()
    assert store.live().live.gallery == "m-one"


def test_two_versions_side_by_side(store):
    """Both answer with their own rows, whatever is live."""
    store.swap("m-two")
    images, texts = draw_queries(3)
    opened = {name: open_gallery(store.gallery(name)) for name in ("m-one", "one", "m-two", "two")}
    try:
        found = {name: gallery.search(images, texts, top_k=30).rows for name, gallery in opened.items()}
    finally:
        for gallery in opened.values():
            gallery.close()
    np.testing.assert_array_equal(found["m-one"], found["one"])
    np.testing.assert_array_equal(found["m-two"], found["two"])
    assert (found["one"] != found["two"]).any()


def test_an_alias_that_stayed_behind_is_repaired(store, address, monkeypatch, capsys):
    store.swap("m-one")
    monkeypatch.setattr(MilvusServer, "point", refuse)
    with pytest.raises(NotReadyError, match="m-two is live, but the alias shop_live does not follow yet: away"):
        store.swap("m-two")
    assert store.live().live.gallery == "m-two"
    monkeypatch.undo()
    monkeypatch.setenv("SHOPCAM_MILVUS_URI", address.uri)
    assert alias(address) == "shop_m_2done"
    main(["verify", "--store", store.uri])
    assert "the alias shop_live named shop_m_2done and follows now" in capsys.readouterr().out
    assert alias(address) == "shop_m_2dtwo"
    main(["verify", "--store", store.uri])
    assert "the alias" not in capsys.readouterr().out


def refuse(*_: object) -> None:
    raise NotReadyError("away")


def test_of_two_swaps_the_later_pointer_wins_the_alias(store, address, monkeypatch):
    """Another swap moves the pointer and the alias between this one's pointer and its alias."""
    store.swap("m-one")
    point = MilvusServer.point

    def late(self: MilvusServer, name: str, collection: str) -> None:
        if collection == "shop_m_2dtwo" and store.live().live.gallery == "m-two":
            store.rollback()
        point(self, name, collection)

    monkeypatch.setattr(MilvusServer, "point", late)
    store.swap("m-two")
    assert store.live().live.gallery == "m-one"
    assert alias(address) == "shop_m_2done"


def test_what_cannot_become_live(store, address, monkeypatch):
    store.swap("m-one")
    with pytest.raises(GateError, match="does not pass the gate"):
        store.swap("m-two", gate=QualityGate(canaries=(Canary("p1", "p999"),)))
    with MilvusServer(address) as server:
        server.drop("shop_m_2dtwo")
    with pytest.raises(GalleryError, match="has no collection shop_m_2dtwo, which gallery m-two names"):
        store.swap("m-two")
    store.swap("one")
    with MilvusServer(address) as server:
        server.drop("shop_m_2done")
    with pytest.raises(GalleryError, match="has no collection shop_m_2done"):
        store.rollback()
    assert store.live().live.gallery == "one"
    assert alias(address) is None  # it went with its collection


def test_prune_drops_the_collection(store, address):
    store.swap("m-two")
    assert store.prune(keep=0, dry_run=True) == ["one", "m-one", "two"]
    assert collections(address, "shop_m_2done", "shop_m_2dtwo") == [True, True]
    assert store.prune(keep=0) == ["one", "m-one", "two"]
    assert collections(address, "shop_m_2done", "shop_m_2dtwo") == [False, True]
    assert store.versions() == ["m-two"]


def test_a_life_on_the_command_line(tmp_path, address, capsys, monkeypatch):
    store = LocalStore(tmp_path / "store")
    store.publish(draw_folder(tmp_path / "one", count=30, version="one"), "one")
    monkeypatch.setenv("SECRET", "root:sesame")
    options = ["--uri", address.uri, "--token-env", "SECRET", "--milvus-prefix", "shop", "--milvus-index", "FLAT"]
    main(["to-milvus", "one", "--store", store.uri, *options])
    line = last_line(capsys)
    assert line.startswith("gallery one-milvus of 30 products is published, not live: its 30 rows are the collection")
    assert "shop_one_2dmilvus on " in line
    with pytest.raises(ConflictError, match="gallery 'one-milvus' exists"):
        main(["to-milvus", "one", "--store", store.uri, *options])
    main(["swap", "one-milvus", "--store", store.uri])
    assert last_line(capsys) == f"gallery one-milvus is live in {store.uri}; before it: none"
    assert alias(address) == "shop_one_2dmilvus"
    main(["list", "--store", store.uri])
    assert "Milvus FLAT" in capsys.readouterr().out
    with pytest.raises(ConflictError, match="cannot be in two stores"):
        main(["publish", "--store", store.uri, "--version", "one-milvus", "--to", str(tmp_path / "other")])
    with pytest.raises(NotFoundError, match="no gallery 'two'"):
        main(["to-milvus", "two", "--store", store.uri, *options])
    written = (store.gallery("one-milvus") / "manifest.json").read_text()
    assert address.uri not in written
    assert "sesame" not in written


def children() -> set[str]:
    """The ids of the processes that this one has started, from all its threads."""
    return {child for file in Path("/proc/self/task").glob("*/children") for child in file.read_text().split()}


def test_a_folder_belongs_to_one_process(tmp_path, address):
    """milvus-lite runs in this process, so it starts no other, and says so when the folder is another's."""
    before = children()  # of other tests of this process
    with MilvusServer(address), MilvusServer(address) as second:
        assert not second.has("shop_v1")
        script = "import sys; from milvus_lite.db import MilvusLite; MilvusLite(sys.argv[1])"
        ended = subprocess.run(
            [sys.executable, "-c", script, address.uri],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "DataDirLockedError" in ended.stderr
        assert children() <= before
    other = MilvusLite(address.uri)  # nobody holds it any more
    try:
        with pytest.raises(NotReadyError, match="lets one process at a time use a folder"):
            MilvusServer(address)
    finally:
        other.close()


def test_manifests_of_galleries_in_files_are_what_they_were(tmp_path):
    written = (draw_folder(tmp_path / "drawn", count=3) / "manifest.json").read_text()
    assert "milvus" not in written


def test_changes_that_it_does_not_take_in_are_told(store):
    live = LiveGallery(open_gallery(store.gallery("m-one")), store.journal())
    try:
        assert live.refresh().reason is None
        store.journal().append(delete("p1"))
        assert live.refresh().reason == (
            "1 batches of changes wait for the next build, since this gallery's rows lie on Milvus"
        )
    finally:
        live.close()
