"""Galleries on their way into a real S3 server and out of it, through a tap that counts, fails and holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import boto3
import numpy as np
import pytest

from catalog.errors import MalformedError, NotFoundError
from index_builder import s3_store
from index_builder.__main__ import main
from index_builder.errors import ConflictError, GalleryError, StoreError
from index_builder.gallery import Gallery
from index_builder.s3_bucket import PART_BYTES as PART_BYTES_OF_VERBS
from index_builder.s3_bucket import Transfer
from index_builder.s3_store import S3Store
from index_builder.store import LocalStore, open_store
from index_builder.store_interface import Store
from tests.index_builder.s3_tap import Tap, from_the, is_fetched, is_sent, quiet, tapped

ROOT = Path(__file__).parents[2]
URI = "s3://shop/stores/one"
PREFIX = "stores/one"
PART_BYTES = 16 * 1024
BLOB = np.random.default_rng(0).bytes(5 * PART_BYTES + 100)  # six parts


@pytest.fixture
def tap(moto_url: str, aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tap]:
    """A tap before an S3 with the empty bucket `shop`, which takes parts of any size."""
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=60).close()
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    with tapped(moto_url) as tap:
        raw(moto_url).create_bucket(Bucket="shop")
        yield tap


@pytest.fixture
def store(tap: Tap, tmp_path: Path) -> S3Store:
    return at(tap.url, tmp_path / "cache")


def at(url: str, cache: Path, uri: str = URI) -> S3Store:
    return S3Store.at(uri, endpoint_url=url, cache=cache, transfer=Transfer(part_bytes=PART_BYTES, workers=3))


def raw(url: str):
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1")


def objects(url: str) -> dict[str, bytes]:
    client = raw(url)
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="shop").get("Contents", ())]
    return {key: client.get_object(Bucket="shop", Key=key)["Body"].read() for key in keys}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pieces_of(folder: Path) -> int:
    """How many calls carry the files of a gallery."""
    sizes = [len(content) for name, content in contents(folder).items() if name != "manifest.json"]
    return sum(max(1, -(-size // PART_BYTES)) for size in sizes)


def test_what_is_published_is_fetched(store, finished, tap, moto_url):
    folder = finished("one", more={"blob.bin": BLOB})
    store.publish(folder, "one")
    files = contents(folder)
    assert objects(moto_url) == {f"{PREFIX}/galleries/one/{name}": content for name, content in files.items()}
    assert [call for call in tap.calls if call.method == "PUT"][-1].path.endswith("/galleries/one/manifest.json")
    assert len([call for call in tap.sent() if "/blob.bin?" in call.path]) == 6
    fetched = store.fetch("one")
    assert contents(fetched) == files
    assert len([call for call in tap.fetched() if call.path.endswith("/blob.bin")]) == 6
    gallery = Gallery.open(fetched)
    assert gallery.search(gallery.image_vector(3)[None], None, weight=0, top_k=1).rows.tolist() == [[3]]
    assert store.versions() == ["one"]
    assert sorted(path.name for path in store.cache.iterdir()) == ["one"]


def test_what_is_there_is_neither_sent_nor_fetched_again(store, finished, tap):
    folder = finished("one")
    store.publish(folder, "one")
    store.fetch("one")
    sent, fetched = tap.sent(), tap.fetched()
    store.publish(folder, "one")
    store.fetch("one")
    assert (tap.sent(), tap.fetched()) == (sent, fetched)
    with pytest.raises(ConflictError, match=r"gallery 'one' exists in s3://shop/stores/one already"):
        store.publish(finished("one"), "one")
    assert tap.sent() == sent


def test_a_damaged_copy_is_fetched_anew(store, finished):
    folder = finished("one")
    store.publish(folder, "one")
    vectors = store.fetch("one") / "vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"?")
    assert contents(store.fetch("one")) == contents(folder)
    store._remove("one")
    again = finished("one")
    store.publish(again, "one")  # the name was free: another gallery has it now
    assert contents(store.fetch("one")) == contents(again)


@pytest.mark.parametrize("what", ["flipped", "shorter", "longer", "missing"])
@pytest.mark.parametrize("name", ["blob.bin", "vectors.npy"])
def test_a_gallery_that_changed_in_the_bucket_is_refused(store, finished, moto_url, what, name):
    folder = finished("one", more={"blob.bin": BLOB})
    store.publish(folder, "one")
    key, content = f"{PREFIX}/galleries/one/{name}", (folder / name).read_bytes()
    changed = {
        "flipped": content[:40] + bytes([content[40] ^ 1]) + content[41:],
        "shorter": content[:-1],
        "longer": content + b"?",
        "missing": b"",
    }[what]
    metadata = raw(moto_url).head_object(Bucket="shop", Key=key)["Metadata"]
    raw(moto_url).delete_object(Bucket="shop", Key=key)
    if what != "missing":
        raw(moto_url).put_object(Bucket="shop", Key=key, Body=changed, Metadata=metadata)
    said = {
        "flipped": "is damaged: its sha256 is not the manifest's",
        "shorter": f"is damaged: it has {len(content) - 1} bytes, the manifest says {len(content)}",
        "longer": f"is damaged: it has {len(content) + 1} bytes, the manifest says {len(content)}",
        "missing": "is missing, so the gallery is incomplete",
    }[what]
    with pytest.raises(GalleryError, match=f"{URI}/galleries/one/{name} {said}"):
        store.fetch("one")
    assert not (store.cache / "one").exists()
    with pytest.raises(GalleryError, match=r"gallery one is|is damaged"):
        store.swap("one")
    assert store.live() is None
    raw(moto_url).put_object(Bucket="shop", Key=key, Body=content, Metadata=metadata)
    assert contents(store.fetch("one")) == contents(folder)


@pytest.mark.parametrize("number", [1, 4, 9, 15])
def test_a_stopped_upload_goes_on(store, finished, tap, moto_url, tmp_path, number):  # noqa: PLR0917
    live = finished("live")
    store.publish(live, "live")
    store.swap("live")
    folder = finished("one", more={"blob.bin": BLOB})
    tap.calls.clear()
    tap.trouble = from_the(number, is_sent, "denied")
    with pytest.raises(StoreError, match="refuses"):
        store.publish(folder, "one")
    assert store.versions() == ["live"]
    assert f"{PREFIX}/galleries/one/manifest.json" not in objects(moto_url)
    assert contents(at(moto_url, tmp_path / "other").fetch("live")) == contents(live)
    tap.trouble = quiet
    store.publish(folder, "one")
    pieces = pieces_of(folder)
    assert (len(tap.sent()), len(set(tap.sent()))) == (pieces, pieces)
    assert contents(at(moto_url, tmp_path / "other").fetch("one")) == contents(folder)


@pytest.mark.parametrize("number", [1, 4, 9, 15])
def test_a_stopped_download_goes_on(store, finished, tap, number):
    folder = finished("one", more={"blob.bin": BLOB})
    store.publish(folder, "one")
    tap.trouble = from_the(number, is_fetched, "denied")
    with pytest.raises(StoreError, match="refuses GetObject: Access Denied"):
        store.fetch("one")
    assert not (store.cache / "one").exists()
    tap.trouble = quiet
    assert contents(store.fetch("one")) == contents(folder)
    assert (len(tap.fetched()), len(set(tap.fetched()))) == (pieces_of(folder), pieces_of(folder))
    assert sorted(path.name for path in store.cache.iterdir()) == ["one"]


def test_ranges_that_did_not_reach_the_disk_are_fetched_again(store, finished, tap):
    folder = finished("one", more={"blob.bin": BLOB})
    store.publish(folder, "one")
    tap.trouble = from_the(15, is_fetched, "denied")
    with pytest.raises(StoreError):
        store.fetch("one")
    partial = store.cache / ".fetch-one" / "files" / "blob.bin"
    partial.write_bytes(bytes(len(BLOB)))  # as after a power cut
    tap.trouble = quiet
    assert contents(store.fetch("one")) == contents(folder)


def test_a_busy_store_and_an_answer_that_breaks_off_are_asked_again(store, finished, tap):
    folder = finished("one", more={"blob.bin": BLOB})
    seen: set[str] = set()

    def first_time(what: str) -> Callable[..., str]:
        def trouble(call) -> str:
            wanted = "blob.bin" in call.path and (is_sent(call) or is_fetched(call))
            known = call.path + call.span in seen
            seen.add(call.path + call.span)
            return what if wanted and not known else ""

        return trouble

    tap.trouble = first_time("busy")
    store.publish(folder, "one")
    seen.clear()
    tap.trouble = first_time("cut")
    assert contents(store.fetch("one")) == contents(folder)


def test_two_swaps_at_once(store, finished, tap, tmp_path, monkeypatch):
    """Both have read the pointer before either writes it."""
    for version in ("one", "two", "three"):
        store.publish(finished(version), version)
    store.swap("one")
    both = threading.Barrier(2, timeout=120)
    write = S3Store._write_pointer
    turn = threading.Lock()  # moto looks at the ETag and writes in two steps

    def wait_and_write(self, content: bytes, *, state: str | None) -> bool:
        both.wait()
        with turn:
            return write(self, content, state=state)

    monkeypatch.setattr(S3Store, "_write_pointer", wait_and_write)
    outcomes: dict[str, object] = {}

    def swap(version: str) -> None:
        try:
            outcomes[version] = at(tap.url, tmp_path / version).swap(version).live.gallery
        except ConflictError as error:
            outcomes[version] = error

    threads = [threading.Thread(target=swap, args=(version,)) for version in ("two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pointer = store.live()
    winner = pointer.live.gallery
    loser = {"two": "three", "three": "two"}[winner]
    assert outcomes[winner] == winner
    assert f"another swap came first: the live gallery is {winner} now" in str(outcomes[loser])
    assert pointer.previous.gallery == "one"


def test_a_swap_whose_answer_was_lost_is_no_conflict(store, finished, tap):
    """The question is sent again and then meets what it wrote itself."""
    store.publish(finished("one"), "one")
    store.publish(finished("two"), "two")
    store.swap("one")
    seen = []

    def lose_once(call) -> str:
        if call.method == "PUT" and call.path.endswith("/live.json") and not seen:
            seen.append(call)
            return "lose"
        return ""

    tap.trouble = lose_once
    assert store.swap("two") == store.live()
    assert store.live().live.gallery == "two"
    assert len(seen) == 1


def test_two_galleries_of_one_name_never_mix(store, finished, tap, moto_url, tmp_path, monkeypatch):  # noqa: PLR0917
    first, second = finished("one", more={"blob.bin": BLOB}), finished("one", more={"blob.bin": BLOB[::-1]})
    tap.trouble = from_the(3, is_sent, "denied")
    with pytest.raises(StoreError):
        store.publish(first, "one")
    tap.trouble = quiet
    other = at(moto_url, tmp_path / "other")
    with pytest.raises(ConflictError, match="another gallery 'one' is on its way into s3://shop/stores/one"):
        other.publish(second, "one")
    store.publish(finished("two"), "two")
    store.swap("two")
    store.prune(keep=9)
    with pytest.raises(ConflictError):
        other.publish(second, "one")  # prune waits for a day
    monkeypatch.setattr(s3_store, "ABANDONED_AFTER", timedelta(0))
    store.prune(keep=9)
    assert not [key for key in objects(moto_url) if "/one" in key.removeprefix(PREFIX)]
    assert "Uploads" not in raw(moto_url).list_multipart_uploads(Bucket="shop")
    other.publish(second, "one")
    assert contents(other.fetch("one")) == contents(second)


def test_a_manifest_that_names_files_elsewhere_is_refused(store, finished, moto_url, tmp_path):
    folder = finished("one")
    store.publish(folder, "one")
    text = (folder / "manifest.json").read_text().replace('"labels.npz"', '"../../../labels.npz"')
    raw(moto_url).put_object(Bucket="shop", Key=f"{PREFIX}/galleries/one/manifest.json", Body=text.encode())
    with pytest.raises(GalleryError, match=r"names the file '../../../labels.npz' outside the gallery"):
        store.fetch("one")
    assert not list(tmp_path.rglob("labels.npz"))


@pytest.mark.parametrize(
    "uri", ["s3://", "s3://b", "s3:///prefix", "s3://bucket/../other", "s3://bucket/a b", "gs://bucket"]
)
def test_addresses_that_are_no_store(uri):
    with pytest.raises(MalformedError, match=r"has no usable bucket and prefix|is neither a folder nor s3"):
        open_store(uri)


def test_what_can_be_wrong_is_one_sentence(store, tap, finished, tmp_path, monkeypatch):
    with pytest.raises(NotFoundError, match=f"no gallery 'one' in {URI}; published are: none"):
        store.fetch("one")
    with pytest.raises(NotFoundError, match=f"no store at {URI}: nothing is there"):
        main(["list", "--store", URI, "--endpoint-url", tap.url])
    absent = at(tap.url, tmp_path / "cache", "s3://absent/one")
    for ask in (absent.versions, absent.live, lambda: absent.publish(finished("one"), "one")):
        with pytest.raises(StoreError, match="the bucket absent of the store s3://absent/one does not exist"):
            ask()
    tap.trouble = from_the(1, bool, "denied")
    for ask in (store.versions, store.live, lambda: store.swap("one")):
        with pytest.raises(StoreError, match=f"the store {URI} refuses .*check credentials and bucket policy"):
            ask()
    tap.trouble = from_the(1, bool, "busy")
    with pytest.raises(
        StoreError, match=r"fails at GetObject, 4 times: Please reduce your request rate\. \(SlowDown\)"
    ):
        store.live()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=f"no AWS credentials were found for {URI}"):
        at(tap.url, tmp_path / "cache").live()


def test_a_store_that_is_not_there_is_one_sentence(aws_environment, tmp_path):
    with tapped("http://127.0.0.1:1") as gone:
        pass
    with pytest.raises(StoreError, match=rf"the store {URI} was not reached .*{gone.url}.*check the network"):
        at(gone.url, tmp_path).live()


def test_verbs_on_s3(store, finished, tap, tmp_path, monkeypatch, capsys):  # noqa: PLR0917
    """The address comes from AWS_ENDPOINT_URL, as boto3 has it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", tap.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    local = LocalStore(tmp_path / "local")
    for version in ("one", "two", "three"):
        local.publish(finished(version), version)

    def said(*arguments: str) -> str:
        main(list(arguments))
        return capsys.readouterr().out.strip().splitlines()[-1]

    for version in local.versions():
        assert (
            said("publish", "--store", str(local.path), "--version", version, "--to", URI)
            == f"gallery {version} of 24 products is published, not live: {URI}/galleries/{version}"
        )
    assert said("swap", "one", "--store", URI) == f"gallery one is live in {URI}; before it: none"
    assert said("swap", "two", "--store", URI) == f"gallery two is live in {URI}; before it: one"
    assert said("rollback", "--store", URI) == f"gallery one is live again in {URI}; before it: two"
    assert said("list", "--store", URI) == f"3 galleries in {URI}; live: one"
    assert said("verify", "--store", URI).startswith("gallery one is whole: 12 files")
    assert (
        said("prune", "--keep", "0", "--dry-run", "--store", URI) == f"1 galleries would be removed from {URI}; 2 stay"
    )
    assert said("prune", "--keep", "0", "--store", URI) == f"1 galleries were removed from {URI}; 2 stay"
    assert store.versions() == ["one", "two"]
    back = tmp_path / "back"
    said("publish", "--store", URI, "--version", "two", "--to", str(back))
    assert contents(LocalStore(back).gallery("two")) == contents(local.gallery("two"))


def test_a_gallery_built_for_s3_that_cannot_be_sent_is_kept(store, finished, tap, tmp_path):
    folder = finished("one")
    tap.trouble = from_the(2, is_sent, "denied")
    with (
        pytest.raises(StoreError, match="the gallery is finished and kept: send it with") as caught,
        staged(store, folder),
    ):
        pass
    command = str(caught.value).split("`")[1].split()[3:]
    tap.trouble = quiet
    main([*command, "--endpoint-url", tap.url])
    assert contents(at(tap.url, tmp_path / "other").fetch("one")) == contents(folder)


def staged(store: Store, folder: Path):
    """What `build` does with a store."""
    import contextlib
    import shutil

    @contextlib.contextmanager
    def build() -> Iterator[None]:
        with store.staging("one") as staging:
            shutil.copytree(folder, staging, dirs_exist_ok=True)
            store.publish(staging, "one")
            yield

    return build()


@pytest.mark.slow
def test_a_killed_publish_is_run_again(store, finished, tap, moto_url, tmp_path):
    """Kill -9 while a part is on its way; what has arrived is not sent twice."""
    blob = np.random.default_rng(1).bytes(PART_BYTES_OF_VERBS + 5)
    local = LocalStore(tmp_path / "local")
    local.publish(finished("one", more={"blob.bin": blob}), "one")
    verb = ["publish", "--store", str(local.path), "--version", "one", "--to", URI, "--endpoint-url", tap.url]
    tap.trouble = from_the(9, is_sent, "hold")
    command = [sys.executable, "-m", "index_builder", *verb, "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert tap.held.wait(240), process.stdout.read() if process.poll() is not None else "still running"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert store.versions() == []
    before = tap.sent()
    assert len(before) >= 4
    tap.trouble = quiet
    tap.release.set()
    main(verb)
    assert contents(at(moto_url, tmp_path / "other").fetch("one")) == contents(local.gallery("one"))
    assert not set(before) & set(tap.sent()[len(before) :])
