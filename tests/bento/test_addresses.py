"""Which addresses `url` may lead to, and that exactly those are connected to: over real sockets and real TLS.

127.0.0.2 and 127.0.0.3 stand for servers on the internet: the tests say so with `networks`. 127.0.0.1 is the machine
whose inside nobody may see; it listens at the same port, so that only the address decides.
"""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bento.addresses import PublicAddresses, check_form, is_public
from catalog import sources
from catalog.errors import ForbiddenError, MalformedError, NotFoundError
from catalog.sources import fetch

PUBLIC = "93.184.215.14"
OUTSIDE = (ipaddress.ip_network("127.0.0.2/32"), ipaddress.ip_network("127.0.0.3/32"))
INSIDE = "127.0.0.1"
NAME = "photos.example"
PHOTO, SECRET = b"a photo", b"a secret of this machine"


@dataclass
class Site:
    """A running web server, and what it was asked: (Host header, path)."""

    port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)


@contextlib.contextmanager
def site(
    address: str, body: bytes, *, port: int = 0, location: str | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Site]:
    """A server that answers `body`; /moved leads to `location` ({port} is its own), /packed says it is compressed."""
    running = Site(port)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked.append((self.headers["Host"], self.path))
            running.headers.append(dict(self.headers))
            moved = self.path == "/moved"
            self.send_response(302 if moved else 200)
            if moved:
                self.send_header("Location", (location or "/photo").format(port=running.port))
            if self.path == "/packed":
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(b"" if moved else body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, port), Handler)
    running.port = server.server_address[1]
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: running.names.append(name)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Resolve = Callable[..., list[str]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Sets what each look-up of a name gives, one after another, the last one for ever; returns the names asked."""
    true = socket.getaddrinfo

    def set_answers(answers: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []

        def look_up(host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
            name = host.decode() if isinstance(host, bytes) else host
            if name not in answers:
                return true(host, port, *rest, **options)
            asked.append(name)
            found = answers[name][min(asked.count(name), len(answers[name])) - 1]
            return [
                (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, int(port or 0)))
                for one in found
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return set_answers


def get(url: str, *, ports: tuple[int, ...] = ()) -> bytes:
    """What the service would read of `url`."""
    return fetch(url, base=Path(), timeout_s=20, addresses_of=PublicAddresses(ports, OUTSIDE))


# ---- which addresses ----


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.88.99.1",
        "198.18.0.1",
        "0.0.0.0",  # noqa: S104  # refused, not bound
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::127.0.0.1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:5ef5:79fd:0:59d:80ff:fffe",
        "2001:db8::1",
        "3fff::1",
        "2600::5efe:127.0.0.1",
        "2600::200:5efe:10.0.0.1",
        "4000::1",
    ],
)
def test_addresses_that_are_not_public(resolve: Resolve, address: str) -> None:
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        resolve({NAME: [addresses]})
        with pytest.raises(ForbiddenError, match="not public"):
            PublicAddresses()(NAME, 443)


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e", "2600::5efe:93.184.215.14"]
)
def test_addresses_that_are_public(resolve: Resolve, address: str) -> None:
    resolve({NAME: [[address, PUBLIC, address]]})
    assert PublicAddresses()(NAME, 443) == list(dict.fromkeys([address, PUBLIC]))
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0", "localhost", "localhost.", "017700000001"]
)
def test_this_machine_in_other_spellings(host: str) -> None:
    with site(INSIDE, SECRET) as inside:
        with pytest.raises((ForbiddenError, NotFoundError)):  # not found: a spelling that some readers do not know
            get(f"http://{host}:{inside.port}/photo", ports=(inside.port,))
        assert inside.asked == []


def test_ports_are_listed(resolve: Resolve) -> None:
    resolve({NAME: [[PUBLIC]]})
    assert PublicAddresses()(NAME, 80) == PublicAddresses()(NAME, 443) == [PUBLIC]
    for port in (22, 25, 6379, 8080):
        with pytest.raises(ForbiddenError, match=f"port {port}, allowed are 80, 443"):
            PublicAddresses()(NAME, port)
    assert PublicAddresses({8080})(NAME, 8080) == [PUBLIC]


@pytest.mark.parametrize("url", ["http://user:secret@shop.example/a", "https://user@shop.example/", "http://:x@h/"])
def test_urls_hold_no_passwords(url: str) -> None:
    with pytest.raises(MalformedError, match="password") as caught:
        check_form(url)
    assert "secret" not in str(caught.value)


def test_a_name_without_addresses(resolve: Resolve) -> None:
    resolve({NAME: [[]]})
    with pytest.raises(NotFoundError):
        get(f"http://{NAME}/")


# ---- that these are connected to ----


def test_a_name_that_changes_its_address_leads_nowhere(resolve: Resolve) -> None:
    """DNS rebinding: what is asked first is fine, what is asked second is this machine."""
    with site("127.0.0.2", PHOTO) as outside, site(INSIDE, SECRET, port=outside.port) as inside:
        asked = resolve({NAME: [["127.0.0.2"], [INSIDE]]})
        assert get(f"http://{NAME}:{outside.port}/photo?a=b") == PHOTO
        assert asked == [NAME]
        assert outside.asked == [(f"{NAME}:{outside.port}", "/photo?a=b")]
        assert inside.asked == []
        # The second look-up is made for the second request, and refused.
        with pytest.raises(ForbiddenError):
            get(f"http://{NAME}:{outside.port}/photo")
        assert inside.asked == []


def test_every_hop_is_looked_up_and_pinned(resolve: Resolve) -> None:
    with (
        site("127.0.0.3", PHOTO) as second,
        site("127.0.0.2", b"", location=f"http://second.example:{second.port}/photo") as first,
    ):
        asked = resolve({"first.example": [["127.0.0.2"]], "second.example": [["127.0.0.3"], [INSIDE]]})
        assert get(f"http://first.example:{first.port}/moved") == PHOTO
        assert asked == ["first.example", "second.example"]
        assert second.asked == [(f"second.example:{second.port}", "/photo")]


@pytest.mark.parametrize("host", [INSIDE, "inside.example", "2130706433", "localhost"])
def test_a_redirect_to_a_private_address_is_refused(resolve: Resolve, host: str) -> None:
    with site(INSIDE, SECRET) as inside:
        with site("127.0.0.2", b"", location=f"http://{host}:{inside.port}/photo") as outside:
            resolve({NAME: [["127.0.0.2"]], "inside.example": [[INSIDE]]})
            with pytest.raises(ForbiddenError):
                get(f"http://{NAME}:{outside.port}/moved")
        assert inside.asked == []


def test_the_next_address_is_tried_when_one_is_down(resolve: Resolve) -> None:
    with site("127.0.0.3", PHOTO) as outside:
        resolve({NAME: [["127.0.0.2", "127.0.0.3"]]})  # nobody listens at this port of the first
        assert get(f"http://{NAME}:{outside.port}/photo") == PHOTO
        resolve({NAME: [["127.0.0.2"]]})
        with pytest.raises(NotFoundError, match="can't be fetched"):
            get(f"http://{NAME}:{outside.port}/photo")
        asked = len(outside.asked)
        resolve({NAME: [[*(f"127.0.1.{number}" for number in range(100)), "127.0.0.3"]]})
        with pytest.raises(NotFoundError, match="can't be fetched"):
            fetch(
                f"http://{NAME}:{outside.port}/photo",
                base=Path(),
                timeout_s=20,
                addresses_of=PublicAddresses((), (ipaddress.ip_network("127.0.0.0/16"),)),
            )
        assert len(outside.asked) == asked


def test_nothing_of_this_machine_is_sent(resolve: Resolve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither its proxy nor its password file has a part in what a stranger asks for."""
    (tmp_path / "netrc").write_text(f"machine {NAME} login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with site("127.0.0.2", PHOTO, location="http://me:secret@127.0.0.2:{port}/photo") as outside:
        resolve({NAME: [["127.0.0.2"]]})
        assert get(f"http://{NAME}:{outside.port}/photo") == PHOTO
        assert get(f"http://{NAME}:{outside.port}/moved") == PHOTO
        assert [path for _, path in outside.asked] == ["/photo", "/moved", "/photo"]
    assert all("authorization" not in {name.lower() for name in headers} for headers in outside.headers)


def test_a_packed_picture_is_not_unpacked(resolve: Resolve) -> None:
    with site("127.0.0.2", PHOTO) as outside:
        resolve({NAME: [["127.0.0.2"]]})
        with pytest.raises(NotFoundError, match="content encoding 'gzip'"):
            get(f"http://{NAME}:{outside.port}/packed")
        assert outside.headers[0]["Accept-Encoding"] == "identity"


# ---- TLS ----


def certificate(folder: Path, name: str) -> Path:
    """A certificate for `name` that vouches for itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_tls_shows_and_checks_the_name(resolve: Resolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is pinned, the name is what the server hears and what its certificate must hold."""
    ours = certificate(tmp_path, NAME)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(ours)
    client = ssl.create_default_context(cafile=str(ours))
    monkeypatch.setattr(sources, "_tls", lambda: client)
    resolve({name: [["127.0.0.2"]] for name in (NAME, f"{NAME}.", "other.example")})
    with site("127.0.0.2", PHOTO, tls=server) as outside:
        assert get(f"https://{NAME}:{outside.port}/photo") == PHOTO
        assert outside.names == [NAME]
        assert outside.asked == [(f"{NAME}:{outside.port}", "/photo")]
        assert get(f"https://{NAME}.:{outside.port}/photo") == PHOTO
        for wrong in ("other.example", "127.0.0.2"):
            with pytest.raises(NotFoundError, match="certificate"):
                get(f"https://{wrong}:{outside.port}/photo")
        assert len(outside.asked) == 2
