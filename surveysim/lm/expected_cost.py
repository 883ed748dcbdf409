"""What an alignment or simulation of a survey takes on a GPU that one does not have yet: its prompts are tokenised and counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from surveysim.codebook.backgrounds import background_grid, parse_background_id
from surveysim.codebook.codebook import Codebook, Question
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import ModelError, PromptError, first_few, nearest, quoted
from surveysim.lm.base.costs import BYTES, MODEL_SIZES, Cost, ModelSize, model_size, prompts_cost
from surveysim.lm.base.model_files import DEFAULT_MODEL, cache_folder
from surveysim.lm.base.tokens import TokenIds, TokenisedQuestion, tokenise
from surveysim.lm.option_model import OptionModel
from surveysim.lm.prompts.template import PromptTemplate, question_prompts
from surveysim.lm.prompts.words import describe_background
from surveysim.lm.trunk.trees import carried_nodes, question_trees, tree_sizes
from surveysim.survey.survey import Survey
from surveysim.tables.schema import BACKGROUND

ATTAINED = 0.4  # assumed of a GPU's peak: what large dense layers commonly reach
A_TOKEN = 4  # characters, where no tokenizer is at hand; on the survey that ships this counts a fifth too many, so that what fits does


class Gpu(NamedTuple):
    """A card by its memory: its name, and the operations a second that its maker states, dense, in bfloat16 and in float32."""

    name: str
    peak: float
    precise: float


GPUS = {  # GB -> NVIDIA's Ada whitepaper, and the data sheets of A100, L40S and H200
    16: Gpu("RTX 4080", 97.5e12, 48.7e12),
    24: Gpu("RTX 4090", 165e12, 82.6e12),
    40: Gpu("A100", 312e12, 19.5e12),
    48: Gpu("L40S", 362e12, 91.6e12),
    80: Gpu("A100", 312e12, 19.5e12),
    141: Gpu("H200", 989e12, 67e12),
}


@dataclass(frozen=True)
class SurveyCost(Cost):
    """What the prompts of a survey take: as `Cost`, with what was counted and on which GPU.

    Attributes
    ----------
    questions, backgrounds : int
        What is asked, and of how many.
    counted_with : str
        The tokenizer that counted the tokens, or what stands in for one.
    gpu : str
        The GPU whose operations a second are assumed; empty where the call gave them.
    room : int or None
        Bytes of its memory.
    """

    questions: int = 0
    backgrounds: int = 0
    counted_with: str = ""
    gpu: str = ""
    room: int | None = None

    @property
    def fits(self) -> bool | None:
        """Whether all of it lies in the GPU's memory, a tenth of which is left to the driver and the allocator; None without a GPU."""
        return None if self.room is None else self.memory <= 0.9 * self.room

    def __str__(self) -> str:
        prompts = f"{self.questions:,} questions x {self.backgrounds:,} backgrounds: {self.tokens:,} distinct tokens ({self.counted_with})"
        where = "" if self.room is None else f" of {self.room / 1e9:.0f} GB ({'fits' if self.fits else 'does not fit'})"
        memory = f"memory {self.memory / 1e9:.1f} GB{where}, disk {self.cache / 1e9:.2f} GB"
        rate = f", computed at {ATTAINED:.0%} of the peak of {self.gpu}" if self.gpu else ""
        return f"{prompts}\n{memory}\ntrunk {self.trunk:.1f} s, an epoch {self.epoch:.1f} s{rate}"


def memory_and_time(
    model: str | Path | ModelSize | OptionModel,
    survey: CodebookLike | Survey | None = None,
    *,
    by: str | Sequence[str] | None = None,
    questions: str | Sequence[str] | int | None = None,
    gpu: str | None = None,
    template: PromptTemplate | None = None,
    backgrounds: int | None = None,
    opening_tokens: float | None = None,
    background_tokens: float | None = None,
    operations: float | None = None,
    precise_operations: float | None = None,
    bytes_a_weight: float = BYTES,
) -> Cost:
    """Return what an alignment or simulation takes: memory, disk and time, by arithmetic, before a machine is rented.

    With a survey its prompts are worded and tokenised, and their distinct tokens counted, which are those that run. The model's own
    tokenizer counts them where it is on this machine; else that of the default model, where that is here; else four characters are
    taken for a token, which counts about a fifth too many in English. The result says which (`counted_with`). Without a survey the
    call gives the numbers.

    Time is operations over a rate. The trunk multiplies and adds every weight of its layers once for each distinct token, and every
    query with the keys that it sees. An epoch takes keys and values of all tokens and the rest of the last layer at the answers alone,
    forward and back. Embeddings are looked up, and of the head only the answers' rows are used: neither takes time to speak of.

    Parameters
    ----------
    model : str, Path, ModelSize or OptionModel
        A hub id or name of `MODEL_SIZES`, a model's folder, or the sizes themselves. Nothing is downloaded.
    survey : Survey, Codebook, str or Path, optional
        Whose questions are put.
    by : str or sequence of str, optional
        Traits that make the backgrounds, every combination of their levels; needed with a survey.
    questions : str, sequence of str, or int
        With a survey question ids (default: all); else their number.
    gpu : {"16GB", "24GB", "40GB", "48GB", "80GB", "141GB"}, optional
        Memory of the GPU. 40% of the operations a second that the maker of a common card of that memory states are assumed.
    template : PromptTemplate, optional
        Default: the model's, or the standard one.
    backgrounds : int, optional
        Without a survey: how many.
    opening_tokens, background_tokens : float, optional
        Without a survey: tokens of a question before the respondent is described, and those that a prompt adds to what it shares, means.
    operations : float, optional
        In place of `gpu`: operations a second that the trunk attains in bfloat16.
    precise_operations : float, optional
        The same for float32, in which the last layer trains; default half of `operations`.
    bytes_a_weight : float
        2 for bfloat16, 1 for 8 bits, 0.5 for 4 bits.

    Returns
    -------
    Cost
        With a survey a `SurveyCost`, whose `fits` says whether the GPU holds it.

    Raises
    ------
    ModelError
        If the model's sizes are not known here, a number is missing or not positive, `gpu` is unknown, or neither `gpu` nor `operations`
        is given, or both.
    CodebookError
        If a question or trait is unknown.
    PromptError
        If a question cannot be put as the template says.

    References
    ----------
    Kaplan et al. (2020), Scaling laws for neural language models, arXiv:2001.08361 (two floating-point operations a parameter and token).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> cost = ss.memory_and_time("Qwen/Qwen3-4B", survey, by=["gender", "age3"], questions=["Q8_8", "Q8_9"], gpu="24GB")
    >>> f"{cost.weights / 1e9:.1f} GB of weights, {cost.questions} questions x {cost.backgrounds} backgrounds, fits: {cost.fits}"
    '8.0 GB of weights, 2 questions x 6 backgrounds, fits: True'
    """
    size = _size(model)
    card, rates = _rates(gpu, operations, precise_operations)
    rates["bytes_a_weight"] = bytes_a_weight
    shape = {"backgrounds": backgrounds, "opening_tokens": opening_tokens, "background_tokens": background_tokens}
    if survey is None:
        _require_numbers({"questions": questions, **shape})
        if by is not None or template is not None or not isinstance(questions, int):
            raise ModelError(
                f"by, template and ids of questions go with a survey; give it, or questions as a number; got {quoted(questions)}"
            )
        numbers: dict[str, Any] = {"questions": questions, **shape, **rates}
        return prompts_cost(size, **numbers)
    given = [name for name, value in shape.items() if value is not None]
    if given or by is None:
        leave = f", and leave out {first_few(given)}" if given else ""
        raise ModelError(f"with a survey, backgrounds and tokens are counted: give by=, a list of traits{leave}")
    book = load_codebook(survey)
    default = survey.questions if isinstance(survey, Survey) else tuple(book.questions)
    asked = book.questions_named(default if questions is None else questions)  # type: ignore[arg-type]  # a number is refused there
    ids = background_grid(book, by=by)[BACKGROUND].tolist()
    tokenizer, counted_with = _tokenizer(model)
    chosen = template or (model.template if isinstance(model, OptionModel) else PromptTemplate())
    put = _tokenised(book, asked, ids, template=chosen, tokenizer=tokenizer)
    cost = prompts_cost(size, questions=len(put), backgrounds=len(ids), **_shape(put, len(ids)), **rates)
    of: dict[str, Any] = {"questions": len(put), "backgrounds": len(ids), "counted_with": counted_with}
    if card is not None:
        of |= {"gpu": card.name, "room": _gigabytes(gpu) * 10**9}
    return SurveyCost(**asdict(cost), **of)


def _shape(put: Sequence[TokenisedQuestion], backgrounds: int) -> dict[str, Any]:
    """Return mean tokens of an opening, and of what a prompt adds to those that it shares."""
    openings = _distinct_openings(put)
    return {"opening_tokens": openings / len(put), "background_tokens": (distinct_tokens(put) - openings) / (len(put) * backgrounds)}


def distinct_tokens(questions: Sequence[TokenisedQuestion]) -> int:
    """Count the distinct prefixes of all prompts: the tokens that run through the trunk."""
    return _distinct_openings(questions) + sum(_tree_tokens(question) for question in questions)


def _distinct_openings(questions: Sequence[TokenisedQuestion]) -> int:
    return len({question.opening[:length] for question in questions for length in range(1, len(question.opening) + 1)})


def _tree_tokens(question: TokenisedQuestion) -> int:
    trees, branches = question_trees(question, tree_sizes(question)), len(question.trie.branches)
    carried = sum(len(carried_nodes(*pair, branches)) for pair in pairwise(trees))
    return sum(len(tree.tokens) for tree in trees) - carried


def _require_numbers(numbers: dict[str, Any]) -> None:
    absent = [name for name, value in numbers.items() if value is None]
    if absent:
        raise ModelError(f"{first_few(absent)}: needed where no survey is given; or give survey=, by= and gpu=, and they are counted")


def _gigabytes(gpu: str | None) -> int:
    found = re.fullmatch(r"(\d+) ?(GB|GiB)", str(gpu), flags=re.IGNORECASE)
    return int(found[1]) if found else 0


def _rates(gpu: str | None, operations: float | None, precise: float | None) -> tuple[Gpu | None, dict[str, Any]]:
    if (gpu is None) == (operations is None):
        raise ModelError("give gpu=, such as '24GB', or operations=, what the device attains in a second; one of them")
    if gpu is None:
        return None, {"operations": operations, "precise_operations": precise}
    card = GPUS.get(_gigabytes(gpu))
    if card is None:
        raise ModelError(f"gpu={quoted(gpu)} is unknown; give one of {', '.join(f'{size}GB' for size in GPUS)}, or operations= of yours")
    return card, {"operations": ATTAINED * card.peak, "precise_operations": ATTAINED * card.precise}


def _size(model: str | Path | ModelSize | OptionModel) -> ModelSize:
    if isinstance(model, ModelSize):
        return model
    if isinstance(model, OptionModel):
        return model_size(model.backbone.model.config)
    folder = _folder(str(model))
    if folder is not None:
        from transformers import AutoConfig

        return model_size(AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True))
    short = str(model).partition("@")[0].rpartition("/")[2].lower()
    known = {name.lower(): size for name, size in MODEL_SIZES.items()}
    if short not in known:
        raise ModelError(
            f"model {quoted(model)} is neither on this machine nor in MODEL_SIZES; {nearest(short, MODEL_SIZES)} Else give its sizes: "
            "model_size(AutoConfig.from_pretrained(...)), which downloads its config.json alone"
        )
    return known[short]


def _folder(name: str) -> Path | None:
    """Return where a model's files are on this machine: the folder named, or the cache's; None if nowhere."""
    for place in (Path(name), cache_folder() / "models" / name.replace("/", "--")):
        if (place / "config.json").is_file():
            return place
    return None


def _tokenizer(model: str | Path | ModelSize | OptionModel) -> tuple[Any, str]:
    """Return what counts the tokens, and its name."""
    if isinstance(model, OptionModel):
        return model.backbone.tokenizer, "counted by the model's own tokenizer"
    own = None if isinstance(model, ModelSize) else _folder(str(model))
    for folder, said in ((own, "the model's own tokenizer"), (_folder(DEFAULT_MODEL), f"the tokenizer of {DEFAULT_MODEL}")):
        if folder is not None and (folder / "tokenizer_config.json").is_file():
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True), f"counted by {said}"
    return _Characters(), f"{A_TOKEN} characters taken for a token: no tokenizer is on this machine"


class _Characters:
    """In place of a tokenizer: every so many characters are a token."""

    bos_token_id = None

    def __call__(self, text: str, **_: object) -> Any:
        class Encoded(NamedTuple):
            input_ids: list[int]

        parts = (text[start : start + A_TOKEN] for start in range(0, len(text), A_TOKEN))
        return Encoded([int.from_bytes(part.encode(), "big") for part in parts])


def _tokenised(
    book: Codebook, questions: Sequence[Question], backgrounds: Sequence[str], *, template: PromptTemplate, tokenizer: Any
) -> list[TokenisedQuestion]:
    words = {one: describe_background(parse_background_id(one), book, order=template.traits) for one in backgrounds}
    ids, found = TokenIds(tokenizer), []
    for question in questions:
        prompts = question_prompts(question, words, book, template=template)
        try:
            found.append(tokenise(prompts, tokenizer, scoring=template.scoring, ids=ids))
        except PromptError as error:
            raise PromptError(f"{error}; put it in other words, or leave it out of questions=") from error
    return found
