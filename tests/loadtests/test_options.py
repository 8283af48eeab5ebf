"""What a person types: durations, mistakes, variables, and every command of the docs."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from loadtests.options import duration_s, load_steps, parse

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "loadtests.md").read_text()


def commands() -> list[str]:
    joined = PAGE.replace("\\\n", " ")
    return [match[1].split("#")[0] for match in re.finditer(r"^ *(python -m loadtests .*)$", joined, re.MULTILINE)]


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_docs_are_understood(command: str) -> None:
    given = parse(shlex.split(command)[3:], "")

    assert given.verb in command
    if given.verb == "run":
        assert [step.level for step in load_steps(given)] == [50]
        assert given.duration == 60


def test_the_docs_name_every_verb_and_every_flag_they_name_exists() -> None:
    assert {shlex.split(command)[3] for command in commands()} == {"run", "report", "compare", "chaos"}
    source = "".join((ROOT / "loadtests" / name).read_text() for name in ("options.py", "chaos_plan.yaml"))
    for flag in set(re.findall(r"`--([a-z0-9-]+)", PAGE)):
        assert f'"{flag.replace("-", "_")}"' in source or f'"--{flag}"' in source, flag


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("1h", 3600)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "-3s", "3d", "1 h 2"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="looks like 90s, 10m or 1h"):
        duration_s(text)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--users", "0"), "expected 1 or more, got 0"),
        (("--garbage", "2"), "a share is between 0 and 1, got 2"),
        (("--p95-ms", "x"), "expected a number, got 'x'"),
        (("--p99-ms", "inf"), "expected a number above 0, got inf"),
        (("--think-s", "-1"), "expected seconds, 0 or more, got -1"),
        (("--shape", "wave"), "invalid Shape value: 'wave'"),
    ],
)
def test_values_out_of_range(flags: tuple[str, str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["run", "--photos", ".", *flags], "")

    assert caught.value.code == 2
    assert sentence in capsys.readouterr().err


def test_flags_are_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADTEST_USERS", "12")
    monkeypatch.setenv("LOADTEST_P95_MS", "250")
    monkeypatch.setenv("SHOPCAM_PHOTOS", "somewhere")

    given = parse(["run", "--p95-ms", "300"], "")
    assert (given.users, given.p95_ms, given.photos) == (12, 300, Path("somewhere"))
