"""The command line: ``surveysim demo | describe FILE | simulate FILE ... | compare FILE ...``, thin over the verbs."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import surveysim as ss
from surveysim import demo
from surveysim.drafting.adding import write_added
from surveysim.errors import ReadError
from surveysim.files.outfile import WRITABLE
from surveysim.files.readers import require_file
from surveysim.progress import VARIABLE
from surveysim.progress import log as progress_log
from surveysim.tables.schema import CELL, MIN_N
from surveysim.whole_files import PLAIN, write_plain

BAD_INPUT, INTERRUPTED, NO_READER = 2, 130, 141  # exit codes: as argparse's, as a shell's after Ctrl-C, and after a closed pipe
SCREEN = "-"  # in place of a path: standard output
ENDINGS = (*PLAIN, *WRITABLE)
FILE = "survey file (.sav .zsav .dta .por .xpt .sas7bdat .csv .parquet), or the name of the example that ships: nonvoters2020"

EXAMPLES = {
    "": """
  surveysim describe nonvoters2020
  surveysim simulate nonvoters2020 --by gender age3 --questions Q8_8 --method mrp --output shares.csv
  surveysim compare nonvoters2020 --by gender age3 --questions Q8_8 Q8_9 --train-n 200 400 --methods raw mrp --seeds 2""",
    "demo": """
  surveysim demo --n-train 400 --output demo-output""",
    "describe": """
  surveysim describe nonvoters2020
  surveysim describe nonvoters2020 --look-for "police"
  surveysim describe nonvoters2020 --by gender --questions Q8_8 --output shares.dta
  surveysim describe nonvoters2020 --by gender --questions Q8_8 --output -""",
    "simulate": """
  surveysim simulate nonvoters2020 --by gender age3 --questions Q8_8 --method mrp
  surveysim simulate nonvoters2020 --by gender age3 --questions Q8_8 Q8_9 --method ridge --seed 1 --output shares.parquet""",
    "compare": """
  surveysim compare nonvoters2020 --by gender age3 --questions Q8_8 Q8_9 --train-n 200 --methods raw mrp --seeds 2 --output scores.csv""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for input that cannot be used, 130 after an interruption."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(format="surveysim: %(message)s", stream=sys.stderr)
    if os.environ.get(VARIABLE) == "log":
        progress_log.setLevel(logging.INFO)
    try:
        given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush at the end goes there
        return NO_READER
    except (ss.SurveySimError, OSError) as error:
        print(f"surveysim: error: {_in_options(' '.join(str(error).split()), given)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("surveysim: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _in_options(said: str, given: argparse.Namespace) -> str:
    """Return a message of a verb in the words of the command line: ``--by``, not ``by=``."""
    names = {name: f"--{name.replace('_', '-')}" for name in vars(given) if name not in ("run", "file", "isolated")}
    if "by" in names:
        names["backgrounds"] = "--by"  # as `simulate` calls the traits
    if getattr(given, "draft", None) is not None:
        names["output"] = "--draft"  # the verb's own word for the codebook that it writes
    said = re.sub(r"add_question\(codebook, path, '([^']*)'\)", r"surveysim describe FILE --codebook MINE.toml --add \1", said)
    known = "|".join(names)
    said = re.sub(rf"^({known})(?=:| '| names | is | are | must | has )", lambda found: names[found[1]], said)
    value = r"(?P<list>\[[^]]*\])|(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<plain>[^\s;:,)]+(?:,\d{3})*)"
    return re.sub(rf"(?<![\w.])(?P<name>{known})=(?:{value})", lambda found: f"{names[found['name']]} {_as_typed(found)}", said)


def _as_typed(found: re.Match[str]) -> str:
    if found["list"]:
        return re.sub(r"[\[\]'\",]", "", found["list"])
    return found["quoted"][1:-1] if found["quoted"] else found["plain"]


def describe(given: argparse.Namespace) -> None:
    """Print what a survey holds; with questions, their weighted shares."""
    if given.ddi is not None and given.draft is None and not given.add:
        raise ReadError("--ddi: goes with --draft or --add, which write a codebook; name one that is a DDI file with --codebook")
    if given.draft is not None:
        draft = ss.draft_codebook(given.file, given.draft, ddi=given.ddi, encoding=given.encoding, isolated=given.isolated)
        print(f"{draft}: finish it by hand, then name it with --codebook")
        return
    if given.add:
        target = write_added(Path(given.codebook or "(none)"), Path(given.file), given.add, given.ddi)
        print(f"{target}: {', '.join(given.add)} added at its end; put the exact wording there, and check type and missing codes")
        return
    survey = _survey(given)
    if given.look_for is not None:
        found = survey.codebook.look_for(given.look_for)
        print(found[["question_id", "text", "options"]].to_string(index=False) if len(found) else f"no question holds {given.look_for!r}")
    elif given.questions or given.by:
        _give(ss.response_distributions(survey, by=given.by, questions=given.questions), given, survey)
    else:
        print(survey)
        print(f"design: {survey.design.description}", *survey.notes, sep="\n")
        print("", ss.weight_summary(survey).to_string(index=False), "", ss.na_table(survey).to_string(index=False), sep="\n")


def simulate(given: argparse.Namespace) -> None:
    """Simulate every background of the traits named."""
    survey = _survey(given)
    model = ss.load_model(given.model) if given.model else None
    chosen = {"questions": given.questions, "method": given.method, "seed": given.seed, "prior": _prior(given, survey)}
    _give(ss.simulate(survey, given.by, model=model, progress=not given.quiet, **chosen), given, survey)


def _prior(given: argparse.Namespace, survey: ss.Survey) -> pd.DataFrame | ss.Survey | dict[str, pd.DataFrame | ss.Survey] | None:
    """Read what was known before: tables of shares, or survey files under the codebook of the survey itself."""
    if not given.prior:
        return None
    found = {Path(name).stem: _one_prior(Path(name), given, survey) for name in given.prior}
    if len(found) < len(given.prior):
        raise ReadError(f"--prior: two files have the same name ({', '.join(given.prior)}); rename one")
    return found if len(found) > 1 else next(iter(found.values()))


def _one_prior(path: Path, given: argparse.Namespace, survey: ss.Survey) -> pd.DataFrame | ss.Survey:
    require_file(path)
    if path.suffix.lower() == ".parquet":
        return ss.read_table(path)
    if path.suffix.lower() == ".csv":
        return pd.read_csv(path)
    return ss.read_survey(path, survey.codebook, weight=given.weight, encoding=given.encoding)


def compare(given: argparse.Namespace) -> None:
    """Score methods on the same training respondents against the respondents left out, and print the means."""
    survey = _survey(given)
    model = ss.load_model(given.model) if given.model else None
    chosen = {"questions": given.questions, "train_n": given.train_n, "methods": given.methods, "seeds": given.seeds}
    scores = ss.compare_methods(survey, by=given.by, model=model, results=given.results, progress=not given.quiet, **chosen)
    means = sys.stderr if given.output == SCREEN else sys.stdout
    for metric in scores["metric"].unique():
        print(f"{metric}: mean over backgrounds, questions and seeds; smaller is closer", file=means)
        shown = ss.summarise_comparison(scores, metric=metric).to_string(index=False, float_format="{:.4f}".format)
        print(shown, "", sep="\n", file=means)
    if given.output == SCREEN:
        scores.to_csv(sys.stdout, index=False, lineterminator="\n")
    elif given.output and Path(given.output).suffix.lower() in PLAIN:
        _say_written(scores, write_plain(scores, given.output))
    elif given.output:
        _say_written(scores, ss.write_table(scores, given.output, survey.codebook))


def _demo(given: argparse.Namespace) -> None:
    demo.run(n_train=given.n_train, seed=given.seed, output=given.output, model=given.model, progress=not given.quiet)


def _survey(given: argparse.Namespace) -> ss.Survey:
    """Read the file; the name of an example stands for the example. Refuse a result file of unknown ending before any work."""
    output = getattr(given, "output", None)
    if output not in (None, SCREEN) and Path(output).suffix.lower() not in ENDINGS:
        raise ReadError(f"--output {output}: the ending must be one of {' '.join(ENDINGS)}, or - for CSV on standard output")
    if given.file in ss.list_examples() and not Path(given.file).exists():
        unused = [f"--{name}" for name in ("codebook", "weight", "encoding") if getattr(given, name) is not None]
        if unused:
            raise ReadError(f"{', '.join(unused)}: the example {given.file!r} has its own codebook, weight and encoding; leave it out")
        return ss.load_example(given.file)
    isolated = getattr(given, "isolated", False)
    return ss.read_survey(given.file, given.codebook, weight=given.weight, encoding=given.encoding, isolated=isolated)


def _give(table: pd.DataFrame, given: argparse.Namespace, survey: ss.Survey) -> None:
    """Print a table of shares, or write it by ending with small cells withheld."""
    if given.output is None:
        print(ss.show(table, rows=len(table)))
        return
    if given.output == SCREEN:
        with tempfile.TemporaryDirectory() as folder:
            target = ss.export_table(table, Path(folder) / "table.csv", codebook=survey.codebook, min_n=given.min_n)
            sys.stdout.write(target.read_text(encoding="utf-8"))
        _say_written(table, "standard output")
    else:
        _say_written(table, ss.export_table(table, given.output, codebook=survey.codebook, min_n=given.min_n))
    if given.min_n:
        shown = ss.protect(table, min_n=given.min_n).drop_duplicates(CELL)
        withheld = int((shown["suppressed"] != "").sum())
        print(f"surveysim: {withheld} of {len(shown)} cells withheld (min_n {given.min_n}; --min-n 0 withholds none)", file=sys.stderr)


def _say_written(table: pd.DataFrame, target: Path | str) -> None:
    print(f"surveysim: {ss.show(table, rows=max(len(table), 1)).heading}; written to {target}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _with_examples(
        argparse.ArgumentParser(prog="surveysim", description="Weighted survey shares by background, and simulated ones.")
    )
    parser.add_argument("--version", action="version", version=f"surveysim {ss.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="{demo,describe,simulate,compare}")
    jobs = {"demo": _demo, "describe": describe, "simulate": simulate, "compare": compare}
    says = {
        "demo": "Do the main job on the survey that ships, and print its table.",
        "describe": "Say what a survey file holds: weight, design, missing answers, shares.",
        "simulate": "Estimate every background's shares with a language model or a classical method.",
        "compare": "Score methods against respondents left out, beside the noise floor.",
    }
    for name, job in jobs.items():
        command = _with_examples(commands.add_parser(name, help=says[name], description=says[name]), name)
        command.set_defaults(run=job)
        (demo.add_options if name == "demo" else _OPTIONS[name])(command)
    return parser


def _with_examples(parser: argparse.ArgumentParser, name: str = "") -> argparse.ArgumentParser:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"examples:{EXAMPLES[name]}"
    return parser


def _of_a_survey(parser: argparse.ArgumentParser, *, by_required: bool) -> None:
    parser.add_argument("file", metavar="FILE", help=FILE)
    parser.add_argument("--codebook", help="name of a codebook that ships, or a .toml file (default: the one that lists the file's name)")
    parser.add_argument("--weight", help="weight variable (default: the codebook's first; 'none': every respondent counts 1)")
    parser.add_argument("--encoding", help="of the file's text (default: the declared one, else what fits, and the notes say which)")
    parser.add_argument("--by", nargs="+", default=[], required=by_required, metavar="TRAIT", help="traits that make the backgrounds")
    parser.add_argument("--questions", nargs="+", metavar="QUESTION", help="question ids (default: all)")


def _output_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        metavar="PATH",
        help=f"write the table there, by ending: {' '.join(ENDINGS)}; - is CSV on standard output (default: show it)",
    )


def _disclosure_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-n", type=int, default=MIN_N, metavar="N", help=f"withhold cells of fewer respondents in --output; 0: none (default {MIN_N})"
    )


def _of_a_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", help="base or aligned model: a name, a hub id or a folder (default: smollm2-135m, where a method needs one)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _describe_options(parser: argparse.ArgumentParser) -> None:
    _of_a_survey(parser, by_required=False)
    parser.add_argument(
        "--not-isolated", dest="isolated", action="store_false",
        help="read an SPSS or Stata file in this process: for a file of your own that needs more than 2 GB (default: in a child process)",
    )  # fmt: skip
    parser.add_argument(
        "--draft", metavar="TOML", help="write a first codebook from the labels of a file that no codebook knows, to finish by hand"
    )
    parser.add_argument("--ddi", metavar="XML", help="with --draft or --add: the study's DDI file, which has the questions' wording")
    parser.add_argument(
        "--add",
        nargs="+",
        metavar="VARIABLE",
        help="write further variables of FILE as questions at the end of the .toml file of --codebook",
    )
    parser.add_argument("--look-for", metavar="WORDS", help="list the questions that hold every one of these words")
    _output_option(parser)
    _disclosure_option(parser)


def _simulate_options(parser: argparse.ArgumentParser) -> None:
    _of_a_survey(parser, by_required=True)
    parser.add_argument(
        "--method", default="dsa", help="dsa, dsa-kernel, stage1, zero-shot, or a classical one: mrp, ridge, raw ... (default dsa)"
    )
    parser.add_argument("--seed", type=int, default=0)
    _prior_option(parser)
    _of_a_model(parser)
    _output_option(parser)
    _disclosure_option(parser)


def _prior_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prior",
        metavar="FILE",
        action="append",
        help="shares known before: a table (.csv, .parquet), or an earlier wave's file of the same codebook; several are weighed",
    )


def _compare_options(parser: argparse.ArgumentParser) -> None:
    _of_a_survey(parser, by_required=True)
    parser.add_argument(
        "--train-n", nargs="+", type=int, required=True, metavar="N", help="training respondents; several sizes give a curve"
    )
    parser.add_argument(
        "--methods", nargs="+", default=["raw", "pooled", "mrp", "dsa"], metavar="METHOD", help="default: raw pooled mrp dsa"
    )
    parser.add_argument("--seeds", type=int, default=5, help="draws of the training respondents (default 5)")
    parser.add_argument("--results", metavar="FOLDER", help="keep each trial's scores there, and go on where it was interrupted")
    _of_a_model(parser)
    _output_option(parser)


_OPTIONS = {"describe": _describe_options, "simulate": _simulate_options, "compare": _compare_options}


if __name__ == "__main__":
    sys.exit(main())
