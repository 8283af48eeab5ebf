"""A version of a store in, a gallery that is fit to answer out, or one sentence why it is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from bento.canary import TIMEOUT_S, check_canary, check_recall
from bento.room import check_room
from bento.serving import Serving
from bento.settings import Settings
from bento.threads import in_thread
from catalog.errors import NotReadyError
from export.contract import RepositoryInfo, read_repository
from export.networks import AsyncPhotoNetworks
from export.onnx_threads import AsyncOnnxRuntimeNetworks
from export.triton_client import AsyncTritonNetworks, remote_info
from index_builder.errors import StoreError
from index_builder.gallery_reader import GalleryReader
from index_builder.integrity import check_files, check_spaces, read_manifest
from index_builder.live_gallery import LiveGallery
from index_builder.manifest import LivePointer
from index_builder.opening import open_gallery
from index_builder.store import Store, open_store

NETWORKS_SHARE = 0.8  # of a search's time; who waits longer has a model server that fails, not a client that leaves
NICE = 10  # of reading and hashing, which is long, can wait, and does not hold the interpreter lock

T = TypeVar("T")


class Opener:
    """Opens galleries of the settings' store. Its methods may be called at the same time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: Store | None = None

    async def pointer(self) -> LivePointer:
        """The store's pointer. `NotReadyError` when there is none or the store does not answer."""
        pointer = await self.seen()
        if pointer is None:
            raise _nothing_live(self._settings.store)
        return pointer

    async def seen(self) -> LivePointer | None:
        """The store's pointer, None before the first swap."""
        return await self.ask(lambda store: store.live(), name="store")

    async def ask(self, question: Callable[[Store], T], *, name: str, nice: int = 0) -> T:
        """What the store answers, asked in a thread; what a folder's disk says is a `StoreError` too."""

        def work() -> T:
            try:
                if self._store is None:
                    self._store = open_store(self._settings.store)
                return question(self._store)
            except OSError as error:
                raise StoreError(f"the store {self._settings.store} does not answer: {error}") from error

        return await in_thread(work, name=name, nice=nice)

    async def open(self, version: str, *, beside: GalleryReader | None) -> Serving:
        """Fetch, verify and open a gallery, and let it search before anybody asks it.

        What is cheap to know comes first. Raises `GalleryError` or `RefusedError` when it is not fit to answer,
        `NotReadyError` when store or model server do not.
        """
        info = await in_thread(self._info, name="networks")
        manifest = await self.ask(lambda store: store.manifest(version), name="store")
        check_spaces(manifest, info.spaces)
        if beside is not None:
            await in_thread(partial(check_room, manifest, beside=beside), name="room")
        folder = await self.ask(lambda store: _verified(store, version), name="verify", nice=NICE)
        networks = await in_thread(partial(self._networks, info), name="networks")
        try:
            serving = await self.ask(lambda store: _open(store, folder, networks=networks), name="open")
        except BaseException:
            await networks.close()
            raise
        try:
            await check_canary(serving)
        except BaseException:
            await serving.close()
            raise
        serving.breaker.canary = partial(check_canary, serving)
        return serving

    def _info(self) -> RepositoryInfo:
        """What networks would answer now."""
        if self._settings.in_process:
            return read_repository(self._settings.repository)
        return remote_info(self._settings.triton_url, timeout_s=TIMEOUT_S)

    def _networks(self, info: RepositoryInfo) -> AsyncPhotoNetworks:
        timeout_s = NETWORKS_SHARE * self._settings.timeout_s
        if self._settings.in_process:
            return AsyncOnnxRuntimeNetworks(self._settings.repository, timeout_s=timeout_s)
        return AsyncTritonNetworks(self._settings.triton_url, info=info, timeout_s=timeout_s)


def live_gallery(store_uri: str) -> Path:
    """Return the folder of the store's live gallery; NotReadyError when there is none."""
    store = open_store(store_uri)
    pointer = store.live()
    if pointer is None:
        raise _nothing_live(store_uri)
    return store.gallery(pointer.live.gallery)


def _nothing_live(store_uri: str) -> NotReadyError:
    return NotReadyError(f"the store {store_uri} has no live gallery; `python -m index_builder build` makes one")


def _verified(store: Store, version: str) -> Path:
    folder = store.fetch(version)
    check_files(folder, read_manifest(folder))
    return folder


def _open(store: Store, folder: Path, *, networks: AsyncPhotoNetworks) -> Serving:
    gallery = open_gallery(folder, spaces=networks.info.spaces, verify=False)  # a moment ago every byte was read
    try:
        check_recall(gallery)
        return Serving(LiveGallery(gallery, store.journal()), networks)
    except BaseException:
        gallery.close()
        raise
