"""`python -m bento search` when the service refuses, is busy, is slow, or is none: one sentence each."""

from __future__ import annotations

from pathlib import Path

import pytest

from bento import client
from catalog.errors import MalformedError, NotReadyError, ShopcamError, UnauthorizedError
from tests.answering import JSON, answering, silent

ERROR = '{"error": {"code": "x", "message": "one sentence"}}'


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
    return path


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ((400, ERROR, {}), MalformedError, "one sentence"),
        ((401, ERROR, {}), UnauthorizedError, "one sentence; `bento search` sends the one in SHOPCAM_API_KEY"),
        ((429, ERROR, {"Retry-After": "7"}), NotReadyError, "one sentence; it asks to be asked again after 7 s"),
        ((503, ERROR, {"Retry-After": "soon"}), NotReadyError, "one sentence"),
        ((504, ERROR, {}), NotReadyError, "one sentence"),
        ((200, "<html>", {}), MalformedError, "{url} is not a shopcam service: it answered 200"),
        ((200, "[]", {}), MalformedError, "{url} is not a shopcam service: it answered 200"),
        ((301, "", {"Location": "/"}), MalformedError, "{url} is not a shopcam service: it answered 301"),
        ((502, "Bad gateway", {}), MalformedError, "{url} is not a shopcam service: it answered 502"),
    ],
)
def test_a_refusal_is_one_sentence(
    photo: Path, given: tuple[int, str, dict[str, str]], kind: type[ShopcamError], sentence: str
) -> None:
    status, body, headers = given
    with answering(lambda *_: (status, body, {**JSON, **headers})) as url, pytest.raises(ShopcamError) as refused:
        client.search(url, photo, {})
    assert type(refused.value) is kind
    assert str(refused.value) == sentence.format(url=url)


def test_a_service_that_says_nothing_is_not_waited_for(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.3)
    with silent() as url, pytest.raises(NotReadyError, match=r"did not answer within 0\.3 s"):
        client.search(url, photo, {})


def test_an_address_may_end_with_a_slash(photo: Path) -> None:
    asked = []

    def answer(_: str, path: str) -> tuple[int, str, dict[str, str]]:
        asked.append(path)
        return 200, '{"hits": []}', dict(JSON)

    with answering(answer) as url:
        assert client.search(f"{url}/", photo, {}) == {"hits": []}
    assert asked == ["/search"]


@pytest.mark.parametrize("key", ["two\nlines", "größe", "\udcff"])
def test_a_key_that_is_none_is_not_shown(photo: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SHOPCAM_API_KEY", key)
    with pytest.raises(MalformedError, match="characters that no key has") as refused:
        client.search("http://127.0.0.1:9", photo, {})
    assert key not in str(refused.value)
