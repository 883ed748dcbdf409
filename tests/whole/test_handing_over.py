"""What docs/handing-over.md hands to R, R finds as it was here: the same means, errors and differences."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from tests.support.pages import PROJECT, blocks, run_page
from tests.support.small_surveys import small_survey

PAGE = PROJECT / "docs" / "handing-over.md"
FROM_R = PROJECT / "docs" / "coming-from-r.md"
NUMBERS = "cat(sprintf('number %.12g\\n', c({})), sep = '')\n"


def _r(code: str, folder: Path) -> list[float]:
    """Return the numbers that R code prints by `NUMBERS`."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    packages = "quit(status = if (requireNamespace('survey', quietly = TRUE) && requireNamespace('haven', quietly = TRUE)) 0 else 3)"
    if subprocess.run(["Rscript", "-e", packages], check=False).returncode == 3:
        pytest.skip("R has not the packages survey and haven")
    (folder / "code.R").write_text("suppressPackageStartupMessages(library(survey))\n" + code)
    done = subprocess.run(["Rscript", "code.R"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in re.findall(r"^number (\S+)$", done.stdout, re.M)]


def _mean(survey: ss.Survey) -> list[float]:
    return ss.survey_mean(survey, questions="Q8_8")[["estimate", "std_error"]].to_numpy().ravel().tolist()


def test_r_finds_what_the_page_hands_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(PAGE, tmp_path)
    code = "".join(block.text for block in blocks(PAGE) if block.language == "r")
    mean = "{m <- svymean(~Q8_8, @, na.rm = TRUE); c(coef(m), SE(m))}"
    slope = "{f <- summary(svyglm(Q8_8 ~ sex, design))$coefficients[2, 1:2]; f}"
    found = _r(code + NUMBERS.format(", ".join([mean.replace("@", "design"), mean.replace("@", "replicated"), slope])), tmp_path)
    survey = ss.load_example("nonvoters2020")
    raked = ss.rake(ss.as_replicates(survey, method="bootstrap", n_replicates=100), {"gender": {"female": 0.52, "male": 0.48}})
    means = ss.survey_mean(survey, questions="Q8_8", by="gender", covariance=True)
    contrast = ss.survey_contrast(means, {"gender=male": 1, "gender=female": -1})
    ours = [*_mean(survey), *_mean(raked), *contrast[["estimate", "std_error"]].to_numpy().ravel()]
    np.testing.assert_allclose(found, ours, rtol=1e-6)


def test_strata_and_psus_arrive(tmp_path: Path) -> None:
    survey = small_survey(design=True)
    ss.write_survey(survey, tmp_path / "for_r.sav")
    line = re.search(r"`(svydesign\(ids = ~psu[^`]*\))`", PAGE.read_text(encoding="utf-8"))
    assert line is not None
    code = f"people <- haven::read_sav('for_r.sav')\ndesign <- {line[1]}\n"
    found = _r(code + NUMBERS.format("{m <- svymean(~q1, design, na.rm = TRUE); c(coef(m), SE(m))}"), tmp_path)
    ours = ss.survey_mean(survey, questions="q1")[["estimate", "std_error"]].to_numpy().ravel()
    np.testing.assert_allclose(found, ours, rtol=1e-6)


def test_what_is_said_to_be_rs_alone_is_in_r_and_not_here(tmp_path: Path) -> None:
    section = FROM_R.read_text(encoding="utf-8").split("## What has no counterpart")[1].split("\n## ")[0]
    names = pd.unique(np.array(re.findall(r"`(\w+)\(\)`", section), dtype=object))
    assert len(names) > 15
    assert not set(names) & set(ss.__all__)
    there = ", ".join(f"exists('{name}', asNamespace('survey'))" for name in names)
    found = _r(NUMBERS.format(there), tmp_path)
    assert dict(zip(names, found, strict=True)) == dict.fromkeys(names, 1.0)
