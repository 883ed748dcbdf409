"""What a methods appendix says, section by section; a fact that is not known is named as not stated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.estimation.weighting import weight_summary
from surveysim.evaluation.summaries import summarise_scores
from surveysim.figures.scorecard import Scorecard
from surveysim.figures.style import embedded
from surveysim.html import Section, disclosed_facts, frame_table, paragraph, preformatted
from surveysim.survey.missing import na_table
from surveysim.survey.survey import Survey
from surveysim.tables.facts import TableView, is_simulated, reach_in_words, table_facts
from surveysim.tables.schema import (
    BACKGROUND,
    CELL,
    ESTIMATE,
    METRIC,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    require_columns,
)
from surveysim.tables.training_record import stage_html

MOST_ROWS = 200  # of a result printed whole in the report
CODE = "AAPOR Code of Professional Ethics and Practices (revised April 2021), section III.A, https://aapor.org/standards-and-ethics/"
INITIATIVE = "AAPOR Transparency Initiative, https://aapor.org/standards-and-ethics/transparency-initiative/"
# Item of the code -> where this report speaks of it; what neither codebook nor result knows is for the author to add
ELEMENTS = {
    "1. Data collection strategy": ("data", "survey; shares of a method are estimated from its respondents"),
    "2. Sponsor and conductor": ("data", "conducted by: as given under Data; sponsor and funding: not stated, add them"),
    "3. Measurement tools": (
        "questions",
        "wording and options as in the codebook; show cards and order of questions: not stated, add them",
    ),
    "4. Population under study": ("data", "country and year, and the codebook's note; exact definition: check the survey's documentation"),
    "5. Generation and recruitment of the sample": ("data", "the codebook's note, where it speaks of it; otherwise not stated, add it"),
    "6. Method and mode of data collection": ("data", "the codebook's note, where it speaks of it; otherwise not stated, add it"),
    "7. Dates of data collection": ("data", "the survey's year, and the codebook's note; exact dates: check the survey's documentation"),
    "8. Sample sizes and precision": ("result", "n and effective n of every cell, and intervals under Uncertainty"),
    "9. Weighting": ("weight", "weight variable, design and every step of weighting"),
    "10. Processing and quality": ("questions", "missing answers by reason; nothing is recoded but by the codebook; scores under Scores"),
    "11. Limitations": ("limits", "what these numbers can and cannot say"),
}


def data_section(book: Codebook | None, survey: Survey | None, result: pd.DataFrame) -> Section:
    """Say which survey, of whom, by whom, and where it can be had."""
    about = {
        "survey": book.title if book else result.attrs.get("survey"),
        "conducted by": book.producer if book else "",
        "sponsor": "",
        "country": book.country if book else result.attrs.get("country"),
        "year": book.year if book else result.attrs.get("year"),
        "source": book.source if book else "",
        "DOI": book.doi if book else "",
        "citation": book.citation if book else "",
        "licence": book.licence if book else "",
        "respondents": f"{len(survey):,}" if survey is not None else result.attrs.get("n_respondents"),
        "population, sample, mode and dates": " ".join(book.note.split()) if book else "",
        "done on reading": "; ".join(survey.notes) or "nothing beyond the codebook" if survey is not None else "",
    }
    checked = "yes" if book and book.verified else "no: some facts of the codebook are not verified" if book else ""
    return Section("data", "Data", disclosed_facts({**about, "facts checked against a source": checked}))


def weight_section(book: Codebook | None, survey: Survey | None, result: pd.DataFrame) -> Section:
    """Say weight, denominator, design, and every step of weighting."""
    known = table_facts(result)
    name = known.get("weight")
    use = next((weight.use for weight in book.weights if weight.variable == name), "") if book else ""
    rows: dict[str, object] = {"weight": name, "use of the weight": use, "denominator": known.get("denominator")}
    rows |= {"design": known.get("design"), "design, note": book.design.note if book else "", "steps of weighting": known.get("weighting")}
    if survey is not None:
        row = weight_summary(survey).iloc[0]
        rows |= {
            "weights": f"{row['min']:.3g} to {row['max']:.3g}, coefficient of variation {row['cv']:.2f}",
            "effective n of the sample (Kish)": f"{row['n_eff']:,.0f} of {row['n']:,.0f}; design effect of weighting {row['deff']:.2f}",
        }
    return Section("weight", "Weight, denominator and design", disclosed_facts(rows))


def question_section(book: Codebook | None, survey: Survey | None, result: pd.DataFrame) -> Section:
    """Give the wording and the options of every question, and count missing answers by reason."""
    names = list(dict.fromkeys(result[QUESTION]))
    if book is None:
        said = "The wording is not stated: the codebook was not given (survey=) and does not ship."
        return Section("questions", "Questions", paragraph(said, missing=True))
    asked = [book.question(name) for name in names if name in book.questions]
    rows = [
        {
            "question": question.question_id,
            "wording": question.text,
            "options": "; ".join(f"{option.code} {option.label}" for option in question.options),
            "scale": question.type,
            "wording checked": "yes" if question.verified else "no",
        }
        for question in asked
    ]
    html = frame_table(pd.DataFrame(rows)) if rows else paragraph("No question of the result is in the codebook.", missing=True)
    if survey is None:
        counted = paragraph("Missing answers by reason: not stated; give survey= the Survey.", missing=True)
    else:
        table = na_table(survey)
        counted = paragraph("Respondents by valid answer and reason of a missing one:") + frame_table(table[table[QUESTION].isin(names)])
    return Section("questions", "Questions and missing answers", html + counted)


def result_section(result: pd.DataFrame, figure: str) -> Section:
    """Print the result, with n and effective n, and count cells without respondents and withheld cells."""
    known = table_facts(result)
    cells = result[CELL].drop_duplicates()
    rule = result.attrs.get("disclosure")
    withheld = int((result.drop_duplicates([*CELL, SOURCE])["suppressed"] != "").sum()) if "suppressed" in result else None
    said = f"{withheld} cells; rule: {rule}"
    rows = {
        "status": known.get("status"),
        "questions": f"{cells[QUESTION].nunique():,}",
        "backgrounds": f"{cells[BACKGROUND].nunique():,}",
        "n": known.get("n"),
        "effective n": known.get("n_eff"),
        "never sampled": _never_sampled(result),
        "cells without a share": f"{int(result[SHARE].isna().groupby([result[name] for name in CELL]).any().sum()):,} of {len(cells):,}",
        "withheld (disclosure control)": None if rule is None else "nothing: all cells are told" if withheld is None else said,
        "abstained": _abstained(result),
    }
    told = result if withheld else result.drop(columns="suppressed", errors="ignore")
    shown = TableView(told, MOST_ROWS).shown
    cut = paragraph(f"The first {MOST_ROWS} of {len(result):,} rows:") if len(result) > MOST_ROWS else ""
    return Section("result", "Result", disclosed_facts(rows) + figure + cut + frame_table(shown))


def _abstained(result: pd.DataFrame) -> str | None:
    """Count the cells that `abstain` flagged, by reason."""
    if "abstain" not in result:
        return result.attrs.get("abstained")
    cells = result.drop_duplicates([*CELL, SOURCE])
    flagged = cells[cells["abstain"].astype(bool)]
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in flagged["abstain_reason"].value_counts().items())
    return f"{len(flagged):,} of {len(cells):,} cells{f' ({reasons})' if reasons else ''}"


def _never_sampled(result: pd.DataFrame) -> str | None:
    found = result.attrs.get("beyond_training")
    return None if found is None else reach_in_words(found) or f"none: all {found['of']:,} backgrounds were sampled"


def model_section(result: pd.DataFrame) -> Section:
    """Say method, model with its hash, prompt, stages with their losses, and seed."""
    about = result.attrs
    if not is_simulated(result) and not about.get("model"):
        return Section("model", "Model", paragraph("No model: the table records none, and does not say that it is simulated."))
    model = "none: a classical estimate, without a language model" if "model" in about and about["model"] is None else about.get("model")
    classical = "model" in about and about["model"] is None
    hashed = "none: no language model" if classical else about.get("model_sha256")
    people = about.get("n_respondents")
    learnt = {"learnt from": None if people is None else f"{people:,} respondents"}
    html = disclosed_facts(
        {"method": about.get("method"), "model": model, "SHA-256 of the weights": hashed, **learnt, "seed": about.get("seed")}
    )
    if classical:
        return Section("model", "Method and model", html)
    prompt = about.get("prompt")
    html += _prompt(prompt) if prompt else paragraph("Prompt template: not stated.", missing=True)
    stages = about.get("stages")
    recorded = paragraph("Stages of training and their mean losses:") + stage_html(stages) if stages else ""
    html += recorded or paragraph("Stages and losses: none recorded; the model was not trained by this call.")
    return Section("model", "Method and model", html)


def _prompt(prompt: Mapping[str, Any]) -> str:
    told = {name: value if isinstance(value, str) else ", ".join(map(str, value)) or "as in the codebook" for name, value in prompt.items()}
    lines = "\n\n".join(f"{name}:\n{value.strip()}" for name, value in told.items())
    return paragraph("Prompt template (fields in braces are filled in for each question and background):") + preformatted(lines)


def score_section(scores: pd.DataFrame | None, floor: pd.DataFrame | None, card: Scorecard | None = None) -> Section:
    """Give errors against respondents left out, with noise floor, baselines and nulls, or say that there are none."""
    title = "Scores, noise floor and baselines"
    judged = "" if card is None else card_html(card)
    if scores is None and card is not None:
        return Section("scores", title, judged)
    if scores is None:
        said = "Not stated: no scores were given (scores=), so this report supports no claim of accuracy."
        return Section("scores", title, paragraph(said, missing=True))
    require_columns(scores, [METRIC, ESTIMATE], "scores")
    keys = [name for name in (N, "method", SOURCE) if name in scores]
    html = paragraph("Means over backgrounds and questions; 95% intervals over questions; smaller is closer.")
    html += frame_table(summarise_scores(scores, by=keys))
    if floor is not None:
        html += paragraph("Noise floor: what the population's own shares, or a fresh sample, would score.") + frame_table(
            summarise_scores(floor)
        )
    elif "method" not in scores or "floor" not in set(scores["method"]):
        html += paragraph("Noise floor: not stated; give floor= the table of noise_floor().", missing=True)
    if not ({"method", SOURCE} & set(scores.columns)):
        html += paragraph("Baselines: not stated; score classical estimates of the same respondents beside this one.", missing=True)
    return Section("scores", title, html + judged)


def card_html(card: Scorecard) -> str:
    """Return a scorecard's figure, facts and tables, with its nulls."""
    figure = embedded(card.plot(), "Scorecard: measures of each source beside nulls and human samples")
    return paragraph("Scorecard: the result beside opponents and nulls, judged by") + disclosed_facts(card.facts) + figure + card.html


def uncertainty_section(result: pd.DataFrame) -> Section:
    """Say what intervals there are and what they cover."""
    share = f"{result[STD_ERROR].notna().mean():.0%}" if STD_ERROR in result else "0%"
    if is_simulated(result):
        kind = "95%; the method's own error given this sample. They do not cover an error of the model that all samples share."
    else:
        kind = "95%, design-based where status says survey estimates: sampling error alone, not coverage, nonresponse or measurement."
    return Section("uncertainty", "Uncertainty", disclosed_facts({"rows with a standard error": share, "intervals": kind}))


def limits_section(result: pd.DataFrame) -> Section:
    """Say what the numbers cannot say."""
    simulated = (
        "Simulated shares are model-based estimates and no respondents' answers. They can exaggerate or shrink differences between groups, "
        "inherit what the model learnt from text, and replace no survey where people can be asked."
    )
    general = "The data can err by coverage, nonresponse and measurement, which no interval here covers."
    return Section("limits", "Limitations", (paragraph(simulated) if is_simulated(result) else "") + paragraph(general))


def disclosure_section() -> Section:
    """List the code's elements and where the report speaks of each."""
    rows = [{"element": element, "section": anchor, "how": how} for element, (anchor, how) in ELEMENTS.items()]
    intro = f"The elements of disclosure follow the {CODE}; see also the {INITIATIVE}. What is marked as not stated is the author's to add."
    return Section("disclosure", "Elements of disclosure", paragraph(intro) + frame_table(pd.DataFrame(rows)))
