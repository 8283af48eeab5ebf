"""The service and three peers on the same photos, networks, index and cores in; rows of the table `peers` out.

Every peer is tried in a few settings that its documentation suggests for two cores; the one that carries most photos a
second at 16 clients is the peer's own from then on. Before anything is timed, each answers five photos, and its hits
must be the service's. Then rounds: one server at a time is started, measured at 1 and at 16 clients, and stopped, in
turning order. Ratios are taken within a round.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import grocery, sample
from benchmarks.artifacts import Artifacts
from benchmarks.results import RESULTS, Row, Target, merge
from benchmarks.serving.clients import LoadReport, LoadSpec, measure
from benchmarks.serving.clients import Target as Load
from benchmarks.serving.peers.agreement import check_agreement, hits_of
from benchmarks.serving.peers.starting import Peer, Setting, peer_running
from benchmarks.serving.running import ALL_WAIT_MS, DRAIN_S, running, web_server
from benchmarks.serving.throughput import median_client_cpu, ratios_of
from benchmarks.serving.uploads import read_photos
from catalog.errors import NotReadyError
from catalog.terminal import console
from index_builder.store import open_store

NAME = "peers"
LOGS = Path(".cache/benchmarks/peers-logs")
OURS = "shopcam"
IN_PROCESS = "shopcam without Triton"  # the networks in the service's process, as the peers have them
TOP_K = 20
CHECKED = 5
WARM_S = 2.0
CLIENTS = (1, 16)
FULL = CLIENTS[-1]
SETTINGS: Mapping[Peer, Sequence[Setting]] = {
    Peer.FASTAPI: (Setting(1, 1), Setting(2, 1), Setting(1, 2)),
    Peer.LITSERVE: (Setting(2, 1), Setting(1, 2), Setting(2, 1, batch=4)),
    Peer.RAY: (Setting(2, 1), Setting(1, 2), Setting(1, 1)),
}
NETWORKS = {"grocery": "GoogLeNet + classifier", "sample": "sample networks"}

Server = Callable[[], AbstractContextManager[str]]  # starts it and gives its address
Reports = Mapping[tuple[str, int], Sequence[LoadReport]]  # by server and clients, one a round


def measure_peers(networks: str, shared: Path, *, rounds: int, seconds: float, folder: Path = RESULTS) -> None:
    """Measure one shop's networks behind every server and publish the rows."""
    photos = sample.prepare().photos
    shop = sample.prepare() if networks == "sample" else grocery.prepare(shared)
    stage = Stage(shop, photos, seconds=seconds)
    chosen = stage.choose(SETTINGS)
    rows = peer_rows(stage.rounds(chosen, rounds=rounds), chosen, networks=NETWORKS[networks])
    merge(
        NAME,
        rows,
        title="The same search behind other servers: one at a time on the same cores, client included",
        command="python -m benchmarks.serving peers",
        folder=folder,
    )


class Stage:
    """What every server stands on: a shop's networks and gallery, a folder of photos, and the service's own hits."""

    def __init__(self, shop: Artifacts, photos: Path, *, seconds: float) -> None:
        self._shop = shop
        self._photos = photos
        self._seconds = seconds
        store = open_store(str(shop.store))
        pointer = store.live()
        if pointer is None:
            raise NotReadyError(f"{shop.store} has no live gallery")
        self._gallery = store.gallery(pointer.live.gallery)
        self._asked = read_photos(photos)[:CHECKED]
        with self._ours() as url:
            self._expected = [hits_of(url, photo, top_k=TOP_K) for photo in self._asked]

    def choose(self, settings: Mapping[Peer, Sequence[Setting]]) -> dict[Peer, Setting]:
        """Return the setting of each peer that carries most photos a second."""
        chosen = {}
        for peer, tried in settings.items():
            carried = {}
            for setting in tried:
                with self._peer(peer, setting) as url:
                    carried[setting] = self._load(url, FULL).photos_per_s
                console.print(f"{peer}, {setting}: {carried[setting]:.1f} photos/s", highlight=False)
            chosen[peer] = max(carried, key=carried.__getitem__)
        return chosen

    def rounds(self, chosen: Mapping[Peer, Setting], *, rounds: int) -> Reports:
        """Measure every server in every round, in turning order."""
        servers: dict[str, Server] = {OURS: self._ours, IN_PROCESS: partial(self._ours, in_process=True)}
        servers |= {peer.value: partial(self._peer, peer, setting) for peer, setting in chosen.items()}
        reports: dict[tuple[str, int], list[LoadReport]] = defaultdict(list)
        names = list(servers)
        for number in range(rounds):
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                with servers[name]() as url:
                    for clients in CLIENTS:
                        reports[name, clients].append(self._load(url, clients))
        return reports

    @contextmanager
    def _ours(self, *, in_process: bool = False) -> Iterator[str]:
        shop = self._shop
        at = (shop.repository, shop.store)
        with running(*at, log_folder=LOGS, in_process=in_process, max_wait_ms=ALL_WAIT_MS) as run:
            yield run.service_url

    @contextmanager
    def _peer(self, peer: Peer, setting: Setting) -> Iterator[str]:
        log = LOGS / f"{peer.name.lower()}.log"
        shop = self._shop
        with peer_running(
            peer, setting, repository=shop.repository, gallery=self._gallery, photo=self._asked[0], log=log
        ) as url:
            check_agreement(peer, url, photos=self._asked, expected=self._expected)
            yield url

    def _load(self, url: str, clients: int) -> LoadReport:
        """Load a server after a short load that is not counted: workers that start late are there then."""
        for seconds in (min(WARM_S, self._seconds), self._seconds):
            at = (str(self._shop.repository), str(self._photos))
            report = measure(LoadSpec(Load.SERVICE, *at, clients, seconds, url, top_k=TOP_K))
            time.sleep(DRAIN_S)
        return report


def peer_rows(reports: Reports, chosen: Mapping[Peer, Setting], *, networks: str) -> list[Row]:
    """Photos per second of all, ours over each peer's, and our p99 over that of the best peer."""
    rows = []
    settings = {peer.value: str(setting) for peer, setting in chosen.items()}
    for (name, clients), found in reports.items():
        rate = median(one.photos_per_s for one in found)
        at = f"{name}, {clients} client{'s' * (clients > 1)}"
        rows.append(Row(at, rate, "photos/s", note=_told(found, settings.get(name, ""))))
    for name in (OURS, IN_PROCESS):
        ours = reports[name, FULL]
        for peer in chosen:
            ratios = ratios_of(ours, reports[peer.value, FULL])
            what = f"{name} over {peer} at {FULL} clients, photos per second"
            rows.append(Row(what, median(ratios), "", Target(">", 1), f"rounds {min(ratios):.2f} to {max(ratios):.2f}"))
        rows.append(_tail_row(name, ours, {peer: reports[peer.value, FULL] for peer in chosen}))
    failed = sum(one.failed for found in reports.values() for one in found)
    rows.append(Row("failed requests", failed, "", Target("<=", 0)))
    return [Row(f"{networks}: {row.name}", row.value, row.unit, row.target, row.note) for row in rows]


def _tail_row(name: str, ours: Sequence[LoadReport], peers: Mapping[Peer, Sequence[LoadReport]]) -> Row:
    """Our p99 over the least of the peers', round by round; a server that answers nothing has no tail."""
    ratios = []
    for number, report in enumerate(ours):
        tails_ms = [found[number].p99_ms for found in peers.values() if found[number].answered]
        ratios.append(report.p99_ms / min(tails_ms) if tails_ms and report.answered else float("nan"))
    middles = {peer: median(one.p99_ms for one in found) for peer, found in peers.items()}
    note = f"best: {min(middles, key=middles.__getitem__)}; rounds {min(ratios):.2f} to {max(ratios):.2f}"
    return Row(f"{name}'s p99 over the best peer's at {FULL} clients", median(ratios), "", Target("<=", 1), note)


def _told(found: Sequence[LoadReport], setting: str) -> str:
    p50_ms, p99_ms = (median(getattr(one, name) for one in found) for name in ("p50_ms", "p99_ms"))
    note = f"p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms, client {median_client_cpu(found):.2f} CPU s/s, {web_server()}"
    return f"{setting}; {note}" if setting else note
