"""Recipes run their commands once, in order, and refuse what other commands made; real commands on a tiny catalog."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from benchmarks.quality import preparing
from benchmarks.quality.preparing import (
    Prepared,
    Recipe,
    Shared,
    Step,
    Variant,
    commands,
    fold_variant,
    prepare,
    unseen_variant,
)
from benchmarks.quality.recipes import LOSS_RECIPES, POOLING_RECIPES, RECIPES, STUDY_RECIPES
from catalog.errors import NotFoundError, NotReadyError
from catalog.reader import load_catalog
from export import __main__ as export_main
from training import __main__ as training_main

WORDS = "training words --catalog {catalog} --split {split} --dim 4 --min-count 1 --bucket 100 --epochs {seed} --out "
RECIPE = Recipe(
    "tiny",
    (
        Step("{run}-words/words.json", WORDS + "{run}-words"),
        Step("{run}-more-words/words.json", WORDS + "{run}-more-words"),
    ),
    record="{run}-words/words.json",
    seed=1,
)


@pytest.fixture
def shared(color_shop, tmp_path) -> Shared:
    for name in ("data/clothing/catalog.csv", "data/text/products.csv", "weights/googlenet-imagenet.onnx"):
        path = tmp_path / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "shared/data/grocery").symlink_to(color_shop.catalog.parent)
    return Shared(tmp_path / "shared")


def test_commands_run_once_and_in_order(shared: Shared, tmp_path):
    made = prepare(RECIPE, shared, runs=tmp_path)
    first = made.record.stat().st_mtime_ns
    assert (tmp_path / "grocery-more-words/words.bin").is_file()
    prepare(RECIPE, shared, runs=tmp_path)
    assert made.record.stat().st_mtime_ns == first
    assert made.temperature == 1.0


def test_what_other_commands_made_is_refused(shared: Shared, tmp_path):
    prepare(RECIPE, shared, runs=tmp_path)
    with pytest.raises(NotReadyError, match="was made by other commands than the recipe says now"):
        prepare(RECIPE.seeded(2), shared, runs=tmp_path)


def test_what_follows_a_step_made_anew_is_made_anew(shared: Shared, tmp_path):
    prepare(RECIPE, shared, runs=tmp_path)
    later = tmp_path / "grocery-more-words/words.json"
    before = later.stat().st_mtime_ns
    for file in (tmp_path / "grocery-words").iterdir():
        file.unlink()
    prepare(RECIPE, shared, runs=tmp_path)
    assert later.stat().st_mtime_ns > before


def test_a_command_that_fails_is_named(shared: Shared, tmp_path):
    broken = replace(RECIPE, steps=(Step("{run}-x/run.json", "training words --catalog {run}.csv --out {run}-x"),))
    with pytest.raises(
        NotReadyError, match=r"python -m training words --catalog .*grocery\.csv.* failed with exit code 2"
    ):
        prepare(broken, shared, runs=tmp_path)


def test_a_variant_without_a_look_keeps_the_other_rows_and_their_pictures(shared: Shared, tmp_path):
    rows = load_catalog(shared.catalog, splits=["train"]).products
    fold = [number % 3 for number in range(len(rows))]
    variant = fold_variant(shared, fold, 1, looks=3, runs=tmp_path)
    kept = load_catalog(variant.catalog, splits=variant.split.split(",")).products
    assert [row.product_id for row in kept] == [row.product_id for row, own in zip(rows, fold, strict=True) if own != 1]
    assert all((variant.catalog.parent / row.image).is_file() for row in kept)
    assert [row.category_path for row in kept[:2]] == ["Tile > red", "Tile > red"]
    assert len(load_catalog(variant.catalog, splits=[variant.held]).products) == fold.count(1)


def test_a_variant_without_half_of_the_labels_never_shows_them(shared: Shared, tmp_path):
    variant = unseen_variant(shared, ["red", "blue"], runs=tmp_path)
    labels = {row.label for row in load_catalog(variant.catalog, splits=[variant.split]).products}
    assert labels == {"green", "yellow", "black", "white"}


EVERY_RECIPE = [
    recipe for table in (RECIPES, STUDY_RECIPES, POOLING_RECIPES, LOSS_RECIPES) for recipe in table.values()
]


def test_every_recipe_of_the_table_can_be_written_out(shared: Shared):
    for recipe in EVERY_RECIPE:
        for variant in (shared.train, Variant(Path("folds.csv"), "fold1,fold2", "fold0", "-fold0")):
            for arguments in commands(recipe, shared, variant):
                assert arguments[0] in {"training", "export"}
                assert not any("{" in part for part in arguments)


def test_every_command_of_the_table_is_one_that_training_and_export_take(shared: Shared, monkeypatch):
    for verb, (summary, add, _) in list(training_main.VERBS.items()):
        monkeypatch.setitem(training_main.VERBS, verb, (summary, add, lambda _: 0))
    monkeypatch.setattr(export_main, "_export", lambda _: 0)
    for recipe in EVERY_RECIPE:
        for arguments in commands(recipe, shared):
            rooms = {"training": training_main, "export": export_main}
            assert rooms[arguments[0]].main(arguments[1:]) == 0


def test_losses_are_compared_on_one_head_and_the_same_cached_views(shared: Shared):
    """Only the loss differs, and folders: what is cached is named by the frozen layers and the pictures."""
    told = {}
    for name, recipe in LOSS_RECIPES.items():
        arguments = commands(recipe, shared)[0]
        given = dict(zip(arguments[2::2], arguments[3::2], strict=True))
        told[name] = (given.pop("--loss", "hinge"), given.pop("--mining", None))
        given.pop("--out")
        assert given.pop("--dim", "128") == "128"
        assert given == {
            "--weights": str(shared.weights),
            "--catalog": str(shared.catalog),
            "--split": "train,iconic",
            "--clusters": "label",
            "--freeze": "backbone",
            "--cached-views": "4",
            "--epochs": "10",
            "--pooling": "ga",
        }
    assert told.pop("hinge-hard") == ("hinge", "hard")
    assert told == {name: (name, None) for name in ("hinge", "triplet", "multi-similarity", "supcon", "proxy")}


def test_the_temperature_is_that_of_the_exported_file_then_of_the_run(tmp_path):
    record = tmp_path / "run.json"
    record.write_text('{"temperature": 1.5}')
    made = Prepared(replace(RECIPE, repository="models"), Variant(tmp_path), tmp_path / "models", record)
    assert made.temperature == 1.5
    file = tmp_path / "models/photo/1/model.onnx"
    file.parent.mkdir(parents=True)
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.save(model, file)
    assert made.temperature == 1.5
    model.metadata_props.add(key="temperature", value="0.8")
    onnx.save(model, file)
    assert made.temperature == 0.8


def test_a_folder_without_the_photos_is_one_sentence(tmp_path):
    with pytest.raises(NotFoundError, match="say where the real photos and weights lie with --shared"):
        Shared(tmp_path)
    assert Path("runs") == preparing.RUNS
