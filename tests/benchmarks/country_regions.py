"""MRP with hand-coded regions of Europe: what a careful analyst would set against a language model for a country never sampled."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import training_cells
from surveysim.baselines.knowledge import NOTHING, Knowledge
from surveysim.baselines.multilevel import fit_multilevel, trait_kernels
from surveysim.codebook.backgrounds import parse_background_id

# Drawn up before any score was seen: by welfare regime and political past, finer than the UN's four parts of Europe.
REGIONS = {
    "Nordic": ("Denmark", "Finland", "Iceland", "Norway", "Sweden"),
    "Western": ("Austria", "Belgium", "France", "Germany", "Ireland", "Luxembourg", "Netherlands", "Switzerland", "United Kingdom"),
    "Southern": ("Cyprus", "Greece", "Israel", "Italy", "Malta", "Portugal", "Spain"),
    "Baltic and Central": ("Czechia", "Estonia", "Hungary", "Latvia", "Lithuania", "Poland", "Slovakia", "Slovenia"),
    "South-Eastern": ("Albania", "Bulgaria", "Croatia", "Montenegro", "North Macedonia", "Romania", "Serbia"),
}
REGION = {country: region for region, countries in REGIONS.items() for country in countries}


def regions(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """As the `low_rank` baseline, with effects of the region and of region by every other trait beside those of the country."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    place = sample.traits.index("country")
    names = np.array([REGION[parse_background_id(identifier)["country"]] for identifier in sample.cells.backgrounds])
    same = (names[:, None] == names).astype(float)
    exchangeable, of = trait_kernels(sample.levels)
    crossed = [same * kernel for kernel, traits in zip(exchangeable, of, strict=True) if len(traits) == 1 and traits != (place,)]
    fit = fit_multilevel(
        sample.cells, [*sample.kernels(), same, *crossed], ordered=sample.ordered, pooled=sample.pooled_positive, learn=True
    )
    return sample.to_table(fit.shares, source="regions", std_error=fit.std_error)
