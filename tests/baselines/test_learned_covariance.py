"""Covariances learned from many rows: the plain form's, by one sum of information a step."""

from __future__ import annotations

import numpy as np
import pytest

from surveysim.baselines.learned_covariance import learned_covariance
from tests.support import plain_multilevel


@pytest.mark.parametrize("empty", [0, 4])
@pytest.mark.parametrize("cells", [1, 30])
def test_it_is_that_of_the_plain_form(cells: int, empty: int) -> None:
    """With one background, and with backgrounds that nobody was sampled from."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(9, cells + empty, 40))
    prior, scores = features @ features.swapaxes(1, 2) / 300, generator.normal(0, 0.4, (9, cells + empty))
    sizes = generator.uniform(1, 20, (9, cells + empty))
    sizes[:, cells:] = 0.0
    sizes[0, 0] = 0.0
    found, expected = learned_covariance(prior, scores, sizes), plain_multilevel.learned_covariance(prior, scores, sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
