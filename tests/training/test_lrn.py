"""The banded normalization against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.lrn import BandedLrn, replace_lrn


@pytest.mark.parametrize(("channels", "size"), [(7, 5), (64, 5), (6, 3), (3, 5), (8, 4)])
def test_banded_lrn_equals_torch(channels, size):
    x = torch.randn(2, channels, 5, 4, generator=torch.Generator().manual_seed(1)) * 40
    expected = nn.LocalResponseNorm(size, alpha=1e-2, beta=0.75, k=2.0)(x)
    got = BandedLrn(channels=channels, size=size, alpha=1e-2, k=2.0)(x)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_replace_keeps_the_function_and_skips_other_exponents():
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(5), nn.Sequential(nn.LocalResponseNorm(3, beta=0.5)))
    x = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    expected = body(x)
    assert replace_lrn(body, x) == 1
    assert isinstance(body[1], BandedLrn)
    torch.testing.assert_close(body(x), expected, rtol=1e-5, atol=1e-6)
