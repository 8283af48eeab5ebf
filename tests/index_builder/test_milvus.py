"""Galleries on Milvus (milvus-lite, the real one in this process) against the FAISS Flat gallery of the same folder."""

from __future__ import annotations

import io
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.errors import MalformedError, NotFoundError, NotReadyError, OutOfRangeError
from index_builder.errors import ConflictError, GalleryError
from index_builder.gallery import Gallery
from index_builder.integrity import read_manifest, record_files, write_manifest
from index_builder.milvus_gallery import MilvusGallery
from index_builder.milvus_publish import MilvusTarget, to_milvus
from index_builder.milvus_rows import SourceRows
from index_builder.milvus_schema import MilvusIndex, collection_name
from index_builder.milvus_server import MilvusAddress, MilvusServer
from index_builder.opening import open_gallery
from tests.index_builder.milvus_folders import WEIGHT, draw_folder, draw_queries

pytest.importorskip("pymilvus", reason="pymilvus is not installed")
MilvusLite = pytest.importorskip("milvus_lite.db", reason="milvus-lite is not installed").MilvusLite


@pytest.fixture
def address(tmp_path: Path) -> Iterator[MilvusAddress]:
    """A milvus-lite of this test's own; afterwards nobody may hold its folder."""
    address = MilvusAddress(str(tmp_path / "milvus" / "g.db"))
    yield address
    if Path(address.uri).exists():
        MilvusLite(address.uri).close()  # raises while a server of it runs


def send(folder: Path, address: MilvusAddress, *, version: str = "v1", index: str = "FLAT") -> Path:
    made = folder.parent / f"made-{version}-{folder.name}"
    made.mkdir()
    to_milvus(folder, made, version=version, target=MilvusTarget(address, prefix="shop", index=MilvusIndex(index)))
    return made


def assert_same_hits(got, expected, *, tolerance: float = 1e-5) -> None:
    """The same scores, and the same rows wherever scores are not as good as equal."""
    np.testing.assert_allclose(got.scores, expected.scores, atol=tolerance)
    np.testing.assert_allclose(got.image_scores, expected.image_scores, atol=tolerance)
    np.testing.assert_allclose(got.text_scores, expected.text_scores, atol=tolerance)  # nan where the other is nan
    gap = np.abs(np.diff(expected.scores, axis=1, prepend=np.inf, append=-np.inf))
    clear = (gap[:, 1:] > tolerance) & (gap[:, :-1] > tolerance)
    np.testing.assert_array_equal(got.rows[clear], expected.rows[clear])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MilvusGallery, Gallery]]:
    """600 rows of 200 products, three rows each, of which each seventh has no text."""
    root = tmp_path_factory.mktemp("milvus")
    folder = draw_folder(root / "drawn", count=600, rows_each=3)
    address = MilvusAddress(str(root / "g.db"))
    on_milvus, on_faiss = MilvusGallery.open(send(folder, address), address), Gallery.open(folder)
    yield on_milvus, on_faiss
    on_milvus.close()
    on_faiss.close()


@pytest.mark.parametrize("weight", [0, None, 4 * WEIGHT, 25])
@pytest.mark.parametrize("top_k", [1, 10, 150, 200, 999])
def test_the_hits_of_faiss(both, weight, top_k):
    images, texts = draw_queries(5)
    got, expected = (gallery.search(images, texts, weight=weight, top_k=top_k) for gallery in both)
    assert got.rows.shape == (5, min(top_k, 200))
    assert_same_hits(got, expected)
    assert (np.isnan(got.text_scores) == ((got.rows % 7 == 0) | (np.arange(5) == 1)[:, None])).all()
    assert got.rows.dtype == np.int64
    assert got.scores.dtype == np.float32


def test_queries_without_text_and_none_at_all(both):
    images, texts = draw_queries(3)
    got, expected = (gallery.search(images, None, top_k=7) for gallery in both)
    assert_same_hits(got, expected)
    assert np.isnan(got.text_scores).all()
    assert both[0].search(images[:0], texts[:0], top_k=7).rows.shape == (0, 7)


def test_expanded_queries(both):
    images, texts = draw_queries(4)
    got, expected = (gallery.search(images, texts, top_k=20, expand=5) for gallery in both)
    assert_same_hits(got, expected)


def test_many_threads_get_the_answers_of_one(both):
    images, texts = draw_queries(3)
    weights = [0, 1, 5, 25] * 3
    expected = [both[0].search(images, texts, weight=weight, top_k=5).rows for weight in weights]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda weight: both[0].search(images, texts, weight=weight, top_k=5).rows, weights))
    np.testing.assert_array_equal(found, expected)


def test_more_products_than_one_search_lists(both, monkeypatch):
    """With room for 16 rows in one answer, 150 products of three rows each need many answers."""
    searcher = both[0]._now.searcher
    monkeypatch.setattr(searcher, "_most", 16)
    images, texts = draw_queries(2)
    got, expected = (gallery.search(images, texts, top_k=150) for gallery in both)
    assert_same_hits(got, expected)
    np.testing.assert_array_equal(both[0].image_vector(599), searcher.vectors([599, 0])[0][0, :8])


def test_everything_else_that_is_asked_of_a_gallery(both):
    on_milvus, on_faiss = both
    rows = [599, 0, 7, 7, 300]
    assert on_milvus.rows(rows) == on_faiss.rows(rows)
    assert list(on_milvus.product(3)) == list(on_faiss.product(3))
    assert on_milvus.row_of("p41") == on_faiss.row_of("p41") == 123
    assert on_milvus.category_paths() == on_faiss.category_paths()
    assert on_milvus.image_bytes(5) == on_faiss.image_bytes(5)
    np.testing.assert_allclose(on_milvus.image_vector(4), on_faiss.image_vector(4), atol=1e-7)
    np.testing.assert_allclose(on_milvus.text_vector(4), on_faiss.text_vector(4), atol=1e-7)
    assert on_milvus.text_vector(7) is None
    assert on_milvus.labels.labels == on_faiss.labels.labels
    assert on_milvus.words is on_milvus.unknown_label is None
    assert on_milvus.manifest.milvus.collection == "shop_v1"


def test_wrong_questions_are_refused_in_the_same_words(both):
    images, texts = draw_queries(2)
    asked = [
        (images[:, :-1], texts, {}),
        (images, texts[:1], {}),
        (images, 3 * texts, {}),
        (images * np.inf, texts, {}),
        (images, texts, {"weight": 26}),
        (images, texts, {"top_k": 0}),
        (images, texts, {"candidates": 0}),
    ]
    for image, text, options in asked:
        said = []
        for gallery in both:
            with pytest.raises(OutOfRangeError) as caught:
                gallery.search(image, text, **options)
            said.append(str(caught.value))
        assert said[0] == said[1]
    with pytest.raises(NotFoundError, match="no product 'nope'"):
        both[0].row_of("nope")
    with pytest.raises(NotFoundError, match="no product"):
        both[0].row_of('p1" or row >= 0 or "')
    for ask in (both[0].product, both[0].image_vector, both[0].text_vector, both[0].image_bytes):
        with pytest.raises(OutOfRangeError, match="row is 600, the gallery has rows 0 to 599"):
            ask(600)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.tuples(st.integers(1, 40), st.integers(1, 4)),
    dims=st.tuples(st.integers(2, 6), st.sampled_from([0, 2, 5])),
    asking=st.tuples(st.sampled_from([0.0, 0.1, WEIGHT, 8.0, 25.0]), st.integers(1, 50)),
    seed=st.integers(0, 999),
)
def test_any_gallery_gives_the_hits_of_faiss(tmp_path_factory, rows, dims, asking, seed):
    root = tmp_path_factory.mktemp("drawn")
    (count, rows_each), (image_dim, text_dim), (weight, top_k) = rows, dims, asking
    folder = draw_folder(
        root / "g", count=count, rows_each=rows_each, image_dim=image_dim, text_dim=text_dim, textless=3, seed=seed
    )
    address = MilvusAddress(str(root / "g.db"))
    on_milvus, on_faiss = MilvusGallery.open(send(folder, address), address), Gallery.open(folder)
    try:
        asked = draw_queries(3, image_dim=image_dim, text_dim=text_dim, seed=seed + 1)
        got, expected = (gallery.search(*asked, weight=weight, top_k=top_k) for gallery in (on_milvus, on_faiss))
        assert_same_hits(got, expected)
        assert [sorted(row) for row in got.rows.tolist()] == [sorted(set(row)) for row in got.rows.tolist()]
    finally:
        on_milvus.close()


@pytest.mark.slow
@pytest.mark.parametrize("index", ["HNSW", "IVF_FLAT", "IVF_SQ8"])
def test_approximate_indexes_find_enough_and_score_exactly(tmp_path, address, index):
    folder = draw_folder(tmp_path / "drawn", count=400, rows_each=2)
    on_milvus, on_faiss = MilvusGallery.open(send(folder, address, index=index), address), Gallery.open(folder)
    try:
        images, texts = draw_queries(10)
        got = on_milvus.search(images, texts, top_k=10)
        exact = on_faiss.search(images, texts, top_k=200)
        places = [[np.flatnonzero(exact.rows[k] == row)[0] for row in got.rows[k]] for k in range(10)]
        np.testing.assert_allclose(got.scores, np.take_along_axis(exact.scores, np.array(places), 1), atol=1e-5)
        assert np.mean(got.scores >= exact.scores[:, 9:10] - 1e-5) >= 0.95
        assert [len(set(row)) for row in on_milvus.search(images[:2], texts[:2], top_k=200).rows // 2] == [200, 200]
        assert min(row.recall_at_10 for row in on_milvus.manifest.recall) >= 0.95
    finally:
        on_milvus.close()


@pytest.mark.slow
def test_equal_rows_come_in_row_order(tmp_path, address):
    folder = draw_folder(tmp_path / "drawn", count=120, text_dim=0)
    parts = np.repeat(np.load(folder / "vectors.npy")[:1], 120, axis=0)
    np.save(folder / "vectors.npy", parts)
    write_manifest(folder, read_manifest(folder).model_copy(update={"files": record_files(folder)}))
    gallery = MilvusGallery.open(send(folder, address), address)
    try:
        assert gallery.search(parts[:1] + 1, None, top_k=5).rows.tolist() == [[0, 1, 2, 3, 4]]
    finally:
        gallery.close()


def test_the_shop_with_its_words(finished, address, networks):
    """Real vectors, words and pictures: what the service asks for, from a folder without rows."""
    folder = finished("shop")
    made = send(folder, address)
    assert not {"index.faiss", "vectors.npy", "thumbnails.bin", "products.parquet"} & set(read_manifest(made).files)
    on_milvus, on_faiss = (
        open_gallery(one, spaces=networks.info.spaces, milvus_uri=address.uri) for one in (made, folder)
    )
    try:
        text = on_faiss.text_part("shiny ring")
        np.testing.assert_array_equal(on_milvus.text_part("shiny ring"), text)
        image = on_faiss.image_vector(7)
        for weight in (0, None, 4):
            got, expected = (
                one.search(image[None], text[None], weight=weight, top_k=24) for one in (on_milvus, on_faiss)
            )
            assert_same_hits(got, expected)
        assert on_milvus.rows(range(26)) == on_faiss.rows(range(26))
        assert [on_milvus.image_bytes(row) for row in range(26)] == [on_faiss.image_bytes(row) for row in range(26)]
        assert on_milvus.category_paths() == on_faiss.category_paths()
        assert (on_milvus.folder / on_milvus.manifest.references[0].image).is_file()
    finally:
        on_milvus.close()
    on_milvus.close()
    with pytest.raises(GalleryError, match="was closed"):
        on_milvus.search(image[None], None)


def test_pictures_too_large_for_a_field_are_made_smaller(tmp_path):
    folder = draw_folder(tmp_path / "drawn", count=1)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (320, 320, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=95)
    assert len(buffer.getvalue()) > 49_149  # 65,535 characters of base64
    source = SourceRows.of(folder, read_manifest(folder), np.load(folder / "vectors.npy"))
    source.table.picture = lambda _: buffer.getvalue()
    sent = source.batch(0, 1)[0]["thumbnail"]
    assert len(sent) <= 65_535
    source.table.rows = lambda _: [{**dict.fromkeys(("url", "label", "split")), **PRODUCT, "description": "é" * 40_000}]
    with pytest.raises(GalleryError, match="description of product p0 has 80,000 bytes, Milvus takes 65,535"):
        source.batch(0, 1)


PRODUCT = {"product_id": "p0", "image": "", "title": "", "category_path": "", "price": None, "cluster": ""} | {
    "attributes": {},
    "extra": {},
}


@pytest.mark.parametrize(
    ("version", "name"),
    [("v1", "shop_v1"), ("20261121-190627", "shop_20261121_2d190627"), ("a.b_c", "shop_a_2eb_5fc")],
)
def test_names_of_collections(version, name):
    assert collection_name("shop", version) == name


def test_names_that_no_collection_can_have():
    for prefix, version, message in [
        ("my_shop", "v1", "prefix 'my_shop' is not usable"),
        ("shop", "live", "cannot have the version 'live'"),
        ("shop", "-" * 100, "makes a name of 305 characters, Milvus takes 255"),
    ]:
        with pytest.raises(OutOfRangeError, match=message):
            collection_name(prefix, version)
    with pytest.raises(OutOfRangeError, match="milvus-lite has no DISKANN index"):
        MilvusTarget(MilvusAddress("g.db"), index=MilvusIndex.DISKANN)
    with pytest.raises(MalformedError, match="no address of Milvus: give --uri or set SHOPCAM_MILVUS_URI"):
        MilvusAddress.given()


def test_collections_that_do_not_fit_are_refused(tmp_path, address):
    small = send(draw_folder(tmp_path / "small", count=20), address)
    longer = send(draw_folder(tmp_path / "longer", count=20, image_dim=9), address, version="v2")
    manifest = read_manifest(small)
    other = read_manifest(longer).milvus
    for changes, message in [
        ({"milvus": other}, "the collection shop_v2 has vectors of dim 14, the manifest says 13"),
        ({"count": 21}, "the collection shop_v1 has 20 rows, the manifest says 21; run to-milvus again"),
        (
            {"milvus": other.model_copy(update={"collection": "shop_v3"})},
            r"has no collection shop_v3, which gallery v1",
        ),
    ]:
        write_manifest(small, manifest.model_copy(update=changes))
        with pytest.raises(GalleryError, match=message):
            open_gallery(small, milvus_uri=address.uri)
    write_manifest(small, manifest)
    with pytest.raises(GalleryError, match="built with another model"):
        open_gallery(small, spaces={"embedder": "other"}, milvus_uri=address.uri)
    with pytest.raises(ConflictError, match="the collection shop_v1 exists and holds other rows"):
        send(draw_folder(tmp_path / "third", count=21), address)
    with pytest.raises(GalleryError, match=r"incomplete: its manifest does not list index\.faiss"):
        Gallery.open(small)


def test_servers_that_do_not_answer(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    for uri in (f"http://user:secret@127.0.0.1:{port}", "http://127.0.0.1:99999", "carrier-pigeon://here"):
        with pytest.raises(NotReadyError, match=r"Milvus at .* did not connect within 1 s") as caught:
            MilvusServer(MilvusAddress(uri, timeout_s=1))
        assert "secret" not in str(caught.value)
    with socket.socket() as silent:  # takes the connection and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(NotReadyError, match="did not connect within 1 s"):
            MilvusServer(MilvusAddress(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=1))


def test_a_refused_token_is_one_sentence():
    grpc = pytest.importorskip("grpc")

    class Refusing(grpc.ServerInterceptor):
        def intercept_service(self, *_):
            def refuse(request, context):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check username and password")

            return grpc.unary_unary_rpc_method_handler(refuse)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, interceptors=[Refusing()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with pytest.raises(NotReadyError, match="refuses the token; set SHOPCAM_MILVUS_TOKEN"):
            MilvusServer(MilvusAddress(f"http://127.0.0.1:{port}", token="root:wrong", timeout_s=2))
        server.stop(None).wait()


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(NotReadyError, match=r"need the package pymilvus; pip install 'shopcam\[scale\]'"):
        MilvusServer(MilvusAddress("http://127.0.0.1:1"))


def test_an_address_shows_no_password(monkeypatch):
    address = MilvusAddress("https://user:secret@host:19530/db?token=secret", token="secret")
    assert address.shown == "https://host:19530"
    assert "secret" not in repr(address)
