"""What was tried besides the main table in, a result file a study out; a study goes on where it was stopped.

A study is a list of cells. A cell's settings (commands, names, seeds) are hashed into its row, and a row whose result
file has the same hash is not measured again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.arms import BEST, Arm
from benchmarks.quality.bench import GroceryBench
from benchmarks.quality.choose import choose
from benchmarks.quality.main_table import TWO_STEP, TWO_STEP_RESULT
from benchmarks.quality.outputs import Outputs, View
from benchmarks.quality.preparing import RUNS, Recipe, Shared, commands, prepare
from benchmarks.quality.recipes import FROZEN, POOLING_RECIPES, STUDY_RECIPES
from benchmarks.quality.search import Choice, Figures, Scene, figures, search
from benchmarks.results import RESULTS, Row, Target, publish
from catalog.errors import NotReadyError
from catalog.terminal import console
from index_builder.fusion import unit

SEEDS = (0, 1, 2)
DATA_SETS = ("grocery", "clothing")
EXPANSIONS = (1, 3, 5)


@dataclass(frozen=True)
class Cell:
    """One figure: `measure` returns its row; `settings` is what the figure depends on."""

    name: str
    settings: object
    measure: Callable[[], Row]

    @property
    def hash(self) -> str:
        """A short name of the settings."""
        text = json.dumps([self.name, self.settings], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Study:
    """Cells measured one by one, and rows that are computed from theirs."""

    name: str
    title: str
    cells: Sequence[Cell]
    summary: Callable[[Mapping[str, float]], list[Row]] = lambda _: []


def run_study(study: Study, *, folder: Path = RESULTS) -> Path:
    """Measure the cells that the result file lacks, writing it after each; returns its path."""
    kept = _kept(folder / f"{study.name}.json")
    rows: list[Row] = []
    for place, cell in enumerate(study.cells, start=1):
        old = kept.get(cell.hash)
        if old is None:
            console.print(f"{study.name}: {cell.name} ({place} of {len(study.cells)})", highlight=False)
            old = replace(cell.measure(), name=cell.name, settings=cell.hash)
        rows.append(old)
        # The rows behind this one that are known stay in the file, should the next measurement be stopped.
        behind = [known for later in study.cells[place:] if (known := kept.get(later.hash)) is not None]
        _publish(study, [*rows, *behind], folder, quiet=place < len(study.cells))
    values = {row.name: row.value for row in rows}
    return _publish(study, [*study.summary(values), *rows], folder, quiet=False)


def two_step_study(shared: Shared, *, runs: Path = RUNS) -> Study:
    """Accuracy of one-step and two-step fine-tuning, both data sets, three seeds (Kim et al., Table I)."""
    cells = []
    for data in DATA_SETS:
        for steps in ("one-step", "two-step"):
            for seed in SEEDS:
                recipe = STUDY_RECIPES[f"{steps}-{data}"].seeded(seed)
                cells.append(_accuracy_cell(f"{data}, {steps}, seed {seed}: accuracy", recipe, shared, runs))
    return Study(
        TWO_STEP_RESULT, "Two-step over one-step fine-tuning at 112 px, accuracy on val", cells, two_step_summary
    )


def extras_study(bench: GroceryBench) -> Study:
    """What else can be done at query and gallery side, by folds of `train` on frozen features: gain and time."""
    arm = bench.arm(BEST).on(FROZEN.name)
    base = {"arm": arm, "fold": bench.fold.tolist(), "commands": commands(FROZEN, bench.shared)}
    variants: dict[str, Callable[[], Row]] = {
        "soft": lambda: _fold_row(bench, arm),
        "soft, centered text": lambda: _fold_row(bench, replace(arm, centered=True)),
        "hard": lambda: _fold_row(bench, replace(bench.arm("ours2").on(FROZEN.name), abstain=False)),
        "soft, mirrored view of the query too": lambda: _fold_row(bench, arm, query_views=(View.MIRRORED,)),
        "soft, center crop of the query too": lambda: _fold_row(bench, arm, query_views=(View.CENTER,)),
        "soft, mirrored view in the gallery too": lambda: _fold_row(bench, arm, gallery_views=(View.MIRRORED,)),
        **{f"soft, query expansion by {count}": partial(_fold_row, bench, arm, expand=count) for count in EXPANSIONS},
    }
    cells = [Cell(f"{name}: top-5 score on folds", {**base, "name": name}, make) for name, make in variants.items()]
    return Study(
        "quality_extras", "Query-side and gallery-side extras, held-out looks of train, frozen features", cells
    )


def pooling_study(bench: GroceryBench) -> Study:
    """Top-4 accuracy on unseen clusters of heads trained over GA, SAP, SAM and no pooling (Kim et al., Table II)."""
    variant = bench.unseen_variant()

    def cell(name: str, recipe: Recipe) -> Cell:
        def measure() -> Row:
            score = bench.unseen(recipe)
            return Row(name, 100 * score.mean, "%", note=f"spread over draws {100 * score.spread:.1f}")

        return Cell(name, commands(recipe, bench.shared, variant), measure)

    recipes = {"frozen pool5": FROZEN, **{f"pooling {name}": recipe for name, recipe in POOLING_RECIPES.items()}}
    cells = [cell(f"{name}: unseen clusters Top-4", recipe) for name, recipe in recipes.items()]
    return Study("quality_poolings", "Poolings of four stages, Top-4 accuracy on unseen clusters", cells)


def run_all(shared: Path) -> None:
    """Run every study, then the main table; each goes on where it was stopped."""
    from benchmarks.quality.main_table import main_table

    bench = GroceryBench(shared)
    run_study(extras_study(bench))
    run_study(pooling_study(bench))
    run_study(two_step_study(bench.shared))
    main_table(shared)


def two_step_summary(values: Mapping[str, float]) -> list[Row]:
    """Return the mean gain in points over seeds and data sets with its spread, and each set's own."""
    gains = {
        data: np.array(
            [
                values[f"{data}, two-step, seed {seed}: accuracy"] - values[f"{data}, one-step, seed {seed}: accuracy"]
                for seed in SEEDS
            ]
        )
        for data in DATA_SETS
    }
    every = np.concatenate(list(gains.values()))
    spread = f"spread over seeds and sets {every.std(ddof=1):.1f}"
    each = [
        Row(f"{data}: two-step over one-step", float(own.mean()), "points", note=f"spread {own.std(ddof=1):.1f}")
        for data, own in gains.items()
    ]
    target = Target(">=", 0)
    return [Row(TWO_STEP, float(every.mean()), "points", target, spread, published="+3.6, +3.2"), *each]


def last_accuracy(record: Path) -> float:
    """Return the last epoch's accuracy on held-out photos from a `run.json`; `NotReadyError` where there is none."""
    metrics: list[dict[str, Any]] = json.loads(record.read_text(encoding="utf-8"))["metrics"]
    if not metrics or "accuracy" not in metrics[-1]:
        raise NotReadyError(f"{record} has no accuracy on held-out photos; train it again with --val-split")
    return float(metrics[-1]["accuracy"])


def _accuracy_cell(name: str, recipe: Recipe, shared: Shared, runs: Path) -> Cell:
    def measure() -> Row:
        made = prepare(recipe, shared, runs=runs)
        return Row(name, 100 * last_accuracy(made.record), "%")

    return Cell(name, commands(recipe, shared, runs=runs), measure)


def _fold_row(
    bench: GroceryBench,
    arm: Arm,
    *,
    query_views: Sequence[View] = (),
    gallery_views: Sequence[View] = (),
    expand: int = 0,
) -> Row:
    """Measure an arm on held-out looks, the choices of the plain arm kept but for the text's own."""
    scenes = bench.fold_scenes(arm.recipe)
    choice = choose(arm, scenes).choice
    extra = {view: bench.outputs(arm.recipe, "train", view=view) for view in {*query_views, *gallery_views}}
    counts, times = [], []
    for number, scene in zip(np.unique(bench.fold), scenes, strict=True):
        held, rows = np.flatnonzero(bench.fold == number), np.flatnonzero(bench.fold != number)
        changed = Scene(
            _averaged(scene.gallery, [extra[view].take(rows) for view in gallery_views]),
            _averaged(scene.queries, [extra[view].take(held) for view in query_views]),
            scene.words,
        )
        found = _expanded(arm, changed, choice, expand)
        counts.append(found.counts)
        times.append(found.ms)
    score = float(np.concatenate(counts).mean())
    networks = 1 + len(query_views)
    return Row("", score, "of 5", note=f"search {np.mean(times):.2f} ms, {networks} network run(s) a query")


def _averaged(outputs: Outputs, others: Sequence[Outputs]) -> Outputs:
    """Return the same photos with image vectors averaged over their views, at length 1 again."""
    if not others:
        return outputs
    embedding = unit(np.sum([one.embedding for one in (outputs, *others)], axis=0)).astype(np.float32)
    pooled = unit(np.sum([one.pooled for one in (outputs, *others)], axis=0)).astype(np.float32)
    return replace(outputs, embedding=embedding, pooled=pooled)


def _expanded(arm: Arm, scene: Scene, choice: Choice, count: int) -> Figures:
    """Search; with `count` search again from the mean of each query and its best hits (Chum et al. 2007)."""
    first = search(arm, scene, choice)
    if not count:
        return figures(first, scene)
    best = scene.gallery.embedding[first.rows[:, :count]].sum(axis=1)
    queries = replace(scene.queries, embedding=unit(scene.queries.embedding + best).astype(np.float32))
    again = Scene(scene.gallery, queries, scene.words)
    second = search(arm, again, choice)
    return figures(replace(second, ms=first.ms + second.ms), again)


def _kept(path: Path) -> dict[str, Row]:
    """Return the rows of an earlier run by the hash of their settings; a figure that is no number is measured again."""
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {
        row["settings"]: Row(
            row["name"],
            row["value"],
            row["unit"],
            note=row.get("note", ""),
            published=row.get("published", ""),
            settings=row["settings"],
        )
        for row in rows
        if row.get("settings") and row["value"] is not None
    }


def _publish(study: Study, rows: Sequence[Row], folder: Path, *, quiet: bool) -> Path:
    return publish(
        study.name, rows, title=study.title, command="python -m benchmarks.quality all", folder=folder, quiet=quiet
    )
