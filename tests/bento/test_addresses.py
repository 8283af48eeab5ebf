"""A url that leads from a public address to a private one, and addresses that look public but are not."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bento.addresses import check_public
from bento.pipeline import SearchPipeline
from bento.requests import SearchRequest
from bento.schemas import SearchOptions
from bento.settings import Settings
from catalog.errors import ForbiddenError
from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.test_life import web

PUBLIC = "93.184.215.14"


@pytest.fixture
def public_host(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that is public to whoever only asks for its address, and this machine to whoever connects."""
    true = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        if host == "shop.example":
            address = (PUBLIC, 0) if port is None else ("127.0.0.1", int(port))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]
        return true(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return "shop.example"


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, 0)) for one in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_redirect_to_a_private_address_is_refused(
    public_host: str, store: LocalStore, tiny_triton: LocalTriton, photos: list[bytes]
) -> None:
    async def ask(url: str) -> int:
        pipeline = SearchPipeline(Settings(store=str(store.path), triton_url=tiny_triton.grpc_url))
        try:
            return len((await pipeline.search(SearchRequest(None, SearchOptions(url=url)))).hits)
        finally:
            await pipeline.close()

    with web(photos[0]) as address:
        port = address.rpartition(":")[2]
        # The first address passes as public, so that only the hop after it can be what is refused.
        with pytest.raises(ForbiddenError):
            asyncio.run(ask(f"http://{public_host}:{port}/to-this-machine"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  # refused, not bound
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for addresses in ([address], [PUBLIC, address]):
        resolves_to(monkeypatch, *addresses)
        with pytest.raises(ForbiddenError):
            check_public("https://shop.example/a.jpg")


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_addresses_that_are_public(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolves_to(monkeypatch, address)
    check_public("https://shop.example/a.jpg")
