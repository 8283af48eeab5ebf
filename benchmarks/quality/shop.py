"""Any shop's catalog, query file, model repository and word vectors in, a table of all arms out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.quality.arms import ARMS, Arm
from benchmarks.quality.outputs import outputs_of
from benchmarks.quality.search import Choice, Figures, Scene, figures, search
from catalog.errors import MalformedError
from export.words import WordModel
from index_builder.manifest import TextVector

# Arms that differ from another one only by their networks, which here are given.
_SAME = ("frozen", "soft-two-networks")


def evaluate_arms(
    catalog: Path,
    queries: Path,
    repository: Path,
    words: Path | None,
    *,
    splits: list[str] | None = None,
    query_splits: list[str] | None = None,
    weight: float | None = None,
    boxes: bool = False,
) -> dict[str, Figures]:
    """Search the catalog's main pictures for every query photo by each arm, all on the networks of `repository`.

    A hit is right when it has the query's label. Nothing is chosen here: the weight is given (default 1), probabilities
    are taken as they are. Raises `MalformedError` when no query has a label of the catalog.
    """
    model = None if words is None else WordModel.load(words)
    scene = Scene(
        outputs_of(repository, catalog, splits), outputs_of(repository, queries, query_splits, boxes=boxes), model
    )
    if not (set(scene.gallery.truth) & set(scene.queries.truth)) - {""}:
        raise MalformedError(f"no label of {queries.name} stands in {catalog.name}, so no hit can be right")
    if len(scene.gallery) < 10:
        raise MalformedError(f"{catalog.name} has {len(scene.gallery)} rows, at least 10 are needed")
    choice = Choice(weight=1.0 if weight is None else weight)
    return {
        arm.name: figures(search(arm, scene, choice), scene)
        for arm in _arms()
        if model is not None or not _needs_words(arm)
    }


def print_arms(rows: Mapping[str, Figures], *, title: str) -> None:
    """Show the table."""
    table = Table(title=title, title_justify="left")
    for column in ("arm", "top-5 score", "recall@1", "recall@5", "mAP@10", "second level top-5", "ms per query"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for name, one in rows.items():
        shares = [f"{value:.3f}" for value in (one.recall_1, one.recall_5, one.map_10)]
        table.add_row(name, f"{one.top5:.2f}", *shares, f"{one.second_level:.2f}", f"{one.ms:.2f}")
    Console().print(table)


def _arms() -> list[Arm]:
    return [replace(arm, abstain=False) for arm in ARMS.values() if arm.name not in _SAME]


def _needs_words(arm: Arm) -> bool:
    return arm.text_vector is TextVector.WORDVECTOR
