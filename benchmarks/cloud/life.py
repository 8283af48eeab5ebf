"""What a deployment's life must hold, each with the tests that prove it against moto and botocore's stubs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.proofs import proofs_in


def _of(*tests: str) -> list[str]:
    return proofs_in("infra", *tests)


# Claim -> the tests that prove it (file::function; all of their cases).
LIFE: Mapping[str, Sequence[str]] = {
    "plan changes nothing": _of(
        "plan.py::test_plan_changes_nothing",
        "stack.py::test_plan_of_what_is_not_there_comes_from_the_template_and_makes_nothing",
        "stack.py::test_a_stopped_question_leaves_no_trace",
    ),
    "up twice is up once": _of("deployment.py::test_up_stands_and_waits_for_a_release"),
    "interrupted at every call and run again, it converges": _of(
        "interrupted.py::test_up",
        "interrupted.py::test_down",
        "interrupted.py::test_rollout",
        "stack.py::test_up_waits_for_work_that_an_interrupted_run_began",
    ),
    "down leaves nothing": _of(
        "deployment.py::test_down_leaves_nothing_but_what_was_not_made_here",
        "deployment.py::test_other_kinds_of_serving_stand_and_go",
    ),
    "a bad rollout ends on the old version": _of(
        "bad_rollouts.py::test_an_alarm_during_the_shift_ends_on_the_old_release",
        "bad_rollouts.py::test_a_release_that_fails_its_canary_ends_on_the_old_one",
        "rollouts.py::test_models_of_another_space_than_the_gallery_are_refused",
        "rollouts.py::test_a_gallery_below_its_recall_floor_is_not_tried",
        "rollouts.py::test_an_alarm_ends_a_trial",
    ),
    "no secret in a template, policies name actions and resources": _of(
        "templates.py::test_no_secret_stands_in_a_template",
        "templates.py::test_no_secret_stands_in_the_profiles",
        "templates.py::test_policies_name_actions_and_resources",
    ),
    "the README's Deploy runs as it stands": _of("readme_deploy.py::test_deploy"),
}
