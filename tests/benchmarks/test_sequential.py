"""Two searches and their merge against brute force in plain Python."""

import numpy as np
import pytest

from benchmarks.quality.sequential import Merge, SequentialSearcher, shared_ranks

DEPTH, CONSTANT = 24, 7.0


def parts(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """60 images and their texts: 5 different ones, 12 rows each, so that a list of 24 ends where a tie does."""
    rng = np.random.default_rng(seed)
    texts = rng.normal(size=(5, 6))
    image, text = rng.normal(size=(60, 9)), texts[rng.permutation(60) % 5]
    return unit(image), unit(text)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def by_hand(
    image: np.ndarray, text: np.ndarray, ask_image: np.ndarray, ask_text: np.ndarray, merge: Merge
) -> dict[int, tuple[float, float]]:
    """Give each listed row what it is ordered by."""
    image_scores = {row: float(image[row] @ ask_image) for row in range(len(image))}
    text_scores = {row: round(float(text[row] @ ask_text), 5) for row in range(len(text))}
    by_image = sorted(image_scores, key=lambda row: -image_scores[row])[:DEPTH]
    by_text = sorted(text_scores, key=lambda row: -text_scores[row])[:DEPTH]
    if merge is Merge.IMAGE_FIRST:
        return {row: (text_scores[row], image_scores[row]) for row in by_image}
    if merge is Merge.TEXT_FIRST:
        return {row: (image_scores[row], 0) for row in by_text}
    fused = dict.fromkeys([*by_image, *by_text], 0.0)
    for place, row in enumerate(by_image):
        fused[row] += 1 / (CONSTANT + place + 1)
    for row in by_text:
        better = sum(text_scores[other] > text_scores[row] for other in by_text)
        fused[row] += 1 / (CONSTANT + better + 1)
    return {row: (round(score, 9), 0) for row, score in fused.items()}


@pytest.mark.parametrize("merge", list(Merge))
def test_merged_lists_are_those_of_brute_force(merge: Merge):
    image, text = parts()
    ask_image, _ = parts(seed=1)
    searcher = SequentialSearcher(image, text, depth=DEPTH, constant=CONSTANT)
    got = searcher.search(ask_image[:20], text[:20], merge=merge, top_k=5)
    for query in range(20):
        key = by_hand(image, text, ask_image[query], text[query], merge)
        assert len(set(got[query])) == 5
        # Rows that tie may change places, what they are ordered by may not.
        assert [key[row] for row in got[query]] == sorted(key.values(), reverse=True)[:5], query


def test_a_query_without_text_is_an_image_search():
    image, text = parts()
    searcher = SequentialSearcher(image, text, depth=DEPTH)
    got = searcher.search(image[:4], np.zeros((4, 6), np.float32), merge=Merge.RECIPROCAL_RANK, top_k=3)
    want = np.argsort(-(image[:4] @ image.T), axis=1)[:, :3]
    assert np.array_equal(got, want)


def test_equal_scores_share_the_best_rank():
    scores = np.array([0.9, 0.9, 0.5, 0.5, 0.5, 0.1], np.float32)
    assert shared_ranks(scores).tolist() == [1, 1, 3, 3, 3, 6]


def test_lists_shorter_than_the_answer_are_refused():
    image, text = parts()
    searcher = SequentialSearcher(image, text, depth=4)
    with pytest.raises(ValueError, match="top_k is 5, the lists are 4 long"):
        searcher.search(image[:1], text[:1], merge=Merge.IMAGE_FIRST, top_k=5)
