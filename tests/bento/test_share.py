"""Which replicas try a canary: about the share that is asked for, and the same ones as it grows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.share import in_share, pairs_for
from index_builder.manifest import LivePointer, ModelPair

NAMES = [f"replica-{number}" for number in range(1000)]
LIVE, CANARY = ModelPair(gallery="v1", models={}), ModelPair(gallery="v2", models={})
shares = st.floats(0, 1)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_about_the_share_tries_it(share: float) -> None:
    """Within four standard deviations of a binomial count."""
    count = sum(in_share(name, "v2", share) for name in NAMES)
    assert abs(count - 1000 * share) < 4 * (1000 * share * (1 - share)) ** 0.5


@given(name=st.text(), version=st.text(), first=shares, second=shares)
def test_who_is_in_stays_in_as_the_share_grows(name: str, version: str, first: float, second: float) -> None:
    less, more = sorted((first, second))
    assert in_share(name, version, less) <= in_share(name, version, more)
    assert in_share(name, version, 1.0)
    assert not in_share(name, version, 0.0)


def test_another_canary_is_another_draw() -> None:
    """Of two halves drawn apart, a quarter is in both."""
    both = sum(in_share(name, "v2", 0.5) and in_share(name, "v3", 0.5) for name in NAMES)
    assert abs(both - 250) < 4 * (1000 * 0.25 * 0.75) ** 0.5


def test_what_a_replica_wants_first() -> None:
    pointer = LivePointer(live=LIVE, updated_at=datetime.now(UTC))
    assert pairs_for(pointer, "r") == (LIVE,)
    pointer = pointer.model_copy(update={"canary": CANARY, "canary_share": 0.3})
    wanted = [pairs_for(pointer, name) for name in NAMES]
    assert wanted.count((CANARY, LIVE)) == sum(in_share(name, "v2", 0.3) for name in NAMES)
    assert wanted.count((LIVE,)) == 1000 - wanted.count((CANARY, LIVE))
