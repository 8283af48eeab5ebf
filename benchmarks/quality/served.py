"""The best arm and what folds chose for it in, its figure through a live gallery out: what is measured can be served.

The fused run is exported with the chosen temperature, and the gallery is built with the chosen weight and threshold, by
the commands that a user would type; the service answers so without a setting of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.quality.arms import Arm
from benchmarks.quality.bench import GroceryBench, Measured
from benchmarks.quality.live import evaluate_live
from benchmarks.quality.preparing import RUNS, Recipe, Step, prepare
from benchmarks.quality.recipes import FUSED, RECIPES
from benchmarks.quality.search import Choice
from benchmarks.results import Row, Target
from catalog.terminal import console
from index_builder.fusion import MIN_DEFAULT_WEIGHT

STORE = "{run}-best-store"
MOST_APART = 0.02  # top-5 score; queries and weights are the same, only the index and float32 lie between


def served_rows(bench: GroceryBench, best: Measured, *, runs: Path = RUNS) -> list[Row]:
    """Return the arm's top-5 score through its own gallery, and how far that is from the benchmark's.

    Where the arm cannot be served, one row without a number says why.
    """
    name = "best arm through the gallery, top-5 score"
    choice = best.chosen.choice  # whose temperature is that of the plain logits, as export takes it
    if reason := why_not(best.arm, choice):
        console.print(f"{best.arm.name}: {reason}", highlight=False)
        return [Row(name, float("nan"), "of 5", note=reason)]
    bench.prepared(best.arm.recipe)  # which refuses other networks; what follows is made anew for other choices
    recipe = served_recipe(RECIPES[best.arm.recipe], best.arm, choice)
    made = prepare(recipe, bench.shared, runs=runs, anew=True)
    store = Path(STORE.format(run=runs / "grocery"))
    modes = {f"{best.arm.label_mode} label": best.arm.label_mode}
    live = evaluate_live(store, made.repository, bench.shared.catalog, splits=["val"], modes=modes)[0]
    apart = abs(live.top5 - best.figures.top5)
    note = f"{store}, {live.name}, the gallery's own settings"
    return [
        Row(name, live.top5, "of 5", note=note),
        Row("best arm through the gallery minus in the benchmark, absolute", apart, "of 5", Target("<=", MOST_APART)),
    ]


def served_recipe(fused: Recipe, arm: Arm, choice: Choice) -> Recipe:
    """Return a fused recipe that ends in a repository and a gallery which answer as the arm does with its choice."""
    run, repository = fused.record.removesuffix("/run.json"), "{run}-best-models"
    build = [
        f"index_builder build --catalog {{train_catalog}} --split train --repository {repository}",
        f"--words {{train_run}}-words --store {STORE} --label-mode {arm.label_mode}",
        *(["--center-text"] if arm.centered else []),
        *([f"--min-confidence {choice.confidence:g}"] if arm.abstain else []),
        f"--default-weight {choice.weight:g}",
    ]
    return replace(
        fused,
        name=f"{fused.name}-best",
        steps=(
            fused.steps[0],
            Step(
                f"{repository}/photo/config.pbtxt",
                f"export fused --checkpoint {run} --repository {repository} --temperature {choice.temperature:g}",
            ),
            Step(f"{STORE}/live.json", " ".join(build)),
        ),
        repository=repository,
    )


def why_not(arm: Arm, choice: Choice) -> str:
    """Return one sentence that says why a gallery cannot answer as the arm does, "" where it can."""
    if arm.recipe != FUSED.name:
        return f"only the arm on the networks '{FUSED.name}' is exported with a temperature, this is '{arm.recipe}'"
    if arm.merge is not None or arm.projected or not arm.with_text:
        return "a gallery answers by one search with the labels' own vectors; this arm does not"
    if choice.weight < MIN_DEFAULT_WEIGHT:
        return (
            f"folds chose weight {choice.weight:g}, a gallery with text needs a default weight of at least "
            f"{MIN_DEFAULT_WEIGHT:g}; build it with --text none"
        )
    return ""
