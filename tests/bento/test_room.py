"""How much memory is there and how much a gallery takes, by files as the kernel writes them and by real mappings."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from bento.errors import RefusedError
from bento.room import MIB, available_bytes, check_room, mapped_bytes, needed_bytes
from index_builder.gallery import Gallery
from index_builder.manifest import FileRecord
from tests.bento.conftest import Two

GIB = 2**30


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 8 GiB available, whose process is in a group of each kind."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: {16 * 2**20} kB\nMemAvailable: {8 * 2**20} kB\n")
    (folder / "self" / "cgroup").write_text("4:memory:/pod/one\n3:cpu,cpuacct:/\n0::/pod/one\n")
    return folder


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_the_least_of_machine_and_groups_counts(proc: Path, tmp_path: Path) -> None:
    groups = tmp_path / "cgroup"
    assert available_bytes(proc=proc, cgroups=groups) == 8 * GIB
    stat = f"anon {GIB}\ninactive_file {GIB // 2}\nactive_file {GIB // 2}\n"
    group(groups / "pod" / "one", {"memory.max": "max\n", "memory.current": f"{GIB}\n", "memory.stat": stat})
    assert available_bytes(proc=proc, cgroups=groups) == 8 * GIB
    # 6 GiB may be used, 3 are, of which 1 is cache.
    group(groups / "pod", {"memory.max": f"{6 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": stat})
    assert available_bytes(proc=proc, cgroups=groups) == 4 * GIB
    # The first kind of groups, seen from inside a container: its own group is the root.
    stat = f"total_inactive_file {GIB}\ntotal_active_file 0\n"
    files = {"memory.limit_in_bytes": f"{4 * GIB}", "memory.usage_in_bytes": f"{2 * GIB}", "memory.stat": stat}
    group(groups / "memory", files)
    assert available_bytes(proc=proc, cgroups=groups) == 3 * GIB
    assert available_bytes(proc=tmp_path / "absent", cgroups=groups) is None


def test_what_is_mapped_is_counted(tmp_path: Path) -> None:
    inside, beside = tmp_path / "gallery", tmp_path / "gallery-2"
    for folder in (inside, beside):
        folder.mkdir()
        (folder / "file").write_bytes(bytes(3 * MIB))
    assert mapped_bytes(inside) == 0
    with (inside / "file").open("rb") as file, (beside / "file").open("rb") as other:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        others = mmap.mmap(other.fileno(), 0, access=mmap.ACCESS_READ)
        assert sum(mapped[::4096]) + sum(others[::4096]) == 0  # every page is touched
        assert mapped_bytes(inside) == 3 * MIB
        mapped.close()
        others.close()


def test_a_gallery_that_does_not_fit_is_refused(two: Two, proc: Path, tmp_path: Path) -> None:
    manifest = two.store.manifest("green")
    blue = Gallery.open(two.store.gallery("blue"))
    check_room(manifest, beside=blue)
    check_room(manifest, beside=blue, proc=proc, cgroups=tmp_path)
    record = FileRecord(size_bytes=9 * GIB, sha256="0" * 64)
    large = manifest.model_copy(update={"files": {**manifest.files, "index.faiss": record}})
    assert 9 * GIB < needed_bytes(large) < 9 * GIB + MIB
    with pytest.raises(RefusedError, match=r"green needs about 9,216 MiB beside blue, .* 8,192 MiB are available"):
        check_room(large, beside=blue, proc=proc, cgroups=tmp_path)
    # What searches read of blue is not free, whatever the kernel says.
    mapping = f"7f00-7f01 r--p 0 0:0 1  {blue.folder / 'index.faiss'}\nRss: {7 * 2**20} kB\n"
    (proc / "self" / "smaps").write_text(f"{mapping}7f02-7f03 r--p 0 0:0 0\nRss: 8 kB\n")
    large = manifest.model_copy(update={"files": {"index.faiss": FileRecord(size_bytes=2 * GIB, sha256="0" * 64)}})
    with pytest.raises(RefusedError, match=r"1,024 MiB are available"):
        check_room(large, beside=blue, proc=proc, cgroups=tmp_path)
    blue.close()
