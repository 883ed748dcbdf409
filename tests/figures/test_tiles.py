"""The grids that ship: every tile in a place of its own, every level of our codebooks of Europe on one, and the rules of a user's grid."""

from __future__ import annotations

import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from surveysim.figures.tiles import tiles_of
from surveysim.tables.storage import shipped_names

SIZES = {"europe": 47, "us_divisions": 9, "us_regions": 4, "us_states": 51}
OWN = pd.DataFrame({"level": ["north", "south"], "row": [0, 1], "column": [0, 0]})


def test_the_grids_that_ship_have_a_place_for_every_tile_and_no_name_twice() -> None:
    assert shipped_names("tiles") == sorted(SIZES)
    for name, size in SIZES.items():
        grid, _ = tiles_of(["Norway", "Ohio", "West", "Pacific"], name)
        assert len(grid) == size
        assert not grid.duplicated(["row", "column"]).any()
        names = [each.casefold() for names in grid["names"] for each in dict.fromkeys(names)]
        assert len(names) == len(set(names)), name
        assert grid.attrs["tiles"] == name


@pytest.mark.parametrize("survey", ["ess9", "ess11"])
def test_every_country_of_the_european_social_survey_has_a_tile(survey: str) -> None:
    levels = [level.name for level in ss.load_codebook(survey).trait("country").levels]
    grid, place = tiles_of(levels, None)
    assert grid.attrs["tiles"] == "europe"
    assert (place >= 0).all()
    codes = [level.codes[0] for level in ss.load_codebook(survey).trait("country").levels]
    assert grid["tile"].iloc[place].tolist() == codes, "the ISO codes of the survey's own file"


@pytest.mark.parametrize("survey", ["anes2020", "gss2016"])
def test_the_census_regions_of_the_american_surveys_have_tiles(survey: str) -> None:
    levels = [level.name for level in ss.load_codebook(survey).trait("region").levels]
    grid, place = tiles_of(levels, None)
    assert (grid.attrs["tiles"], set(place)) == ("us_regions", {0, 1, 2, 3})


def test_neighbours_touch() -> None:
    """Land borders of states and countries whose tiles must lie side by side or corner to corner."""
    for grid, pairs in {
        "europe": "PT-ES NO-SE SE-FI DE-PL DE-NL DE-CZ CZ-SK AT-HU CH-AT FR-BE IT-SI HR-SI RS-HR EE-LV LV-LT LT-PL CZ-AT GR-AL",
        "us_states": "WA-OR OR-CA CA-NV AZ-NM TX-OK TX-LA AL-GA GA-FL NC-SC VA-NC OH-PA PA-NJ NY-PA MA-CT VT-NH NH-ME MN-WI IL-IN",
    }.items():
        table = tiles_of(["Norway", "Ohio"], grid)[0].set_index("tile")
        for one, other in (pair.split("-") for pair in pairs.split()):
            apart = (table.loc[one, ["row", "column"]] - table.loc[other, ["row", "column"]]).abs().max()
            assert apart == 1, f"{one} and {other} are {apart} tiles apart"


@pytest.mark.parametrize(
    ("levels", "tiles", "said"),
    [
        (["north"], "eurpe", "tiles: no grid 'eurpe' ships; did you mean 'europe'.*or give a frame with columns level, row and column"),
        (["upland", "lowland"], None, "at most 0 of 2 levels .upland, lowland.; give tiles= a frame"),
        (["ME", "MT"], None, "could be those of europe or us_states; say which with tiles="),
        (["UK", "Great Britain"], "europe", "levels UK, Great Britain have one tile between them"),
        (["north", "south"], "europe", "no level has a tile; north, south are not among Iceland"),
        (["north"], OWN.drop(columns="row"), "tiles"),
        (["north"], OWN.assign(row=0.5), "tiles: row must be whole numbers, counted from the upper left; not so in row 0, 1"),
        (["north"], OWN.assign(row="first"), "tiles: row must hold numbers"),
        (["north"], OWN.assign(row=0), "tiles gives a place twice, at level 'south'"),
        (["north"], OWN.assign(level="north"), "tiles gives a level twice"),
    ],
)
def test_what_cannot_be_laid_is_refused(levels: list[str], tiles: str | pd.DataFrame | None, said: str) -> None:
    with pytest.raises(TableError, match=said):
        tiles_of(levels, tiles)


def test_a_users_grid_may_name_its_tiles() -> None:
    grid, place = tiles_of(["South", "east"], OWN.assign(tile=["N", "S"]))
    assert place.tolist() == [1, -1]
    assert grid["tile"].tolist() == ["N", "S"]
