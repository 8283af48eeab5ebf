"""Who may write a staging folder, and who sweeps it, by locks of real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from index_builder.errors import ConflictError
from index_builder.staging import locked_folder, staging_folder, sweep

ROOT = Path(__file__).parents[2]
BUILDER = """
import sys
from pathlib import Path
from index_builder.staging import staging_folder
with staging_folder(Path(sys.argv[1]), "one") as folder:
    (folder / "index.faiss").write_bytes(b"half")
    print("building", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def builder(tmp_path: Path):
    """Another process that builds the version one in tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "building\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_two_builders_of_one_version(builder, tmp_path):
    with (
        pytest.raises(ConflictError, match=r"gallery 'one' is being built in .* right now"),
        staging_folder(tmp_path, "one"),
    ):
        pass
    with staging_folder(tmp_path, "two") as other:
        assert list(other.iterdir()) == []
    assert (tmp_path / ".staging-one/gallery/index.faiss").read_bytes() == b"half"
    builder.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_builder_left_is_swept(builder, tmp_path):
    assert sweep(tmp_path) == []
    builder.kill()
    builder.wait()
    assert (tmp_path / ".staging-one/gallery/index.faiss").exists()
    with staging_folder(tmp_path, "two"):
        assert [path.name for path in tmp_path.iterdir()] == [".staging-two"]
    assert list(tmp_path.iterdir()) == []


def test_the_version_of_a_killed_builder_is_free(builder, tmp_path):
    builder.kill()
    builder.wait()
    with staging_folder(tmp_path, "one") as folder:
        assert list(folder.iterdir()) == []


def test_threads_of_one_process_keep_each_other_out_too(tmp_path):
    with staging_folder(tmp_path, "one"), pytest.raises(ConflictError), staging_folder(tmp_path, "one"):
        pass


def test_a_locked_folder_is_waited_for_and_kept(tmp_path):
    order: list[str] = []

    def second() -> None:
        with locked_folder(tmp_path / "work") as folder:
            order.append((folder / "left").read_text())

    with locked_folder(tmp_path / "work") as folder:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        order.append("first")
        (folder / "left").write_text("by the first")
    thread.join(60)
    assert order == ["first", "by the first"]
