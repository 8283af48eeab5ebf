"""Whether the machine has room for a second gallery beside the one that answers, in bytes; on Linux only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bento.errors import RefusedError
from index_builder.gallery import INDEX_FILE
from index_builder.gallery_reader import GalleryReader
from index_builder.gallery_texts import WORDS_FOLDER
from index_builder.manifest import Manifest
from index_builder.product_table import OLD_TABLE_FILE

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
TABLE_FACTOR = 4  # a table of before it was mapped (Parquet) is about so much larger in memory
ROW_BYTES = 64  # of a mapped table: numbers of products, hashes of ids, a mask or two
MIB = 2**20


def check_room(manifest: Manifest, *, beside: GalleryReader, proc: Path = PROC, cgroups: Path = CGROUPS) -> None:
    """Raise `RefusedError` when a gallery does not fit into memory beside the one that answers."""
    available = available_bytes(proc=proc, cgroups=cgroups)
    if available is None:
        return
    # What answers is mapped: the kernel counts those pages as free for others, but searches need them.
    available -= mapped_bytes(beside.folder, proc=proc)
    needed = needed_bytes(manifest)
    if needed > available:
        raise RefusedError(
            f"gallery {manifest.version} needs about {needed / MIB:,.0f} MiB beside {beside.manifest.version}, which "
            f"answers, and {max(available, 0) / MIB:,.0f} MiB are available; give the replica more memory or start one "
            "anew"
        )


def needed_bytes(manifest: Manifest) -> int:
    """What an open gallery takes, about: its index whole, its words, bookkeeping of rows; the rest stays on disk."""
    sizes = {name: record.size_bytes for name, record in manifest.files.items()}
    words = sum(size for name, size in sizes.items() if name.startswith(f"{WORDS_FOLDER}/"))
    table = TABLE_FACTOR * sizes.get(OLD_TABLE_FILE, 0) + ROW_BYTES * manifest.count
    return sizes.get(INDEX_FILE, 0) + table + words


def available_bytes(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """What can be had without swapping, by the machine and by every limit on this process; None where unknown."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*free, *_left_of_limits(proc, cgroups)], default=None)


def mapped_bytes(folder: Path, *, proc: Path = PROC) -> int:
    """How much of a folder's files is mapped and in memory; 0 where that cannot be told."""
    try:
        lines = (proc / "self" / "smaps").read_text().splitlines()
    except OSError:
        return 0
    inside, total = False, 0
    start = f"{folder.resolve()}/"
    for line in lines:
        if line[0] in "0123456789abcdef":  # a mapping: address, rights, offset, device, inode, path
            inside = line.split(maxsplit=5)[-1].startswith(start)
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def _left_of_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each control group above this process leaves; cache of files counts as free."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield from _left(cgroups, path, limit="memory.max", used="memory.current", prefix="")
        elif "memory" in controllers.split(","):
            names = {"limit": "memory.limit_in_bytes", "used": "memory.usage_in_bytes"}
            yield from _left(cgroups / "memory", path, prefix="total_", **names)


def _left(root: Path, path: str, *, limit: str, used: str, prefix: str) -> Iterator[int]:
    """A container may see its own group as the root, so every folder that is there is asked."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        if folder != root and root not in folder.parents:
            return
        try:
            most = (folder / limit).read_text().strip()
            if most == "max":
                continue
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cache = sum(int(stat.get(f"{prefix}{name}", 0)) for name in ("inactive_file", "active_file"))
            yield int(most) - int((folder / used).read_text()) + cache
        except (OSError, ValueError):
            continue
