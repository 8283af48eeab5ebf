"""The best arm as it is served: a real tiny fused network, exported and built by the printed commands, asked live."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import preparing, recipes
from benchmarks.quality.arms import ARMS, BEST
from benchmarks.quality.bench import GroceryBench, Measured
from benchmarks.quality.choose import Chosen
from benchmarks.quality.preparing import Recipe, Step
from benchmarks.quality.recipes import FUSED
from benchmarks.quality.search import Choice, figures, search
from benchmarks.quality.served import served_recipe, served_rows, why_not
from export import __main__ as export_main
from export.graphs import exported_temperature
from index_builder import __main__ as builder_main
from training import __main__ as training_main

# The commands as they are, without starting Python for each.
ROOMS = {"training": training_main, "export": export_main, "index_builder": builder_main}
ARM = ARMS[BEST]
TINY = Recipe(
    "fused",
    (
        Step(
            "{run}-fused/run.json",
            "training fused --catalog {catalog} --split {split} --clusters label --size-px 32 --dim 8 --epochs 1 "
            "--batch 12 --threads 1 --out {run}-fused",
        ),
        Step(
            "{run}-fused-models/photo/config.pbtxt",
            "export fused --checkpoint {run}-fused --repository {run}-fused-models",
        ),
    ),
    repository="{run}-fused-models",
    record="{run}-fused/run.json",
    folds=(1,),
)


@pytest.fixture
def bench(color_shop, shared_folder, tmp_path, monkeypatch) -> GroceryBench:
    """Fused networks of the color shop, and word vectors made by hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preparing, "run", lambda room, *arguments: ROOMS[room].main(list(arguments)))
    monkeypatch.setitem(recipes.RECIPES, "fused", TINY)
    shutil.copytree(color_shop.words.folder, "runs/grocery-words", copy_function=shutil.copyfile)  # newer than texts
    return GroceryBench(shared_folder)


def measured(bench: GroceryBench, choice: Choice) -> Measured:
    """The arm in the benchmark: the plain export, with the temperature applied to its probabilities."""
    scene = bench.scene("fused")
    there = replace(choice, temperature=choice.temperature / bench.prepared("fused").temperature)
    ranked = search(ARM, scene, there)
    chosen = Chosen(choice, {choice.weight: np.zeros(1, np.int64)}, {})
    return Measured(ARM, chosen, ranked, figures(ranked, scene), len(scene.gallery))


def test_the_gallery_answers_as_the_arm_with_its_temperature_weight_and_threshold(bench: GroceryBench):
    choice = Choice(weight=2.0, temperature=0.5, confidence=0.2)
    best = measured(bench, choice)
    score, apart = served_rows(bench, best)
    assert score.name == "best arm through the gallery, top-5 score"
    assert score.value == pytest.approx(best.figures.top5, abs=1e-6)
    assert (apart.value, apart.ok) == (pytest.approx(0, abs=1e-6), True)
    assert exported_temperature(Path("runs/grocery-best-models/photo/1/model.onnx")) == 0.5
    manifest = live_manifest()
    assert (manifest["default_weight"], manifest["text"]["centered"]) == (2.0, True)
    assert (manifest["label"]["mode"], manifest["label"]["min_confidence"]) == ("soft", 0.2)

    network = Path("runs/grocery-fused/run.json").stat().st_mtime_ns
    other = measured(bench, replace(choice, weight=1.0, confidence=0.0))
    assert served_rows(bench, other)[0].value == pytest.approx(other.figures.top5, abs=1e-6)
    assert live_manifest()["default_weight"] == 1.0
    assert Path("runs/grocery-fused/run.json").stat().st_mtime_ns == network


def live_manifest() -> dict:
    store = Path("runs/grocery-best-store")
    version = json.loads((store / "live.json").read_text())["live"]["gallery"]
    return json.loads((store / "galleries" / version / "manifest.json").read_text())


def test_commands_carry_the_choice():
    made = served_recipe(FUSED, ARM, Choice(weight=3.0, temperature=0.7, confidence=0.25))
    assert made.steps[0] == FUSED.steps[0]
    assert made.steps[1].command == (
        "export fused --checkpoint {run}-fused --repository {run}-best-models --temperature 0.7"
    )
    assert made.steps[2].command == (
        "index_builder build --catalog {train_catalog} --split train --repository {run}-best-models "
        "--words {train_run}-words --store {run}-best-store --label-mode soft --center-text --min-confidence 0.25 "
        "--default-weight 3"
    )


def test_what_a_gallery_cannot_do_is_one_sentence():
    assert why_not(ARM, Choice(weight=1.0)) == ""
    assert "folds chose weight 0, a gallery with text needs" in why_not(ARM, Choice(weight=0.0))
    assert "networks 'fused'" in why_not(ARM.on("separate"), Choice())
    assert "one search" in why_not(ARMS["sequential-rrf"], Choice())
