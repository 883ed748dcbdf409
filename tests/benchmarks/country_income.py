"""Gross domestic product a head of the countries of ESS 11, in US dollars of 2022: what a careful analyst would know of them.

Source: World Bank, World Development Indicators, NY.GDP.MKTP.CD over SP.POP.TOTL, 2022 (CC BY 4.0), as of the open data sets "gdp" and
"population" of datahub.io. Without Cyprus, whose numerator and denominator are of different territories, and Ireland, of whose product
its own statistical office says that it does not measure residents' income.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

GDP_A_HEAD = {
    "Austria": 52085,
    "Belgium": 49966,
    "Bulgaria": 13974,
    "Croatia": 18673,
    "Finland": 50735,
    "France": 40758,
    "Germany": 49081,
    "Greece": 20847,
    "Hungary": 18428,
    "Iceland": 75135,
    "Israel": 54931,
    "Italy": 35025,
    "Latvia": 21508,
    "Lithuania": 25079,
    "Montenegro": 9990,
    "Netherlands": 57025,
    "Norway": 108798,
    "Poland": 18732,
    "Portugal": 24457,
    "Serbia": 9538,
    "Slovakia": 21279,
    "Slovenia": 28438,
    "Spain": 29670,
    "Sweden": 56300,
    "Switzerland": 93246,
    "United Kingdom": 45690,
}


def log_income() -> pd.DataFrame:
    """Return a row per country: `country`, and `log_gdp`, the natural logarithm."""
    return pd.DataFrame({"country": list(GDP_A_HEAD), "log_gdp": np.log(list(GDP_A_HEAD.values()))})
