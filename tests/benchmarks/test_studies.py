"""A study measures each cell once, goes on where it was stopped, and measures again what changed."""

import json

import pytest

from benchmarks.quality.main_table import TWO_STEP
from benchmarks.quality.studies import DATA_SETS, SEEDS, Cell, Study, last_accuracy, run_study, two_step_summary
from benchmarks.results import Row
from catalog.errors import NotReadyError


class Counting:
    """Cells that count how often they are measured."""

    def __init__(self) -> None:
        self.measured: list[str] = []

    def cell(self, name: str, settings: object = 0, *, stops: bool = False) -> Cell:
        def measure() -> Row:
            if stops:
                raise KeyboardInterrupt
            self.measured.append(name)
            return Row(name, float(len(name)), "letters")

        return Cell(name, settings, measure)


def test_a_stopped_study_goes_on_where_it_was(tmp_path):
    counting = Counting()
    stopping = Study("quality_demo", "Demo", [counting.cell("one"), counting.cell("two", stops=True)])
    with pytest.raises(KeyboardInterrupt):
        run_study(stopping, folder=tmp_path)
    whole = Study("quality_demo", "Demo", [counting.cell("one"), counting.cell("two")])
    path = run_study(whole, folder=tmp_path)
    assert counting.measured == ["one", "two"]
    run_study(whole, folder=tmp_path)
    assert counting.measured == ["one", "two"]
    assert [row["value"] for row in json.loads(path.read_text())["rows"]] == [3, 3]


def test_the_result_file_names_the_verb_that_makes_it(tmp_path):
    study = Study("quality_two_step", "Demo", [Counting().cell("one")])
    assert study.verb == "two-step"
    assert "`python -m benchmarks.quality two-step`" in run_study(study, folder=tmp_path).with_suffix(".md").read_text()


def test_a_cell_with_other_settings_is_measured_again(tmp_path):
    counting = Counting()
    for settings in (["--epochs", 5], ["--epochs", 6]):
        cells = [counting.cell("one", settings), counting.cell("two")]
        run_study(Study("quality_demo", "Demo", cells), folder=tmp_path)
    assert counting.measured == ["one", "two", "one"]


def test_rows_of_the_summary_come_first_and_are_computed_from_the_cells(tmp_path):
    counting = Counting()
    study = Study(
        "quality_demo",
        "Demo",
        [counting.cell("one"), counting.cell("three")],
        lambda values: [Row("difference", values["three"] - values["one"])],
    )
    rows = json.loads(run_study(study, folder=tmp_path).read_text())["rows"]
    assert [(row["name"], row["value"]) for row in rows] == [("difference", 2), ("one", 3), ("three", 5)]


def test_two_step_over_one_step_by_hand():
    gains = {"grocery": (3.0, 4.0, 5.0), "clothing": (1.0, 2.0, 3.0)}
    values = {}
    for data in DATA_SETS:
        for seed in SEEDS:
            values[f"{data}, one-step, seed {seed}: accuracy"] = 60.0
            values[f"{data}, two-step, seed {seed}: accuracy"] = 60.0 + gains[data][seed]
    total, *each = two_step_summary(values)
    assert (total.name, total.value, total.ok) == (TWO_STEP, pytest.approx(3.0), True)
    assert {row.name: row.value for row in each} == {
        "grocery: two-step over one-step": pytest.approx(4.0),
        "clothing: two-step over one-step": pytest.approx(2.0),
    }


def test_the_accuracy_of_a_run_is_that_of_its_last_epoch(tmp_path):
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"metrics": [{"epoch": 1, "accuracy": 0.5}, {"epoch": 2, "accuracy": 0.625}]}))
    assert last_accuracy(record) == 0.625
    record.write_text(json.dumps({"metrics": [{"epoch": 1, "loss": 2.0}]}))
    with pytest.raises(NotReadyError, match="train it again with --val-split"):
        last_accuracy(record)
