"""The file contract of a benchmark: rows of name, value, unit, target, ok, with ok computed."""

import json

import pytest

from benchmarks.results import Row, Target, publish


def test_ok_follows_from_value_and_target(tmp_path):
    rows = [
        Row("reached", 2.5, target=Target(">=", 2.5)),
        Row("missed", 2.4, "ms", Target(">=", 2.5)),
        Row("small enough", 3.0, target=Target("<=", 3)),
        Row("only reported", 7.0, "photos/s"),
        Row("not a number", float("nan"), target=Target("<=", 3)),
    ]
    path = publish("demo", rows, title="Demo", command="make bench", folder=tmp_path)
    document = json.loads(path.read_text())
    assert set(document) == {"table", "command", "date", "machine", "rows"}
    assert [row["ok"] for row in document["rows"]] == [True, False, True, None, False]
    assert document["rows"][1] == {"name": "missed", "value": 2.4, "unit": "ms", "target": ">= 2.5", "ok": False}
    readable = (tmp_path / "demo.md").read_text()
    assert "| missed | 2.4 ms | >= 2.5 | MISSED |" in readable


def test_nothing_measured_publishes_nothing(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        publish("empty", [], title="Empty", command="-", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_comparison_is_refused():
    with pytest.raises(ValueError, match="'=='"):
        Target("==", 1)
