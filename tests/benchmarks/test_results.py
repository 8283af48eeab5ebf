"""The file contract of a benchmark: rows of name, value, unit, target, ok, with ok computed."""

import json

import pytest

from benchmarks.results import Row, Target, merge, publish


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


def test_rows_that_were_not_measured_again_stay(tmp_path):
    old = [Row("a", 1.0, "s", Target("<=", 2), note="n"), Row("b", float("nan"), target=Target(">=", 1), settings="x")]
    merge("demo", old, title="Demo", command="-", folder=tmp_path)
    merge("demo", [Row("a", 3.0, "s", Target("<=", 2)), Row("c", 4.0)], title="Demo", command="-", folder=tmp_path)
    rows = json.loads((tmp_path / "demo.json").read_text())["rows"]
    assert [(row["name"], row["value"], row["ok"]) for row in rows] == [
        ("a", 3.0, False),
        ("b", None, False),
        ("c", 4.0, None),
    ]
    assert rows[1]["settings"] == "x"


def test_nothing_measured_publishes_nothing(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        publish("empty", [], title="Empty", command="-", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_comparison_is_refused():
    with pytest.raises(ValueError, match="'=='"):
        Target("==", 1)


def test_a_published_figure_stands_beside_ours_in_every_form(tmp_path, capsys):
    rows = [Row("gain", 41.0, "%", Target(">", 40), published="+39, +30"), Row("other", 1.0, settings="abc")]
    document = json.loads(publish("demo", rows, title="Demo", command="-", folder=tmp_path).read_text())
    assert document["rows"][0]["published"] == "+39, +30"
    assert document["rows"][0]["ok"] is True
    assert document["rows"][1] == {
        "name": "other",
        "value": 1.0,
        "unit": "",
        "target": None,
        "ok": None,
        "settings": "abc",
    }
    readable = (tmp_path / "demo.md").read_text()
    assert "| what | value | published | target | reached | note |" in readable
    assert "| gain | 41 % | +39, +30 | > 40 | yes |" in readable
    shown = capsys.readouterr().out
    assert "published" in shown
    assert "+39, +30" in shown


def test_without_published_figures_there_is_no_such_column(tmp_path, capsys):
    publish("demo", [Row("one", 1.0)], title="Demo", command="-", folder=tmp_path, quiet=True)
    assert "published" not in (tmp_path / "demo.md").read_text()
    assert capsys.readouterr().out == ""


def test_a_row_that_stays_says_when_it_was_measured(tmp_path):
    def published():
        return json.loads((tmp_path / "demo.json").read_text())

    merge("demo", [Row("a", 1.0, note="slow")], title="Demo", command="-", folder=tmp_path)
    path = tmp_path / "demo.json"
    path.write_text(json.dumps({**published(), "date": "2020-01-02 03:04 UTC", "machine": "another"}))
    for value in (2.0, 3.0):  # what stays twice is still of the first day
        merge("demo", [Row("b", value)], title="Demo", command="-", folder=tmp_path)
    rows = published()["rows"]
    assert rows[0]["measured"] == "2020-01-02 03:04 UTC, another"
    assert "measured" not in rows[1]
    assert "slow; measured 2020-01-02 03:04 UTC, another |" in (tmp_path / "demo.md").read_text()
