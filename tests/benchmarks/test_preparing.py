"""Recipes run their commands once, in order, and refuse what other commands made; real commands on a tiny catalog."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from benchmarks.quality import preparing
from benchmarks.quality.ingredients import told
from benchmarks.quality.preparing import (
    Prepared,
    Recipe,
    Shared,
    Step,
    Variant,
    commands,
    fold_variant,
    ingredients,
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
def shared(shared_folder) -> Shared:
    return Shared(shared_folder)


def test_commands_run_once_and_in_order(shared: Shared, tmp_path):
    made = prepare(RECIPE, shared, runs=tmp_path)
    first = made.record.stat().st_mtime_ns
    assert (tmp_path / "grocery-more-words/words.bin").is_file()
    prepare(RECIPE, shared, runs=tmp_path)
    assert made.record.stat().st_mtime_ns == first
    assert made.temperature == 1.0


def test_what_other_commands_made_is_refused(shared: Shared, tmp_path):
    prepare(RECIPE, shared, runs=tmp_path)
    with pytest.raises(NotReadyError, match="was made by other commands or of other data than the recipe says now"):
        prepare(RECIPE.seeded(2), shared, runs=tmp_path)


def test_what_follows_a_step_made_anew_is_made_anew(shared: Shared, tmp_path):
    prepare(RECIPE, shared, runs=tmp_path)
    later = tmp_path / "grocery-more-words/words.json"
    before = later.stat().st_mtime_ns
    for file in (tmp_path / "grocery-words").iterdir():
        file.unlink()
    prepare(RECIPE, shared, runs=tmp_path)
    assert later.stat().st_mtime_ns > before


@pytest.fixture
def own_shop(shared: Shared, color_shop) -> Shared:
    """The same, with photos that may be changed."""
    (shared.folder / "data/grocery").unlink()
    shutil.copytree(color_shop.catalog.parent, shared.folder / "data/grocery")
    return shared


def test_other_data_is_refused_though_the_commands_are_the_same(own_shop: Shared, tmp_path):
    runs = tmp_path / "runs"
    prepare(RECIPE, own_shop, runs=runs)
    text = own_shop.catalog.read_bytes()
    own_shop.catalog.write_bytes(text.replace(b"A red tile", b"A crimson tile"))
    with pytest.raises(NotReadyError, match="of other data than the recipe says now"):
        prepare(RECIPE, own_shop, runs=runs)
    own_shop.catalog.write_bytes(text)  # its bytes count, not its time
    prepare(RECIPE, own_shop, runs=runs)


def test_other_folds_are_refused_and_the_same_ones_are_not(shared: Shared, tmp_path):
    rows = len(load_catalog(shared.catalog, splits=["train"]).products)
    for shift, refused in ((0, False), (0, False), (1, True)):
        fold = [(number + shift) % 3 for number in range(rows)]
        variant = fold_variant(shared, fold, 1, looks=3, runs=tmp_path)
        if not refused:
            prepare(RECIPE, shared, variant, runs=tmp_path)
            continue
        with pytest.raises(NotReadyError, match="of other data"):
            prepare(RECIPE, shared, variant, runs=tmp_path)


def test_a_command_is_told_with_what_it_reads(own_shop: Shared, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    arguments = ["training", "embedder", "--weights", str(own_shop.weights), "--catalog", str(own_shop.catalog)]
    arguments += ["--init", str(run), "--out", str(tmp_path)]
    words = ["training", "words", "--catalog", str(own_shop.catalog)]
    export = ["export", "embedder", "--checkpoint", str(run), "--repository", "models"]
    before = [told(one) for one in (arguments, words, export)]

    def changed() -> list[bool]:
        return [told(one) != old for one, old in zip((arguments, words, export), before, strict=True)]

    assert changed() == [False, False, False]
    photo = own_shop.catalog.parent / "red-0.png"
    photo.write_bytes(photo.read_bytes() + b"!")
    assert changed() == [True, False, False]  # word vectors are made of texts
    photo.write_bytes(photo.read_bytes()[:-1])
    (run / "run.json").write_text('{"trained": "again"}')
    assert changed() == [True, False, True]
    (run / "run.json").write_text("{}")
    own_shop.weights.write_bytes(b"other")
    assert changed() == [True, False, False]


def test_settings_of_a_study_change_with_the_data(own_shop: Shared):
    before = ingredients(STUDY_RECIPES["one-step-grocery"], own_shop)
    assert before == ingredients(STUDY_RECIPES["one-step-grocery"], own_shop)
    own_shop.weights.write_bytes(b"other")
    assert before != ingredients(STUDY_RECIPES["one-step-grocery"], own_shop)


def test_what_was_to_be_made_anew_is_so_after_an_interruption(shared: Shared, tmp_path, monkeypatch):
    prepare(RECIPE, shared, runs=tmp_path)
    later = tmp_path / "grocery-more-words/words.json"
    before = later.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "grocery-words")
    real = preparing.run

    def stopped(*arguments: str) -> None:
        if arguments[-1].endswith("more-words"):
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(preparing, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(RECIPE, shared, runs=tmp_path)
    monkeypatch.setattr(preparing, "run", real)
    prepare(RECIPE, shared, runs=tmp_path)
    assert later.stat().st_mtime_ns > before


def test_what_was_made_by_hand_stays_unless_it_is_older_than_its_data(own_shop: Shared, tmp_path):
    one = replace(RECIPE, steps=RECIPE.steps[:1])
    made = tmp_path / "runs/grocery-words/words.json"
    made.parent.mkdir(parents=True)
    made.write_text("by hand")
    prepare(one, own_shop, runs=tmp_path / "runs")
    assert made.read_text() == "by hand"
    after = made.stat().st_mtime_ns + 1_000_000_000
    os.utime(own_shop.catalog, ns=(after, after))
    prepare(one, own_shop, runs=tmp_path / "runs")
    assert made.read_text() != "by hand"


def test_other_commands_outcome_is_made_anew_where_that_is_asked(shared: Shared, tmp_path):
    prepare(RECIPE, shared, runs=tmp_path)
    made = prepare(RECIPE.seeded(2), shared, runs=tmp_path, anew=True).record
    before = made.stat().st_mtime_ns
    prepare(RECIPE.seeded(2), shared, runs=tmp_path)
    assert made.stat().st_mtime_ns == before


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
            "--cached-views": "2",
            "--epochs": "10",
            "--lr": "2e-3",
            "--head-lr-factor": "1",
            "--threads": "2",
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
