"""Engines: outcomes in order, full batches, and the same shards from this process and from Ray."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import OutOfRangeError, ShopcamError
from catalog.pictures import PictureLimits
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.engines import BATCH
from index_builder.local_engine import READ_AHEAD, LocalEngine
from index_builder.manifest import ImageVector
from index_builder.pictures import Embedded, Job, Task, Unchanged, Unusable, load, vision_of
from index_builder.store import LocalStore
from index_builder.work import default_work
from tests.index_builder.conftest import CountingNetworks, make_catalog
from tests.index_builder.test_resume import build
from tests.tiny_repository import random_pictures

ROOT = Path(__file__).parents[2]


class RecordingNetworks(CountingNetworks):
    """Real networks that note the size of each batch."""

    def __init__(self, networks: OnnxRuntimeNetworks) -> None:
        super().__init__(networks)
        self.batches: list[int] = []

    def vectors(self, images: np.ndarray, tensor: str) -> np.ndarray:
        self.batches.append(len(images))
        return super().vectors(images, tensor)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return make_catalog(tmp_path_factory.mktemp("pictures") / "shop", 80).parent


def task_for(networks, base: Path, *, known: list[bytes] = ()) -> Task:
    vision = vision_of(
        networks.info, image_vector=ImageVector.EMBEDDING, views=1, labeled=False, limits=PictureLimits()
    )
    return Task(base, vision, known=np.array(sorted(known), "S32"))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from("gub"), max_size=300), runners=st.integers(1, 3))
def test_outcomes_keep_the_order_and_batches_are_full(pictures, networks, tiny, *, kinds, runners):
    """g: to be embedded, u: known, b: bad. Of g pictures all batches but the last have 32."""
    plain = task_for(networks, pictures)
    known = [load(Job(f"{number}.png"), plain).digest for number in range(40)]
    task = task_for(networks, pictures, known=known)
    recording = RecordingNetworks(networks)
    rng = np.random.default_rng(len(kinds))
    numbers = [int(rng.integers(0, 40) + 40 * (kind == "g")) for kind in kinds]
    jobs = (Job(f"{'no' if kind == 'b' else ''}{one}.png") for kind, one in zip(kinds, numbers, strict=True))
    outcomes = list(LocalEngine(recording, runners=runners).run(jobs, task))
    assert len(outcomes) == len(kinds)
    expected = tiny[1].outputs(random_pictures(80)).embedding
    for kind, number, outcome in zip(kinds, numbers, outcomes, strict=True):
        if kind == "g":
            assert isinstance(outcome, Embedded)
            np.testing.assert_allclose(outcome.vector, expected[number], atol=2e-6)
        elif kind == "u":
            assert outcome == Unchanged(known[number])
        else:
            assert isinstance(outcome, Unusable)
            assert f"no{number}.png" in outcome.reason
    good = kinds.count("g")
    assert sorted(recording.batches) == sorted([BATCH] * (good // BATCH) + [good % BATCH] * bool(good % BATCH))


def test_jobs_are_not_taken_far_ahead(pictures, networks):
    taken = 0

    def jobs():
        nonlocal taken
        for _ in range(100_000):
            taken += 1
            yield Job("1.png")

    outcomes = LocalEngine(networks).run(jobs(), task_for(networks, pictures))
    next(outcomes)
    assert taken <= READ_AHEAD + 3 * BATCH
    outcomes.close()


def test_what_breaks_in_a_thread_is_raised(pictures, networks):
    class Broken(CountingNetworks):
        def vectors(self, *_: object) -> np.ndarray:
            raise ShopcamError("the server went away")

    with pytest.raises(ShopcamError, match="the server went away"):
        list(LocalEngine(Broken(networks)).run([Job("1.png")], task_for(networks, pictures)))
    with pytest.raises(OutOfRangeError, match="runners is 0"):
        LocalEngine(networks, runners=0)


def test_content_hashes_tell_pictures_boxes_and_networks_apart(pictures, networks):
    vision = task_for(networks, pictures).vision
    other = vision_of(networks.info, image_vector=ImageVector.POOLED, views=1, labeled=False, limits=PictureLimits())
    digests = [
        vision.digest(b"a", None),
        vision.digest(b"b", None),
        vision.digest(b"a", (0, 0, 1, 1)),
        other.digest(b"a", None),
    ]
    assert len(set(digests)) == 4
    assert vision.digest(b"a", None) == digests[0]
    assert dict(vision.spaces) == {"embedder": networks.info.spaces["embedder"]}


def shards_of(store: Path) -> dict[str, str]:
    found = default_work(LocalStore(store)).glob("*/kept-*/shard-*.arrow")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def open_tiny(path: Path) -> OnnxRuntimeNetworks:
    return OnnxRuntimeNetworks(path, threads=1)


@pytest.mark.slow
def test_ray_writes_the_very_same_shards(networks, tiny, tmp_path):
    pytest.importorskip("ray", reason="the extra scale is not installed")
    from index_builder.ray_engine import RayEngine

    catalog = make_catalog(tmp_path / "shop", 100)
    (tmp_path / "shop" / "17.png").write_bytes(b"no picture")
    counting = CountingNetworks(networks)
    local = build(catalog, counting, tmp_path / "local", views=2)
    engine = RayEngine(partial(open_tiny, tiny[0]), spaces=dict(networks.info.spaces))
    try:
        seen = counting.pictures
        ray = build(catalog, counting, tmp_path / "ray", views=2, engine=engine)
        assert len(shards_of(tmp_path / "ray")) == 3
        assert shards_of(tmp_path / "ray") == shards_of(tmp_path / "local")
        assert ray.manifest.files == local.manifest.files
        assert ray.counts == local.counts
        (tmp_path / "shop" / "20.png").write_bytes((tmp_path / "shop" / "21.png").read_bytes())
        (tmp_path / "shop" / "30.png").touch()  # read again, not embedded
        again = build(catalog, counting, tmp_path / "ray", views=2, engine=engine, version="again")
        assert (again.counts.embedded, again.counts.reused, again.counts.rejected) == (0, 99, 1)
        assert counting.pictures == seen  # all networks that ran are Ray's
    finally:
        engine.close()


def test_without_ray_one_sentence_says_how_to_get_it():
    """In a process where ray cannot be imported, as where the extra is not installed."""
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from index_builder.ray_engine import RayEngine\n"
        "from catalog.errors import ShopcamError\n"
        "try: RayEngine(print, spaces={})\n"
        "except ShopcamError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == (
        "the engine ray needs the package ray, which is not installed; `pip install 'shopcam[scale]'` installs it\n"
    )
