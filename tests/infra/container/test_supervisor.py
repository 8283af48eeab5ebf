"""The supervisor over real processes: order, restarts, ends. An event file, written by the parts, is the oracle."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import psutil
import pytest

from infra.container.part import Part
from infra.container.restarts import RestartPolicy
from infra.container.supervisor import Supervisor
from tests.bento.conftest import wait_until
from tests.infra.container.conftest import ENDED_S, part, supervised
from tests.marks import marked


def test_parts_start_in_order_and_stop_in_the_opposite_one(tmp_path: Path, mark: str) -> None:
    first = part(tmp_path, "first", "fertile")
    task = {"name": "task", "command": ["false"], "needs": ["first"]}
    second = part(tmp_path, "second", "stubborn", needs=["first", "task"], stop_s=0.5)
    third = part(tmp_path, "third", needs=["second"])
    with supervised(tmp_path, first, task, second, third) as run:
        run.wait_for("third is up")
        assert len(marked(mark)) == 1 + 3 + 1  # with what the first one started
        assert run.stop() == 0
        assert marked(mark) == []
        order = [(event.name, event.kind) for event in run.events]
    begun, ended = [[(name, kind) for name in ("first", "second", "third")] for kind in ("begin", "end")]
    assert order == begun + ended[::-1]
    assert "task is done (exit status 1)" in run.said
    assert run.said.index("first is up") < run.said.index("task starts")
    assert run.said.index("task is done") < run.said.index("second starts")
    assert "second ended after 0.5 s (killed by SIGKILL)" in run.said
    assert "stopped by SIGTERM" in run.said


def test_a_part_that_dies_comes_back_alone(tmp_path: Path) -> None:
    with supervised(tmp_path, part(tmp_path, "first"), part(tmp_path, "second", needs=["first"])) as run:
        run.wait_for("second is up")
        for died in (1, 2):
            os.kill(run.begins("first")[-1].pid, signal.SIGKILL)
            run.wait_for("first is up", times=died + 1)
        assert len(run.begins("first")) == 3
        assert len(run.begins("second")) == 1
        assert psutil.Process(run.begins("second")[0].pid).is_running()
        assert run.stop() == 0
    assert "first failed (killed by SIGKILL); it starts again in 0.2 s" in run.said
    assert "first failed (killed by SIGKILL); it starts again in 0.4 s" in run.said


@pytest.mark.parametrize("habit", ["brief", "short-lived"])
def test_one_that_keeps_dying_ends_all_with_one_sentence(tmp_path: Path, mark: str, habit: str) -> None:
    with supervised(tmp_path, part(tmp_path, "first"), part(tmp_path, "second", habit, needs=["first"])) as run:
        assert run.process.wait(ENDED_S) == 1
        starts = [event.at_s for event in run.begins("second")]
        assert [(event.name, event.kind) for event in run.events][-1] == ("first", "end")
    assert len(starts) == 4
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True))
    how = "exit status 3" if habit == "brief" else "killed by SIGKILL"
    last = run.said.strip().splitlines()[-1]
    assert last == f"ERROR second failed 4 times in a row, the last time: {how}; giving up"
    assert marked(mark) == []


def test_what_hangs_is_started_again(tmp_path: Path) -> None:
    frozen = part(tmp_path, "frozen", unwell_limit_s=1.0)
    with supervised(tmp_path, frozen) as run:
        run.wait_for("frozen is up")
        os.kill(run.begins("frozen")[0].pid, signal.SIGSTOP)
        run.wait_for("frozen is up", times=2)
        assert run.stop() == 0
    assert "frozen failed (it has not answered for 1 s)" in run.said


def test_a_failing_canary_is_the_failure_of_the_part_that_has_it(tmp_path: Path) -> None:
    second = part(tmp_path, "second", needs=["first"])
    canary = second["up_url"].replace("/up", "/canary")
    first = part(tmp_path, "first", canary_url=canary, canary_limit_s=1.0)
    sick = tmp_path / "second.sick"
    sick.touch()  # from the start: nothing was well yet, so nothing has failed
    with supervised(tmp_path, first, second) as run:
        run.wait_for("second is up")
        sick.unlink()
        run.wait_for("ready after")
        assert len(run.begins("first")) == 1
        sick.touch()
        run.wait_for("searches through it have failed for 1 s")
        run.wait_for("first is up", times=2)
        assert len(run.begins("second")) == 1
        assert run.stop() == 0


def test_nobody_is_blamed_for_a_canary_that_nobody_answers(tmp_path: Path) -> None:
    second = part(tmp_path, "second", needs=["first"])
    first = part(tmp_path, "first", canary_url=second["up_url"], canary_limit_s=2.0)
    with supervised(tmp_path, first, second, first_s=8.0, longest_s=8.0) as run:
        run.wait_for("ready after")
        os.kill(run.begins("second")[0].pid, signal.SIGKILL)
        run.wait_for("second is up", times=2)  # four times the limit later
        assert len(run.begins("first")) == 1
        assert run.stop() == 0


def test_one_that_never_listens_is_given_up(tmp_path: Path) -> None:
    with supervised(tmp_path, part(tmp_path, "mute", "deaf", start_timeout_s=0.5), most=2) as run:
        assert run.process.wait(ENDED_S) == 1
        assert len(run.begins("mute")) == 2
    assert "mute failed 2 times in a row, the last time: it took longer than 0.5 s; giving up" in run.said


def test_a_signal_ends_a_start_that_waits(tmp_path: Path, mark: str) -> None:
    task = {"name": "task", "command": ["sleep", "1000"]}
    with supervised(tmp_path, task, part(tmp_path, "first", needs=["task"])) as run:
        run.wait_for("task starts")
        assert run.stop() == 0
        assert run.events == []
        assert marked(mark) == []


def test_a_supervisor_that_is_killed_takes_its_parts_along(tmp_path: Path, mark: str) -> None:
    with supervised(tmp_path, part(tmp_path, "first"), part(tmp_path, "second", "stubborn", needs=["first"])) as run:
        run.wait_for("second is up")
        run.process.kill()
        run.process.wait(ENDED_S)
        wait_until(lambda: not marked(mark))


def test_a_part_needs_what_comes_before_it() -> None:
    parts = [Part("service", ("true",), {}, needs=("Triton",)), Part("Triton", ("true",), {})]
    with pytest.raises(ValueError, match="service needs Triton, which does not come before it"):
        Supervisor(parts, RestartPolicy())
