"""Measured arms in, the plots and contact sheets of the main table out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import sheets
from benchmarks.quality.arms import BEST
from benchmarks.quality.bench import GroceryBench, Measured
from benchmarks.quality.outputs import Outputs
from benchmarks.quality.plots import (
    Bar,
    Curve,
    mean_interval,
    plot_arms,
    plot_coverage,
    plot_reliability,
    plot_weights,
)
from benchmarks.quality.search import vectors_of

BEST_SCORE = 3.7
SHEETS = ("frozen", "original", "ours2", BEST)


def draw_plots(bench: GroceryBench, measured: Mapping[str, Measured], folder: Path) -> list[Path]:
    """Write the plots of the table; returns their paths."""
    bars = [Bar(name, *mean_interval(one.figures.counts), best=name == BEST) for name, one in measured.items()]
    curves = [
        Curve(name, list(found), [float(n.mean()) for n in found.values()], one.chosen.choice.weight)
        for name, one in measured.items()
        if len(found := one.chosen.by_weight) > 1 and name != "soft-two-networks"
    ]
    best = measured[BEST]
    choice = bench.choice(best.arm)
    val = bench.outputs(best.arm.recipe, "val")
    confidence, correct = confidence_of(val.at_temperature(choice.temperature))
    held = [
        scene.queries.at_temperature(best.chosen.choice.temperature) for scene in bench.fold_scenes(best.arm.recipe)
    ]
    folds = [confidence_of(one) for one in held]
    return [
        plot_arms(bars, folder / "arms.png", title="Grocery photos: relevant among the first five", target=BEST_SCORE),
        plot_weights(curves, folder / "weight.png", title="The weight, chosen inside train"),
        plot_coverage(
            confidence,
            {
                "5 x share of labels that are right": 5.0 * correct.astype(np.float64),
                f"{BEST}: top-5 score": best.figures.counts,
                "frozen, image only: top-5 score": measured["frozen"].figures.counts,
            },
            folder / "abstention.png",
            title="Surer photos are answered better",
            threshold=choice.confidence,
        ),
        plot_reliability(
            {
                "held-out looks of train": (
                    np.concatenate([one[0] for one in folds]),
                    np.concatenate([one[1] for one in folds]),
                ),
                "val, calibrated": (confidence, correct),
                "val, not calibrated": confidence_of(val),
            },
            folder / "reliability.png",
            title="Does confidence tell the truth?",
        ),
    ]


def draw_sheets(
    bench: GroceryBench,
    measured: Mapping[str, Measured],
    *,
    names: Sequence[str] = SHEETS,
    folder: Path = sheets.FOLDER,
) -> list[Path]:
    """Write a sheet of good and one of bad cases for each of the arms `names`."""
    paths = []
    for name in names:
        one = measured[name]
        for good in (True, False):
            cases = sheets.choose_cases(one.figures.counts, good=good)
            kind = "good" if good else "bad"
            title = f"{name}: {kind} cases, top-5 score of all photos {one.figures.top5:.2f}"
            rows = sheet_rows(bench, one, cases.tolist())
            paths.append(sheets.draw_sheet(rows, folder / f"{name}-{kind}.png", title=title))
    return paths


def sheet_rows(bench: GroceryBench, one: Measured, cases: Sequence[int]) -> list[sheets.SheetQuery]:
    """Return the chosen queries with their first five hits and the parts of their scores."""
    scene, choice = bench.scene_of(one.arm), bench.choice(one.arm)
    parts = vectors_of(one.arm, scene, choice)
    folder = bench.shared.catalog.parent
    queries = scene.queries.at_temperature(choice.temperature)
    weight = choice.weight if one.arm.with_text else 0.0
    rows = []
    for case in cases:
        truth, hits = queries.truth[case], []
        for row in one.ranked.rows[case, : sheets.SHOWN]:
            image = float(parts.query_image[case] @ parts.image[row])
            asked = bool(parts.query_text[case].any())
            text = float(parts.query_text[case] @ parts.text[row]) if asked else 0.0
            label = scene.gallery.truth[row]
            score = (image + weight * text) / (1 + weight)
            picture = folder / scene.gallery.rows[row].image
            hits.append(sheets.SheetHit(picture, label, label == truth, score, image, text if asked else None))
        said, sure = queries.said[case], float(queries.probabilities[case].max())
        rows.append(sheets.SheetQuery(folder / queries.rows[case].image, truth, said, sure, hits))
    return rows


def confidence_of(outputs: Outputs) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probability of each photo's best label [Q] and whether that label is its own [Q]."""
    confidence = outputs.probabilities.max(axis=1).astype(np.float64)
    return confidence, np.asarray(np.array(outputs.said) == np.array(outputs.truth), bool)
