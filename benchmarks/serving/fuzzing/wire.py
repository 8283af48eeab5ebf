"""A seed in, bytes on a bare connection out: what HTTP clients cannot be made to send.

Slow and unfinished bodies, lengths that lie, floods of headers, requests that are none. The service may refuse such a
connection or close it, but in time, and never with a server error.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.serving.fuzzing.outcomes import CLOSED, INTENDED, Outcome

LIMIT_S = 30.0  # for the end of a connection, beyond the time that the service gives an upload
READ_S = 0.2
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
RESET = struct.pack("ii", 1, 0)
HEAD = b"POST /search HTTP/1.1\r\nHost: shop\r\nContent-Type: multipart/form-data; boundary=b\r\n"
BEGIN = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
END = b"\r\n--b--\r\n"


@dataclass(frozen=True)
class Bytes:
    """What is sent. `trickle` follows one by one, with pauses, until there is an answer.

    `allowed` are the statuses of each of the first `answers` answers, `CLOSED` for none; with `hang_up` none is waited
    for.
    """

    pieces: tuple[bytes, ...]
    allowed: frozenset[int]
    answers: int = 1
    trickle: bytes = b""
    hang_up: bool = False
    reset: bool = False


def slow_body(rng: random.Random) -> Bytes:
    """A body that never ends, a byte now and then."""
    return Bytes((HEAD + b"Content-Length: 100000\r\n\r\n" + BEGIN,), _only(408, CLOSED), trickle=rng.randbytes(10_000))


def cut_upload(rng: random.Random) -> Bytes:
    """The client is gone halfway, by a clean end or a reset."""
    body = BEGIN + rng.randbytes(rng.randint(0, 5000))
    head = HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + rng.randint(1, 10_000))
    return Bytes((head, body), _only(CLOSED), hang_up=True, reset=rng.random() < 0.5)


def long_length(rng: random.Random) -> Bytes:
    """A declared length beyond all limits; not a byte of it needs to come."""
    digits = rng.choice((b"9" * 12, b"9" * 18, b"9" * 30, b"9" * 1000))
    return Bytes((HEAD + b"Content-Length: " + digits + b"\r\n\r\n",), _only(400, 413, CLOSED))


def short_length(rng: random.Random) -> Bytes:
    """More than was declared: what is left is read as a request, and is none."""
    body = BEGIN + rng.randbytes(200) + END
    return Bytes((HEAD + b"Content-Length: %d\r\n\r\n" % rng.randrange(len(body)) + body,), _only(400, 415, CLOSED))


def no_length(rng: random.Random) -> Bytes:
    """A length that is no number, or two that differ."""
    said = rng.choice((b"-5", b"abc", b"1e3", b"+3", b"5\r\nContent-Length: 6", b"0x10", b""))
    return Bytes((HEAD + b"Content-Length: " + said + b"\r\n\r\nabcde",), _only(400, CLOSED))


def header_flood(rng: random.Random) -> Bytes:
    """More headers than anybody needs, or one that is very long; whether they pass depends on how they arrive."""
    many = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 90) for number in range(2000))
    one = b"X-Long: " + b"y" * rng.randint(70_000, 500_000) + b"\r\n"
    return Bytes(
        (b"GET /gallery HTTP/1.1\r\nHost: shop\r\n", rng.choice((many, one)), b"\r\n"), _only(200, 400, 431, CLOSED)
    )


def odd_target(rng: random.Random) -> Bytes:
    """An address that is too long, or that means something elsewhere."""
    long = b"/" + b"a" * rng.randint(1_000, 200_000)
    odd = (
        long,
        b"/%00",
        b"/%ff%fe",
        b"/products/%2e%2e%2f",
        b"*",
        b"http://other/gallery",
        b"/samples/" + b"9" * 6000,
        b"//x",
    )
    return Bytes(
        (b"GET %s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n" % rng.choice(odd),),
        _only(200, 400, 404, 414, CLOSED),
    )


def pipelined(rng: random.Random) -> Bytes:
    """Good requests in one go; half of the times garbage behind them, which may end the connection at once."""
    good, times = b"GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n", rng.randint(1, 20)
    if rng.random() < 0.5:
        garbage = rng.randbytes(rng.randint(1, 2000)) + b"\r\n\r\n"
        return Bytes((good * times + garbage,), _only(200, 400))
    last = good.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    return Bytes((good * (times - 1) + last,), _only(200), answers=times)


def noise(rng: random.Random) -> Bytes:
    """No HTTP at all, or a version of it that is spoken elsewhere."""
    start = rng.choice((b"", b"GET ", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n"))
    return Bytes((start + rng.randbytes(rng.randint(10, 5000)) + b"\r\n\r\n",), _only(400, 404, CLOSED))


def broken_chunks(rng: random.Random) -> Bytes:
    """A chunked body whose sizes are wrong, alone or together with a length."""
    size = rng.choice((b"zz", b"-1", b"fffffffffffffffff", b"5", b"0x5", b"\x00"))
    length = rng.choice((b"", b"Content-Length: 4\r\n"))
    head = HEAD + length + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return Bytes((head + size + b"\r\nabc\r\n0\r\n\r\n",), _only(400, 413, CLOSED))


def _only(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


KINDS: dict[str, Callable[[random.Random], Bytes]] = {
    made.__name__: made
    for made in (
        slow_body, cut_upload, long_length, short_length, no_length, header_flood, odd_target, pipelined, noise,
        broken_chunks,
    )
}  # fmt: skip
SLOW = frozenset({"slow_body"})  # these last as long as the service gives an upload


def send_bytes(url: str, kind: str, seed: int, *, upload_s: float) -> Outcome:
    """Send the bytes of a kind and a seed; the connection must end within `upload_s` and a little."""
    made = KINDS[kind](random.Random(seed))
    again = f"python -m benchmarks.serving fuzz --again {kind}:{seed} --url {url}"
    parts = urlsplit(url)
    try:
        connection = socket.create_connection((parts.hostname, parts.port), timeout=LIMIT_S)
    except OSError as error:
        return Outcome(kind, CLOSED, f"no connection: {error!r}", again)
    with connection:
        if made.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        try:
            for piece in made.pieces:
                connection.sendall(piece)
        except OSError:  # refused before all of it was sent; the answer may still be there
            pass
        if made.hang_up:
            return Outcome(kind, CLOSED, again=again)
        ended, statuses = _statuses(connection, made, time.monotonic() + upload_s + LIMIT_S)
    status = next((one for one in statuses if one not in made.allowed), statuses[0])
    if not ended:
        return Outcome(kind, CLOSED, f"neither answered nor closed within {upload_s + LIMIT_S:g} s", again)
    if status not in made.allowed | {429, *INTENDED}:
        return Outcome(kind, status, f"answered {statuses}, expected some of {sorted(made.allowed)}", again)
    if len(statuses) < made.answers:
        return Outcome(kind, status, f"{made.answers} good requests got {len(statuses)} answers", again)
    return Outcome(kind, status, again=again)


def _statuses(connection: socket.socket, made: Bytes, deadline_s: float) -> tuple[bool, list[int]]:
    """Whether there was an end in time, and the statuses of as many answers as are asked for, or `CLOSED`."""
    connection.settimeout(READ_S)
    answer, sent = b"", 0
    while time.monotonic() < deadline_s:
        statuses = [int(found) for found in STATUS.findall(answer)][: made.answers]
        if len(statuses) == made.answers:
            return True, statuses
        try:
            got = connection.recv(4096)
        except TimeoutError:
            if made.trickle:
                sent += _push(connection, made.trickle[sent : sent + 1])
            continue
        except OSError:  # reset
            got = b""
        if not got:
            return True, statuses or [CLOSED]
        answer += got
    return False, [CLOSED]


def _push(connection: socket.socket, data: bytes) -> int:
    try:
        return connection.send(data)
    except OSError:  # closed; the next read tells
        return 0
