"""The faults that galleries must survive in, how many of the tests that cause each one fail out.

A fault is caused by tests of `tests/`, which run here as in `make test`: real processes are killed, real files damaged.
A fault none of whose tests ran (all skipped, or gone) counts as missed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.results import Row, Target
from catalog.errors import NotReadyError

ROOT = Path(__file__).parents[2]
NAME = "faults"


def _of(folder: str, *tests: str) -> list[str]:
    return [f"tests/{folder}/test_{test}" for test in tests]


# Fault -> the tests that cause it (file::function; all of its cases).
FAULTS: Mapping[str, Sequence[str]] = {
    "kill -9 at each stage of a build": _of(
        "index_builder",
        "resume.py::test_a_killed_builder_loses_at_most_a_shard",
        "resume.py::test_any_stops_give_each_row_once_in_order",
        "staging.py::test_what_a_killed_builder_left_is_swept",
    ),
    "kill -9 of a publish": _of(
        "index_builder",
        "s3_store.py::test_a_killed_publish_is_run_again",
        "s3_store.py::test_a_stopped_upload_goes_on",
        "milvus_life.py::test_an_upload_that_was_killed_goes_on",
    ),
    "kill -9 in the middle of a swap": _of("bento", "swap.py::test_killed_while_green_is_opened"),
    "kill -9 of an update": _of(
        "index_builder",
        "update.py::test_killed_at_any_moment_it_is_nothing_or_all",
        "journal.py::test_a_killed_writer_leaves_nothing_that_is_seen",
    ),
    "files that are truncated, flipped or missing (index, labels, products, vectors)": _of(
        "index_builder",
        "gallery.py::test_a_flipped_bit_is_refused_before_faiss_sees_it",
        "gallery.py::test_a_truncated_file_is_refused",
        "gallery.py::test_a_missing_file_is_refused",
        "s3_store.py::test_a_gallery_that_changed_in_the_bucket_is_refused",
    ),
    "a manifest that is damaged, of another schema or dimension": _of(
        "index_builder",
        "gallery.py::test_a_manifest_that_does_not_fit_is_refused",
        "store.py::test_a_damaged_gallery_never_becomes_live",
    ),
    "a gallery of another model": _of(
        "index_builder",
        "gallery.py::test_a_gallery_of_another_model_is_refused",
        "store.py::test_a_gallery_of_another_model_never_becomes_live",
    ),
    "a gallery that is not fit, swapped in under a running service": _of(
        "bento",
        "swap.py::test_a_gallery_that_is_not_fit_stays_out",
        "swap.py::test_a_failing_gallery_is_tried_again_and_later_each_time",
    ),
    "a damaged journal": [
        *_of(
            "index_builder",
            "journal.py::test_no_flipped_bit_passes",
            "live_gallery.py::test_what_is_damaged_stops_there_and_is_said",
        ),
        *_of("bento", "changes.py::test_a_damaged_batch_stops_nobody"),
    ],
    "a store that is not reached": [
        *_of(
            "index_builder",
            "s3_store.py::test_a_store_that_is_not_there_is_one_sentence",
            "live_gallery.py::test_a_store_that_is_not_reached_leaves_the_last_state",
        ),
        *_of("bento", "swap.py::test_a_store_that_is_gone_does_no_harm", "admin.py::test_a_store_that_is_gone_is_503"),
    ],
    "a slow store and S3 errors": _of(
        "index_builder",
        "s3_store.py::test_a_busy_store_and_an_answer_that_breaks_off_are_asked_again",
        "s3_store.py::test_a_swap_whose_answer_was_lost_is_no_conflict",
    ),
    "a full disk": _of("index_builder", "disk.py::test_a_full_disk_is_one_sentence_and_the_next_run_succeeds"),
    "two builders on one output": _of(
        "index_builder",
        "staging.py::test_two_builders_of_one_version",
        "resume.py::test_two_builders_of_one_work_folder",
    ),
    "two swaps at once": [
        *_of("index_builder", "store.py::test_of_two_swaps_at_once_one_wins", "s3_store.py::test_two_swaps_at_once"),
        *_of("bento", "admin.py::test_of_two_swaps_at_once_one_wins"),
    ],
    "a prune beside a swap": _of(
        "index_builder",
        "prune.py::test_a_swap_that_comes_first_is_seen",
        "prune.py::test_a_swap_to_what_is_being_removed_is_refused",
    ),
    "a catalog with 1 % and with 50 % garbage": _of(
        "index_builder", "resume.py::test_garbage_is_listed_or_fails_before_anything_is_published"
    ),
    "a URL that never answers": [
        *_of("index_builder", "fetching.py::test_a_build_from_urls"),
        *_of("catalog", "sources.py::test_http_silent_server_is_left_in_time"),
    ],
    "a picture bomb": [
        *_of("index_builder", "build.py::test_a_picture_bomb_is_a_bad_row"),
        *_of("catalog", "pictures.py::test_pixels_over_the_limit_are_refused_from_the_header"),
    ],
    "a GPU that is lost": _of("bento", "owner.py::test_a_lost_gpu_costs_no_answer"),
}


@dataclass(frozen=True)
class Outcome:
    """How the tests of one file and function ended."""

    passed: int = 0
    failed: int = 0


def fault_rows(faults: Mapping[str, Sequence[str]] = FAULTS, *, root: Path = ROOT) -> list[Row]:
    """Run the tests of all faults once and return a row a fault: how many of its tests failed."""
    outcomes = run_tests(sorted({test for tests in faults.values() for test in tests}), root=root)
    return [fault_row(fault, [outcomes.get(test, Outcome()) for test in tests]) for fault, tests in faults.items()]


def fault_row(fault: str, outcomes: Sequence[Outcome]) -> Row:
    """Return the row of one fault."""
    ran = all(one.passed + one.failed for one in outcomes)
    passed, failed = sum(one.passed for one in outcomes), sum(one.failed for one in outcomes)
    value = float(failed) if ran else float("nan")
    return Row(fault, value, "failed", Target("<=", 0), f"{passed} cases passed" if ran else "a test did not run")


def run_tests(tests: Sequence[str], *, root: Path = ROOT) -> dict[str, Outcome]:
    """Run tests by their ids in a process of their own; returns how each function's cases ended."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--durations=0", f"--junitxml={report}", *tests]
        done = subprocess.run(command, cwd=root, check=False)
        if not report.exists():
            raise NotReadyError(f"the tests could not be run: pytest ended with {done.returncode}; see above")
        return outcomes_of(report)


def outcomes_of(report: Path) -> dict[str, Outcome]:
    """Read a JUnit report: test (file::function) -> outcome; skipped cases count for nothing."""
    found: dict[str, Outcome] = {}
    # Written by our own pytest a moment ago.
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        file = case.get("classname", "").replace(".", "/") + ".py"
        test = f"{file}::{case.get('name', '').partition('[')[0]}"
        before = found.get(test, Outcome())
        if case.find("skipped") is not None:
            found[test] = before
        elif case.find("failure") is not None or case.find("error") is not None:
            found[test] = Outcome(before.passed, before.failed + 1)
        else:
            found[test] = Outcome(before.passed + 1, before.failed)
    return found
