"""The faults that galleries must survive, each with the tests that cause it: processes killed, files damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.proofs import proofs_in as _of

NAME = "faults"

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
