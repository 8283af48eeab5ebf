"""Real photos and the sample networks in: what the embedding stage adds to plain ONNX Runtime, and to memory, out."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.galleries.stages import Staged, StageSpec, staged
from benchmarks.results import Row, Target
from benchmarks.serving.clients import LoadReport, LoadSpec, measure
from benchmarks.serving.clients import Target as Load
from catalog.machine import usable_cores
from catalog.terminal import console
from export.contract import read_repository
from index_builder.manifest import LabelSource

ROUNDS = 3
PHOTOS = 1280  # some batches less at the end would weigh too much
SHARE = 0.95
GROWTH = 1.10


def embed_rows(repository: Path, photos: Path, *, folder: Path, rounds: int = ROUNDS, count: int = PHOTOS) -> list[Row]:
    """Embed `count` JPEG photos by the stage and by plain ONNX Runtime, in turns, on all cores.

    `repository` is a pair of networks or a fused one. The ceilings are one session a core in a loop, with the photos
    decoded beforehand and with the decoding; the stage also hashes, makes thumbnails, and writes its shards.
    """
    some = _photos(photos, folder / "photos", count)
    catalog = write_catalog(folder / "catalog.jsonl", some, len(some))
    spec = StageSpec(str(catalog), str(repository), str(folder / "build"))
    stage: list[Staged] = []
    ceilings: dict[Load, list[LoadReport]] = {Load.NETWORKS: [], Load.DECODE_AND_NETWORKS: []}
    cores = usable_cores()
    for _ in range(rounds):
        stage.append(staged(spec))
        for load, reports in ceilings.items():
            seconds = stage[-1].embed_s
            reports.append(measure(LoadSpec(load, str(repository), str(folder / "photos"), cores, seconds)))
    return ratio_rows(stage, ceilings[Load.DECODE_AND_NETWORKS], ceilings[Load.NETWORKS])


def ratio_rows(stage: Sequence[Staged], ceiling: Sequence[LoadReport], bare: Sequence[LoadReport]) -> list[Row]:
    """Return medians of the ratios of each round, and the photos a second."""
    rates = [one.photos_per_s for one in stage]

    def ratio(reports: Sequence[LoadReport]) -> tuple[float, str]:
        ratios = [rate / report.photos_per_s for rate, report in zip(rates, reports, strict=True)]
        return statistics.median(ratios), f"rounds {min(ratios):.2f} to {max(ratios):.2f}"

    (whole, note), (without, bare_note) = ratio(ceiling), ratio(bare)
    photos_per_s = f"{statistics.median(rates):.1f} photos/s with thumbnails and shards written"
    return [
        Row("embedding stage over plain ONNX Runtime with decoding", whole, "", Target(">=", SHARE), note),
        Row("embedding stage over plain ONNX Runtime, photos decoded before", without, "", note=bare_note),
        Row("embedding stage", statistics.median(rates), "photos/s", note=photos_per_s),
    ]


def memory_rows(repository: Path, pictures: Path, *, folder: Path, counts: tuple[int, int]) -> list[Row]:
    """Run the streaming stages over a small and a large catalog, in which the same pictures stand again and again.

    The catalog says the labels, so that of a pair only the embedder runs: what a picture costs is not the question.
    """
    some = _photos(pictures, folder / "pictures", PHOTOS)
    labels = read_repository(repository).labels
    peaks = []
    for count in counts:
        catalog = write_catalog(folder / f"catalog-{count}.jsonl", some, count, labels=labels)
        spec = StageSpec(str(catalog), str(repository), str(folder / "stages"), LabelSource.CATALOG)
        done = staged(spec)
        if done.rows != count:
            raise ValueError(f"{done.rows} of {count} rows were made")
        console.print(f"[dim]{count:,} rows: {done.peak_bytes / 1e6:,.0f} MB, {done.photos_per_s:,.0f}/s[/dim]")
        peaks.append(done.peak_bytes)
    return [growth_row(counts, (peaks[0], peaks[1]))]


def growth_row(counts: tuple[int, int], peaks: tuple[int, int]) -> Row:
    """Return the ratio of two peaks."""
    note = " and ".join(f"{peak / 1e6:,.0f} MB" for peak in peaks)
    name = f"peak memory of the streaming stages, {counts[1]:,} over {counts[0]:,} products"
    return Row(name, peaks[1] / peaks[0], "", Target("<=", GROWTH), f"{note} besides mapped files")


def write_catalog(path: Path, photos: Sequence[Path], count: int, *, labels: Sequence[str] = ()) -> Path:
    """Write a catalog of `count` products that take the photos, and the labels where there are any, in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            photo = photos[number % len(photos)]
            row = {"product_id": f"p{number}", "image": str(photo.absolute()), "title": f"product {number}"}
            if labels:
                row["label"] = labels[number % len(labels)]
            file.write(json.dumps(row) + "\n")
    return path


def _photos(source: Path, folder: Path, count: int) -> list[Path]:
    """Link up to `count` of the JPEG photos below `source` into one folder, evenly spread, and return the links."""
    found = sorted(source.rglob("*.jpg"))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    step = max(1, len(found) // count)
    links = []
    for number, photo in enumerate(found[::step][:count]):
        link = folder / f"{number:05d}.jpg"
        link.symlink_to(photo.absolute())
        links.append(link)
    if not links:
        raise FileNotFoundError(f"no *.jpg below {source}")
    return links
