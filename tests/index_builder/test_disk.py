"""A disk that is full: one sentence, and the next run goes on. Needs a small file system of its own."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from index_builder.disk import DiskFullError, full_disk_is_told, written
from index_builder.manifest import FileRecord
from tests.index_builder.conftest import CountingNetworks, make_catalog
from tests.index_builder.test_resume import build

PICTURES = 200
PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder with 20 MB of room."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def pages(files: dict[str, FileRecord], names: Iterable[str]) -> int:
    return sum(-(-files[name].size_bytes // PAGE) for name in names)


@pytest.mark.parametrize("room", ["shards", "thumbnails", "index"])
def test_a_full_disk_is_one_sentence_and_the_next_run_succeeds(small_disk, networks, tmp_path, room):
    """There is room for half a shard; for the shards but not all thumbnails; for all of the gallery but its index."""
    catalog = make_catalog(tmp_path / "shop", PICTURES)
    files = build(catalog, CountingNetworks(networks), tmp_path / "free").manifest.files
    written_before = {name for name in files if name.startswith(("products", "thumb", "vectors", "rejected", "ref"))}
    left = {"shards": 5, "thumbnails": 40, "index": pages(files, written_before) + 3}[room]
    work = small_disk / "work" if room == "shards" else tmp_path / "work"
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(small_disk).free - left * PAGE))
    counting = CountingNetworks(networks)
    with pytest.raises(DiskFullError, match=r"the disk of .*small.* is full \([\d,]+ bytes are free\); make room"):
        build(catalog, counting, small_disk / "s", work=work)
    seen = counting.pictures
    ballast.unlink()
    built = build(catalog, counting, small_disk / "s", work=work)
    assert built.manifest.files == files
    assert built.counts.resumed == (0 if room == "shards" else PICTURES)
    assert counting.pictures - seen == PICTURES - built.counts.resumed


def test_files_are_whole_or_not_there(tmp_path: Path):
    def half() -> None:
        with written(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert list(tmp_path.iterdir()) == []
    with written(tmp_path / "a") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space"), RuntimeError("write error: No space left on device")]
)
def test_what_libraries_say_of_a_full_disk(tmp_path: Path, error):
    with pytest.raises(DiskFullError, match=f"the disk of {tmp_path} is full"), full_disk_is_told(tmp_path):
        raise error


def test_other_errors_pass(tmp_path: Path):
    with pytest.raises(OSError, match="Permission"), full_disk_is_told(tmp_path):
        raise OSError(errno.EACCES, "Permission denied")
