"""Any shop's catalog, query file, model repository and word vectors in, a table of all arms out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.quality.arms import ARMS, Arm
from benchmarks.quality.choose import CACHE, choose, in_words, probe_scenes
from benchmarks.quality.folds import shifted_folds
from benchmarks.quality.outputs import Outputs, outputs_of
from benchmarks.quality.search import Choice, Figures, Scene, figures, search
from catalog.errors import MalformedError
from catalog.terminal import console
from export.words import WordModel
from index_builder.manifest import TextVector

LEAST = 10  # rows a label, to choose by folds
# Arms that differ from another one only by their networks, which here are given.
_SAME = ("frozen", "metric", "soft-two-networks")


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
    choose_by_folds: bool = False,
) -> dict[str, Figures]:
    """Search the catalog's main pictures for every query photo by each arm, all on the networks of `repository`.

    A hit is right when it has the query's label. The weight is given (default 1) and probabilities are taken as they
    are, unless `choose_by_folds`: then each arm's weight, threshold and constant come from held-out looks of the
    catalog (`choices`). Raises `MalformedError` when no query has a label of the catalog, and what `choices` raises.
    """
    model = None if words is None else WordModel.load(words)
    scene = Scene(
        outputs_of(repository, catalog, splits), outputs_of(repository, queries, query_splits, boxes=boxes), model
    )
    if not (set(scene.gallery.truth) & set(scene.queries.truth)) - {""}:
        raise MalformedError(f"no label of {queries.name} stands in {catalog.name}, so no hit can be right")
    if len(scene.gallery) < 10:
        raise MalformedError(f"{catalog.name} has {len(scene.gallery)} rows, at least 10 are needed")
    arms = [arm for arm in _arms(abstain=choose_by_folds) if model is not None or not _needs_words(arm)]
    chosen = choices(arms, scene.gallery, model) if choose_by_folds else {}
    given = Choice(weight=1.0 if weight is None else weight)
    return {arm.name: figures(search(arm, scene, chosen.get(arm.name, given)), scene) for arm in arms}


def choices(
    arms: Sequence[Arm], gallery: Outputs, words: WordModel | None, *, cache: Path = CACHE
) -> dict[str, Choice]:
    """Return what held-out looks of a catalog choose for each arm, by name; no query photo is looked at.

    Labels of a held-out look come from a linear probe on the others' pooled features, which knows too much where the
    network was trained on these very photos. The probe's temperature would say nothing of the network's probabilities,
    so both are taken as they are. Raises `MalformedError` where rows lack a label that the network knows, or a label
    has fewer than `LEAST` rows.
    """
    strangers = sorted(set(gallery.truth) - set(gallery.labels))
    if strangers:
        raise MalformedError(
            f"label '{strangers[0]}' of the catalog is none of the network's; to choose by folds it must know all"
        )
    label, count = Counter(gallery.truth).most_common()[-1]
    if count < LEAST:
        raise MalformedError(f"label '{label}' has {count} rows, at least {LEAST} are needed to choose by folds")
    scenes = probe_scenes(gallery, shifted_folds(gallery.embedding, gallery.truth), words, cache=cache)
    chosen = {arm.name: choose(arm, scenes, temperature=1.0).choice for arm in arms}
    for arm in arms:
        if arm.with_text:
            console.print(f"[dim]{arm.name}: {in_words(arm, chosen[arm.name])}[/dim]", highlight=False)
    return chosen


def print_arms(rows: Mapping[str, Figures], *, title: str) -> None:
    """Show the table."""
    table = Table(title=title, title_justify="left")
    for column in ("arm", "top-5 score", "recall@1", "recall@5", "mAP@10", "second level top-5", "ms per query"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for name, one in rows.items():
        shares = [f"{value:.3f}" for value in (one.recall_1, one.recall_5, one.map_10)]
        table.add_row(name, f"{one.top5:.2f}", *shares, f"{one.second_level:.2f}", f"{one.ms:.2f}")
    Console().print(table)


def _arms(*, abstain: bool) -> list[Arm]:
    """Return the arms; without `abstain` none leaves out its text, since nothing says below which confidence."""
    return [replace(arm, abstain=arm.abstain and abstain) for arm in ARMS.values() if arm.name not in _SAME]


def _needs_words(arm: Arm) -> bool:
    return arm.text_vector is TextVector.WORDVECTOR
