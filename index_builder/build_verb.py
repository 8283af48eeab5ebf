"""`index_builder build`: runs the build that its arguments ask for, and says what came of it."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from catalog.errors import OutOfRangeError
from catalog.machine import usable_cores
from export.contract import read_repository
from export.networks import PhotoNetworks
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import REJECTED_FILE, Built, run_build
from index_builder.build_arguments import add_arguments, run_options_of, settings_of
from index_builder.catalog_source import CatalogFile
from index_builder.engines import Engine, EngineKind
from index_builder.local_engine import LocalEngine, runners_for
from index_builder.manifest import TextVector
from index_builder.merge import ChangedCatalog
from index_builder.milvus_verb import Backend, send_version, target_of
from index_builder.report import write_report
from index_builder.store import LocalStore, Store, open_store
from index_builder.store_verbs import Verbs, add_gate, gate_of, out, print_forced, print_manifest, verb

TRITON_RUNNERS = 16  # requests on their way: the server joins them to its own batches and never waits
TRITON_TIMEOUT_S = 120.0
REPORTS = "reports"


def add_build(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb `build`."""
    one = verb(verbs, "build", build)
    add_arguments(one)
    add_gate(one)


def build(options: argparse.Namespace) -> None:
    """Build a gallery, publish it, and make it live unless --no-swap."""
    started = time.monotonic()
    settings = settings_of(options)
    words = WordModel.load(options.words) if options.words and settings.text.kind is TextVector.WORDVECTOR else None
    gate = gate_of(options)
    store = open_store(options.store, endpoint_url=options.endpoint_url, cache=options.cache)
    target = target_of(options) if options.backend is Backend.MILVUS else None
    with _networks(options) as networks, _engine(options, networks) as engine:
        file = CatalogFile(options.catalog, None if options.split is None else tuple(options.split))
        built = run_build(
            ChangedCatalog.read(file, store.journal(), use=options.journal),
            networks,
            words,
            settings=settings,
            store=store,
            version=options.version,
            engine=engine,
            options=run_options_of(options),
        )
        live = built.manifest
        if target is not None:
            live = send_version(store, built.manifest.version, version=None, target=target)
        if options.swap:
            print_forced(store.swap(live.version, spaces=networks.info.spaces, gate=gate))
    _report(options, store, built)
    _summarize(options, store, built, live=live.version, seconds=time.monotonic() - started)


@contextlib.contextmanager
def _networks(options: argparse.Namespace) -> Iterator[PhotoNetworks]:
    networks = _open_networks(options.repository, triton_url=options.triton_url, threads=_runners(options)[1])
    try:
        yield networks
    finally:
        networks.close()


def _open_networks(repository: Path, *, triton_url: str | None, threads: int | None) -> PhotoNetworks:
    if triton_url is None:
        return OnnxRuntimeNetworks(repository, threads=threads)
    from export.triton_client import TritonNetworks  # late: only those who have a server need its client

    networks = TritonNetworks(triton_url, info=read_repository(repository), timeout_s=TRITON_TIMEOUT_S)
    networks.check_spaces()
    return networks


@contextlib.contextmanager
def _engine(options: argparse.Namespace, networks: PhotoNetworks) -> Iterator[Engine]:
    engine = _open_engine(options, networks)
    try:
        yield engine
    finally:
        engine.close()


def _open_engine(options: argparse.Namespace, networks: PhotoNetworks) -> Engine:
    if options.engine is EngineKind.LOCAL:
        return LocalEngine(networks, runners=TRITON_RUNNERS if options.triton_url else _runners(options)[0])
    from index_builder.ray_engine import RayEngine  # late: an extra that only large shops need

    one = partial(_open_networks, options.repository.resolve(), triton_url=options.triton_url, threads=1)
    return RayEngine(one, spaces=dict(networks.info.spaces), address=options.ray_address)


def _runners(options: argparse.Namespace) -> tuple[int, int]:
    """Batches at a time and the cores of each."""
    if options.threads is not None and options.threads < 1:
        raise OutOfRangeError(f"threads is {options.threads}, at least 1 is needed")
    return runners_for(usable_cores() if options.threads is None else options.threads)


def _report(options: argparse.Namespace, store: Store, built: Built) -> None:
    folder = options.report
    if folder is None and isinstance(store, LocalStore):
        folder = store.path / REPORTS / built.manifest.version
    if folder is not None:
        try:
            out.print(f"report: {write_report(folder, store.gallery(built.manifest.version), built)}")
        except OSError as error:  # the gallery is there all the same
            out.print(f"[yellow]no report was written to {folder}: {error}[/yellow]")


def _summarize(options: argparse.Namespace, store: Store, built: Built, *, live: str, seconds: float) -> None:
    manifest, counts = built.manifest, built.counts
    print_manifest(manifest)
    if manifest.recipe.shortfall:
        out.print(f"[yellow]{manifest.recipe.shortfall}[/yellow]")
    where = store.where(manifest.version)
    skipped = manifest.catalog["rows_skipped"]
    if skipped:
        out.print(f"[yellow]{skipped} bad rows were skipped; reasons in {where}/{REJECTED_FILE}[/yellow]")
    out.print(
        f"pictures: {counts.embedded:,} embedded, {counts.reused:,} reused, {counts.resumed:,} resumed, "
        f"{counts.rejected:,} rejected; {seconds:,.0f} s in all"
    )
    state = "live" if options.swap else "published, not live"
    if live != manifest.version:
        out.print(f"gallery {manifest.version} was made first and is kept; {live} has its rows on Milvus")
    out.print(f"gallery {live} of {manifest.products:,} products is {state}: {store.where(live)}")
