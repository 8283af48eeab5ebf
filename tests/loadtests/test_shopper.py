"""Shoppers by their seed; photos as phones send them."""

import io
import statistics
from collections import Counter

import pytest
from PIL import Image
from python_multipart import parse_form

from loadtests.mistakes import LoadTestError
from loadtests.photos import LONG_SIDES_PX, Photo, load_photos
from loadtests.shopper import Kind, Shopper

PHOTOS = tuple(Photo(f"{n}.jpg", b"\xff\xd8" + bytes([n]) * 800) for n in range(50))
ANSWER = b'{"query_id": "q7", "hits": [{"product_id": "p1"}]}'


def actions(number, *, seed="s", garbage=0.01, answer=ANSWER):
    shopper = Shopper(PHOTOS, ("mug", "red lamp"), seed=seed, think_s=1, garbage=garbage)
    found = []
    for _ in range(number):
        found.append(shopper.next())
        shopper.saw(found[-1], 415 if found[-1].kind is Kind.GARBAGE else 200, answer)
    return found


def test_shares_are_those_that_are_promised() -> None:
    number = 10_000
    counts = Counter(action.kind for action in actions(number))
    photos = 0.99 * 0.75
    expected = {
        Kind.GARBAGE: 0.01,
        Kind.SLIDER: 0.99 * 0.15,
        Kind.SIMILAR: 0.99 * 0.10,
        Kind.AGAIN: photos * 0.2,
        Kind.CATEGORY: photos * 0.8 * 0.1,
        Kind.PHOTO: photos * 0.8 * 0.9,
    }

    for kind, share in expected.items():
        deviation = (share * (1 - share) / number) ** 0.5
        assert counts[kind] / number == pytest.approx(share, abs=5 * deviation), kind


def test_the_same_seed_asks_the_same() -> None:
    assert actions(300) == actions(300)
    assert actions(300) != actions(300, seed="t")


def test_slider_and_similar_use_what_was_answered_and_forget_what_is_gone() -> None:
    shopper = Shopper(PHOTOS, seed="s", think_s=1, garbage=0)
    asked = actions(500, garbage=0)
    assert {a.fields["query_id"] for a in asked if a.kind is Kind.SLIDER} == {"q7"}
    assert {a.fields["product_id"] for a in asked if a.kind is Kind.SIMILAR} == {"p1"}
    assert all(0 <= float(a.fields["weight"]) <= 25 for a in asked if a.kind is Kind.SLIDER)

    shopper.saw(asked[0], 200, ANSWER)
    slider = next(a for a in asked if a.kind is Kind.SLIDER)
    shopper.saw(slider, 404, b"")
    again = [shopper.next() for _ in range(200)]
    assert Kind.SLIDER not in {action.kind for action in again}


def test_what_is_a_right_answer() -> None:
    shopper = Shopper(PHOTOS, seed="s", think_s=1, garbage=0)
    search, garbage = actions(1, garbage=0)[0], actions(1, garbage=1)[0]

    assert [status for status in (200, 400, 413, 415, 422, 429, 500) if search.is_right(status)] == [200]
    assert [s for s in (0, 200, 400, 404, 413, 415, 422, 500) if garbage.is_right(s)] == [400, 413, 415, 422]
    assert shopper.saw(search, 200, ANSWER) is None
    assert shopper.saw(search, 200, b'{"query_id": "q", "hits": []}') == "no hits"
    assert shopper.saw(search, 200, b"[]") == "the body is not an answer of POST /search"


def test_garbage_comes_in_four_kinds() -> None:
    found = actions(200, garbage=1)

    assert {(a.photo.name[-7:], a.file_field) for a in found if a.file_field == "image"} == {
        ("cut.jpg", "image"),
        ("ist.jpg", "image"),
        ("pty.jpg", "image"),
    }
    assert any(a.file_field == "picture" for a in found)


def test_bodies_are_multipart_that_others_read() -> None:
    """python-multipart, which the service reads forms with, is the oracle."""
    action = next(a for a in actions(200, garbage=0) if a.kind is Kind.CATEGORY)
    body, content_type = action.body()
    fields, files = {}, {}
    headers = {"Content-Type": content_type.encode(), "Content-Length": str(len(body)).encode()}

    def on_file(file) -> None:
        file.file_object.seek(0)
        files[file.field_name] = (file.file_name, file.file_object.read())

    parse_form(headers, io.BytesIO(body), lambda f: fields.update({f.field_name: f.value}), on_file)

    assert fields == {b"category": action.fields["category"].encode()}
    assert files == {b"image": (action.photo.name.encode(), action.photo.data)}


def test_pauses_have_the_mean_that_was_asked() -> None:
    shopper = Shopper(PHOTOS, seed="s", think_s=2, garbage=0)
    pauses_s = [shopper.pause_s() for _ in range(20_000)]

    # Log-normal, sigma 0.6: mean 2, median 2 / exp(0.18), standard deviation 2 sqrt(exp(0.36) - 1) = 1.32.
    assert statistics.fmean(pauses_s) == pytest.approx(2, abs=5 * 1.32 / 20_000**0.5)
    assert statistics.median(pauses_s) == pytest.approx(2 / 1.1972, rel=0.03)
    assert Shopper(PHOTOS, seed="s", think_s=0, garbage=0).pause_s() == 0


def test_photos_have_the_sizes_that_phones_send(photos) -> None:
    found = {photo.name: photo.data for photo in load_photos(photos, seed=3)}
    assert found["small.jpg"] == (photos / "small.jpg").read_bytes()  # never enlarged, never coded twice
    sizes = set()
    for seed in range(4):
        with Image.open(io.BytesIO({p.name: p.data for p in load_photos(photos, seed=seed)}["large.jpg"])) as picture:
            assert picture.format == "JPEG"
            assert picture.size[0] / picture.size[1] == pytest.approx(4 / 3, rel=0.01)
            sizes.add(picture.size[0])
    assert sizes <= set(LONG_SIDES_PX)
    assert len(sizes) > 1
    assert load_photos(photos, seed=3) == load_photos(photos, seed=3)


def test_orientation_survives(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (2200, 1400)).save(tmp_path / "turned.jpg", exif=exif)

    with Image.open(io.BytesIO(load_photos(tmp_path)[0].data)) as picture:
        assert max(picture.size) < 2200
        assert picture.getexif()[0x0112] == 6


def test_folders_without_photos_are_a_mistake(tmp_path, photos) -> None:
    with pytest.raises(LoadTestError, match="no photo folder was given"):
        load_photos("")
    with pytest.raises(LoadTestError, match="does not exist"):
        load_photos(tmp_path / "nowhere")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(LoadTestError, match="holds no photos"):
        load_photos(tmp_path)
    assert len(load_photos(photos, most=1)) == 1
