"""The command line over a real catalog, repository and store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.errors import NotFoundError, OutOfRangeError
from index_builder.__main__ import main
from index_builder.store import LocalStore
from tests.index_builder.conftest import Shop

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(shop: Shop, tiny, words, tmp_path: Path):
    def run(*options: str) -> LocalStore:
        store = tmp_path / "store"
        given = ["--catalog", shop.catalog, "--repository", tiny[0], "--words", words.folder, "--store", store]
        main(["build", *map(str, given), *options])
        return LocalStore(store)

    return run


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_a_life_of_galleries(build, capsys):
    store = build("--version", "one")
    assert last_line(capsys) == f"gallery one of 24 products is live: {store.path}/galleries/one"
    build("--version", "two", "--no-swap", "--split", "a,c", "--default-weight", "4", "--recipe", "HNSW16")
    assert last_line(capsys) == f"gallery two of 12 products is published, not live: {store.path}/galleries/two"
    assert store.live().live.gallery == "one"
    main(["swap", "two", "--store", str(store.path), "--expected", "one"])
    assert last_line(capsys) == f"gallery two is live in {store.path}; before it: one"
    main(["rollback", "--store", str(store.path)])
    assert last_line(capsys) == f"gallery one is live again in {store.path}; before it: two"
    main(["verify", "--store", str(store.path)])
    assert last_line(capsys).startswith("gallery one is whole: 12 files")
    main(["list", "--store", str(store.path)])
    shown = capsys.readouterr().out
    assert shown.strip().endswith(f"2 galleries in {store.path}; live: one")
    assert "HNSW16" in shown


def test_a_damaged_gallery_is_listed_as_such(build, capsys):
    store = build("--version", "one")
    (store.gallery("one") / "manifest.json").write_text("{")
    capsys.readouterr()
    main(["list", "--store", str(store.path)])
    shown = capsys.readouterr().out
    assert f"{store.path}/galleries/one/manifest.json is damaged: it is not JSON" in shown
    assert ["bad", "one"] in [line.split() for line in shown.splitlines()]


def test_no_words_mean_no_text(shop, tiny, tmp_path, capsys):
    given = ["--catalog", shop.catalog, "--repository", tiny[0], "--store", tmp_path / "store", "--version", "v"]
    main(["build", *map(str, given)])
    manifest = json.loads((tmp_path / "store/galleries/v/manifest.json").read_text())
    assert manifest["text_vector"] == "none"
    capsys.readouterr()


def test_skipped_rows_are_told(build, shop, capsys):
    (shop.catalog.parent / "3.png").unlink()
    store = build("--version", "one", "--max-bad-rows", "0.1")
    folder = store.gallery("one")
    assert f"1 bad rows were skipped; reasons in {folder}/rejected.jsonl" in capsys.readouterr().out


def test_questions_to_no_store(tmp_path):
    for verb in (["list"], ["verify"], ["rollback"], ["swap", "one"]):
        with pytest.raises(NotFoundError, match="no store at"):
            main([*verb, "--store", str(tmp_path / "absent")])


def test_a_mistake_is_one_sentence_and_exit_code_2(shop, tiny, tmp_path):
    given = [
        "--catalog",
        shop.catalog,
        "--repository",
        tiny[0],
        "--words",
        tmp_path / "absent",
        "--store",
        tmp_path / "s",
    ]
    command = [sys.executable, "-m", "index_builder", "build", *map(str, given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 2
    assert (
        done.stderr
        == f"error: no word vectors at {tmp_path}/absent: there is no such folder; make it with `training words`\n"
    )
    assert done.stdout == ""
    assert not (tmp_path / "s").exists()


def test_settings_of_labels_texts_and_views_are_recorded(build):
    options = "--label-mode soft --min-confidence 0.3 --label-top 3 --center-text --gallery-views 2"
    store = build("--version", "one", *options.split())
    manifest = json.loads((store.gallery("one") / "manifest.json").read_text())
    assert manifest["label"] == {"mode": "soft", "min_confidence": 0.3, "top": 3}
    assert manifest["views"] == 2
    assert manifest["text"]["centered"] is True
    build("--version", "two", "--text", "onehot", "--label-source", "classifier", "--unknown-label", "delta0")
    text = json.loads((store.gallery("two") / "manifest.json").read_text())["text"]
    assert (text["label_source"], text["unknown"]) == ("classifier", "delta0")
    build("--version", "three")
    manifest = json.loads((store.gallery("three") / "manifest.json").read_text())
    assert manifest["label"] == {"mode": "hard", "min_confidence": 0, "top": None}


def test_a_budget_chooses_the_recipe_and_is_recorded(build, capsys):
    # 26 rows of 30 numbers: 3,120 bytes in full, 1,800 in fp16.
    store = build("--version", "one", "--max-memory", "2KB", "--target-recall", "0.9")
    recipe = json.loads((store.gallery("one") / "manifest.json").read_text())["recipe"]
    assert (recipe["factory"], recipe["target_recall"], recipe["tuned_recall"]) == ("SQfp16", 0.9, 1)
    assert "was wanted" not in capsys.readouterr().out
    with pytest.raises(OutOfRangeError, match=r"the recipe 'SQ8' needs about 1,020 bytes .* 1,000 are allowed"):
        build("--version", "two", "--max-memory", "1KB")
    assert store.versions() == ["one"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--threads 0", "threads is 0, at least 1 is needed"),
        ("--threads -1", "threads is -1, at least 1 is needed"),
        ("--max-bad-rows nan", "max_bad_rows is nan, expected a share from 0 to 1"),
        ("--text none --default-weight nan", "weight is nan, expected 0 to 25"),
        ("--default-weight nan", "default weight is nan"),
        ("--min-confidence nan", "label min_confidence is nan: input should be"),
        ("--min-confidence 1.5", "label min_confidence is 1.5: input should be less than or equal to 1"),
        ("--label-top 0", "label top is 0: input should be greater than or equal to 1"),
        ("--gallery-views 5", "views is 5, expected 1 to 4"),
        ("--text none --center-text", "centered text needs a text part"),
        ("--max-memory 1GX", "memory is '1GX', expected a number of bytes such as 4GB or 512MiB"),
        ("--target-recall nan", "target recall is nan, expected a share from 0 to 1"),
    ],
)
def test_numbers_that_do_not_fit_are_one_sentence(build, tmp_path, options, sentence):
    with pytest.raises(OutOfRangeError, match=re.escape(sentence)) as caught:
        build("--version", "one", *options.split())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store" / "galleries").exists()
