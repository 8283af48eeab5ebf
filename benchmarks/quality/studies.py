"""What was tried besides the main table in, a result file a study out; a study goes on where it was stopped.

A study is a list of cells. A cell's settings (commands, names, seeds, hashes of the data) are hashed into its row, and
a row whose result file has the same hash is not measured again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.metrics import paired_bootstrap
from benchmarks.quality.arms import BEST
from benchmarks.quality.bench import GroceryBench
from benchmarks.quality.extras import Extra, extras_of, measure_extra
from benchmarks.quality.main_table import TWO_STEP, TWO_STEP_RESULT
from benchmarks.quality.preparing import RUNS, Recipe, Shared, ingredients, prepare
from benchmarks.quality.recipes import FROZEN, FUSED, LOSS_RECIPES, POOLING_RECIPES, RECIPES, STUDY_RECIPES
from benchmarks.results import RESULTS, Row, Target, publish
from catalog.errors import NotReadyError
from catalog.terminal import console

SEEDS = (0, 1, 2)
DATA_SETS = ("grocery", "clothing")


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

    @property
    def verb(self) -> str:
        """The verb that measures it: `quality_two_step` is of `two-step`."""
        return self.name.removeprefix("quality_").replace("_", "-")


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
    """What else can be done at query and gallery side, on held-out looks of `train`: gain over plain soft, and time.

    On the served networks' own fold, and on frozen features with a probe a fold. An extra's weight and threshold are
    chosen on the photos that it is measured on, as are those of plain soft, so a gain within the interval is none.
    """
    cells = [cell for recipe in (FUSED.name, FROZEN.name) for cell in _extras_cells(bench, recipe)]
    return Study("quality_extras", "Query-side and gallery-side extras, held-out looks of train", cells)


def pooling_study(bench: GroceryBench) -> Study:
    """Top-4 accuracy on unseen clusters of heads trained over GA, SAP, SAM and no pooling (Kim et al., Table II)."""
    recipes = {"frozen pool5": FROZEN, **{f"pooling {name}": recipe for name, recipe in POOLING_RECIPES.items()}}
    return _unseen_study(bench, recipes, name="quality_poolings", title="Poolings of four stages")


def losses_study(bench: GroceryBench) -> Study:
    """Top-4 accuracy on unseen clusters of one head, pooling GA, trained with each loss of metric learning."""
    recipes = {f"loss {name}": recipe for name, recipe in LOSS_RECIPES.items()}
    return _unseen_study(bench, recipes, name="quality_losses", title="Losses of metric learning, pooling GA")


# Verb -> study, in the order in which `all` runs them.
STUDIES: Mapping[str, Callable[[GroceryBench], Study]] = {
    "extras": extras_study,
    "poolings": pooling_study,
    "losses": losses_study,
    "two-step": lambda bench: two_step_study(bench.shared),
}


def run_one(verb: str, shared: Path) -> None:
    """Run one study, from where it was stopped."""
    run_study(STUDIES[verb](GroceryBench(shared)))


def run_all(shared: Path) -> None:
    """Run every study, then the main table; each goes on where it was stopped."""
    from benchmarks.quality.main_table import main_table

    bench = GroceryBench(shared)
    for study in STUDIES.values():
        run_study(study(bench))
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

    return Cell(name, ingredients(recipe, shared, runs=runs), measure)


def _unseen_study(bench: GroceryBench, recipes: Mapping[str, Recipe], *, name: str, title: str) -> Study:
    variant = bench.unseen_variant()

    def cell(what: str, recipe: Recipe) -> Cell:
        def measure() -> Row:
            score = bench.unseen(recipe)
            return Row(what, 100 * score.mean, "%", note=f"spread over draws {100 * score.spread:.1f}")

        return Cell(what, ingredients(recipe, bench.shared, variant), measure)

    cells = [cell(f"{what}: unseen clusters Top-4", recipe) for what, recipe in recipes.items()]
    return Study(name, f"{title}, Top-4 accuracy on unseen clusters", cells)


def _extras_cells(bench: GroceryBench, recipe: str) -> list[Cell]:
    """Return a cell an extra on one recipe's networks; the first is the plain arm, which the others differ from.

    With one held-out look there is no other to count confusions on: photos of the same look tell the label itself.
    """
    plain, *others = extras_of(bench.arm(BEST).on(recipe))
    if len(RECIPES[recipe].folds) == 1:
        others = [extra for extra in others if not extra.arm.projected]

    @cache
    def measured(extra: Extra) -> tuple[NDArray[np.float64], float]:
        return measure_extra(extra, bench.fold_scenes(recipe), lambda view: bench.fold_scenes(recipe, view=view))

    def row(extra: Extra) -> Row:
        counts, ms = measured(extra)
        note = f"search {ms:.2f} ms, {extra.runs} network run(s) a query"
        if extra != plain:
            mean, low, high = paired_bootstrap(measured(plain)[0], counts)
            note = f"{mean:+.3f} to plain soft, 95 % interval {low:+.3f} to {high:+.3f}; {note}"
        return Row("", float(counts.mean()), "of 5", note=note)

    settings = bench.fold_settings(recipe)
    return [
        Cell(f"{recipe}, {extra.name}: top-5 score on folds", [repr(extra), settings], partial(row, extra))
        for extra in (plain, *others)
    ]


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
    command = f"python -m benchmarks.quality {study.verb}"
    return publish(study.name, rows, title=study.title, command=command, folder=folder, quiet=quiet)
