"""Prompts: segments, option order, letters and text, and questions that cannot be put to a model."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tokenizers import processors

import surveysim as ss
from surveysim.codebook.codebook import Option, Question
from surveysim.errors import CodebookError, PromptError
from surveysim.lm.base.backbone import Backbone
from surveysim.lm.base.tokens import option_trie, require_room, tokenise
from surveysim.lm.prompts.template import QuestionPrompts, question_prompts
from tests.lm.prompts.test_words import book
from tests.support.opinion_survey import opinion_codebook
from tests.support.tiny import tiny_model, tiny_tokenizer

WORDS = {"gender=female": "a woman", "gender=male": "a man"}
AGREE = ("Agree", "Agree strongly", "Disagree")


def _question(labels: tuple[str, ...]) -> Question:
    return Question("agree", "Do you agree?", tuple(Option(code, label) for code, label in enumerate(labels)))


def test_a_prompt_is_opening_then_respondent_then_answer() -> None:
    prompts = question_prompts(opinion_codebook().question("taxes"), WORDS, opinion_codebook())
    assert prompts.openings[0] == "A made-up survey. Question: What do you say about taxes?\nA. Lower\nB. The same\nC. Higher\n"
    assert prompts.respondents == ("Respondent: a woman.\nAnswer:", "Respondent: a man.\nAnswer:")
    assert prompts.answers[0] == (" A", " B", " C")


def test_options_stand_in_scale_order_whatever_their_codes() -> None:
    question = Question("q", "How much?", (Option(9, "Much"), Option(-1, "Some"), Option(4, "None")))
    prompts = question_prompts(question, WORDS, opinion_codebook())
    assert prompts.openings[0].endswith("A. Much\nB. Some\nC. None\n")


def test_listed_from_the_last_to_the_first_an_option_keeps_its_place_and_changes_its_letter() -> None:
    question = Question("q", "How much?", (Option(9, "Much"), Option(-1, "Some"), Option(4, "None")))
    prompts = question_prompts(question, WORDS, opinion_codebook(), template=ss.PromptTemplate(listing="reversed"))
    assert prompts.openings[0].endswith("A. None\nB. Some\nC. Much\n")
    assert prompts.answers[0] == (" C", " B", " A")  # of Much, Some, None
    words = question_prompts(question, WORDS, opinion_codebook(), template=ss.PromptTemplate(listing="reversed", scoring="text"))
    assert words.answers[0] == (" Much\n", " Some\n", " None\n")


def test_text_scoring_reads_the_options_own_words() -> None:
    prompts = question_prompts(opinion_codebook().question("vote"), WORDS, opinion_codebook(), template=ss.PromptTemplate(scoring="text"))
    assert prompts.answers[0] == (" Yes\n", " No\n")


def test_every_field_of_a_template_is_filled() -> None:
    template = ss.PromptTemplate("{title}|{country}|{year}|{question}|{options}", "{{{background}}}", "{label}/{letter}", "letters")
    prompts = question_prompts(opinion_codebook().question("vote"), WORDS, opinion_codebook(), template=template)
    assert prompts.openings[0] == "A made-up survey|Nowhere|2020|What do you say about vote?|Yes/A\nNo/B"
    assert prompts.respondents == ("{a woman}", "{a man}")


def test_a_template_shows_a_whole_prompt() -> None:
    book = opinion_codebook()
    prompts = question_prompts(book.question("taxes"), WORDS, book)
    assert ss.PromptTemplate().prompt(book.question("taxes"), "a man", book) == prompts.openings[0] + prompts.respondents[1]
    short = ss.PromptTemplate("{question} {options}", " {background}:")
    assert short.prompt(book.question("vote"), "a woman", book) == "What do you say about vote? A. Yes\nB. No a woman:"


def test_braces_in_a_question_stay_as_they_are() -> None:
    question = Question("q", "Do you like {this}?", (Option(1, "{Yes}"), Option(2, "No")))
    opening = question_prompts(question, WORDS, opinion_codebook()).openings[0]
    assert "Do you like {this}?" in opening
    assert "A. {Yes}" in opening


def test_a_country_is_named_in_the_shared_opening() -> None:
    question = Question("q", "How is [country] run?", (Option(1, "Well"), Option(2, "Badly")))
    assert "How is Nowhere run?" in question_prompts(question, WORDS, opinion_codebook()).openings[0]


def test_a_template_gives_itself_back() -> None:
    template = ss.PromptTemplate(opening="{question}\n{options}\n", scoring="text", listing="reversed", traits=("gender",))
    assert json.loads(json.dumps(template.to_dict())) == template.to_dict()
    assert ss.PromptTemplate(**template.to_dict()) == template


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scoring": "leters"}, "scoring 'leters' is unknown; did you mean 'letters'"),
        ({"scoring": None}, "scoring None is unknown"),
        ({"opening": "{title}\n{options}"}, "opening must hold the field {question}; it is '{title}"),
        ({"respondent": "Answer:"}, "respondent must hold the field {background}"),
        ({"option": "{letter}"}, "option must hold the field {label}"),
        ({"opening": "{question} {wave}"}, "opening holds {wave}; its fields are {question}, {title}, {country}, {year}, {options}"),
        ({"respondent": "{background} {0}"}, "respondent holds {0}; its fields are {background}"),
        ({"opening": "{question}\0"}, "opening holds '{question}\\x00'; no file takes NUL or half a character"),
        ({"traits": "age\ud800"}, "traits holds 'age\\ud800'; no file takes NUL or half a character"),
        ({"opening": "{question} {"}, "opening '{question} {' has a single brace"),
    ],
)
def test_a_template_that_cannot_work_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(PromptError) as caught:
        ss.PromptTemplate(**arguments)
    assert message in str(caught.value)


def test_more_options_than_letters() -> None:
    question = _question(tuple(f"Choice {number}" for number in range(27)))
    with pytest.raises(PromptError, match=r"question 'agree' has 27 options, and letters end at 26; use a template with scoring=\"text\""):
        question_prompts(question, WORDS, opinion_codebook())
    with pytest.raises(PromptError, match=r'option="{label}"'):
        question_prompts(question, WORDS, opinion_codebook(), template=ss.PromptTemplate(scoring="text"))
    remedy = ss.PromptTemplate(scoring="text", option="{label}")
    prompts = question_prompts(question, WORDS, opinion_codebook(), template=remedy)
    assert len(prompts.answers[0]) == 27
    assert "\nChoice 26\n" in prompts.openings[0]


def test_segments_are_tokenised_one_by_one() -> None:
    prompts = question_prompts(_question(AGREE), WORDS, opinion_codebook())
    tokenizer = tiny_tokenizer()
    tokens = tokenise(prompts, tokenizer, scoring="letters")
    assert tokenizer.decode(tokens.opening) == prompts.openings[0]
    assert tuple(tokenizer.decode(suffix) for suffix in tokens.suffixes) == prompts.respondents
    assert [tokenizer.decode([edge]) for edge in tokens.trie.edges] == [" A", " B", " C"]


def test_a_letter_of_several_tokens_names_the_question_and_the_remedy() -> None:
    prompts = question_prompts(_question(AGREE), WORDS, opinion_codebook())
    with pytest.raises(PromptError) as caught:
        tokenise(prompts, tiny_tokenizer(letters="AB"), scoring="letters")
    assert "question 'agree': answer letter ' C' is not a single token" in str(caught.value)
    assert 'scoring="text"' in str(caught.value)


def test_an_option_that_begins_with_another_is_told_apart_by_its_end() -> None:
    prompts = question_prompts(_question(AGREE), WORDS, opinion_codebook(), template=ss.PromptTemplate(scoring="text"))
    tokenizer = tiny_tokenizer()
    trie = tokenise(prompts, tokenizer, scoring="text").trie
    chosen = [[tokenizer.decode([trie.edges[step]]) for step in steps] for steps in trie.steps]
    assert chosen == [[" A", "\n"], [" A", " "], [" D"]]


@pytest.mark.parametrize("answers", [[(1, 2), (1, 2)], [(1,), (1, 2)]])
def test_options_that_are_the_same_tokens_cannot_be_told_apart(answers: list) -> None:
    with pytest.raises(PromptError, match="two options are the same tokens, or one begins with the other"):
        option_trie(answers)


def test_a_prompt_longer_than_the_model_reads_is_refused() -> None:
    backbone = Backbone(SimpleNamespace(config=SimpleNamespace(max_position_embeddings=60)), tiny_tokenizer(), "short", "digest")
    tokens = tokenise(question_prompts(_question(AGREE), WORDS, opinion_codebook()), backbone.tokenizer, scoring="letters")
    longest = len(tokens.opening) + max(len(suffix) for suffix in tokens.suffixes)
    with pytest.raises(PromptError, match=rf"question 'agree': its longest prompt has {longest} tokens, and 'short' reads 60; shorten"):
        require_room(tokens, backbone)
    backbone.model.config.max_position_embeddings = longest
    require_room(tokens, backbone)


@pytest.mark.parametrize("begins", [True, False])
def test_a_prompt_begins_as_the_tokenizer_begins_a_text(begins: bool) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<start>"})
    if begins:
        template = processors.TemplateProcessing(single="<start> $A", special_tokens=[("<start>", tokenizer.bos_token_id)])
        tokenizer.backend_tokenizer.post_processor = template
    tokens = tokenise(question_prompts(_question(AGREE), WORDS, opinion_codebook()), tokenizer, scoring="letters")
    assert (tokens.opening[0] == tokenizer.bos_token_id) == begins
    assert tokenizer.bos_token_id not in (*tokens.opening[1:], *tokens.suffixes[0], *tokens.trie.edges)


COUNTRIES = {"country=Norway|gender=female": "a woman in Norway", "country=Netherlands": "a person in the Netherlands"}


def test_each_background_is_asked_about_its_own_country_in_text_and_options() -> None:
    codebook = book()
    prompts = question_prompts(codebook.question("good"), {**COUNTRIES, "gender=male": "a man", "all": "anybody"}, codebook)
    names = ("Norway", "the Netherlands", "your country", "your country")
    assert prompts.openings == tuple(f"made. Question: Is {name} a good place to live in?\nA. Yes, {name} is\nB. No\n" for name in names)
    assert prompts.respondents[0] == "Respondent: a woman in Norway.\nAnswer:"
    one = ss.PromptTemplate().prompt(codebook.question("good"), "a woman in Norway", codebook, levels={"country": "Norway"})
    assert one == prompts.openings[0] + prompts.respondents[0]
    assert "Is your country a good place" in ss.PromptTemplate().prompt(codebook.question("good"), "a woman", codebook)


def test_answers_in_the_options_own_words_name_the_country_too() -> None:
    prompts = question_prompts(book().question("good"), COUNTRIES, book(), template=ss.PromptTemplate(scoring="text"))
    assert prompts.answers == ((" Yes, Norway is\n", " No\n"), (" Yes, the Netherlands is\n", " No\n"))
    assert "Is Norway a good place to live in?\nA. Yes, Norway is\nB. No" in prompts.openings[0]
    tokens = tokenise(prompts, tiny_tokenizer(), scoring="text")
    assert [len(branch.choices) for branch in tokens.trie.branches] == [2], "Yes or No: one trie for all countries"


def test_options_that_only_the_country_tells_apart_say_your_country() -> None:
    labels = ((1, "[country]'s people"), (2, "[country]'s neighbours"))
    question = replace(book().question("good"), options=tuple(Option(*pair) for pair in labels), translations={})
    prompts = question_prompts(question, COUNTRIES, book(), template=ss.PromptTemplate(scoring="text"))
    assert set(prompts.answers) == {(" your country's people\n", " your country's neighbours\n")}
    assert "Is Norway a good place to live in?\nA. your country's people\n" in prompts.openings[0]


def test_options_told_apart_by_other_tokens_in_another_country_are_refused() -> None:
    prompts = QuestionPrompts("good", ("?", "?"), ("a", "b"), ((" Yes\n", " No\n"), (" Good\n", " No\n")))
    with pytest.raises(
        PromptError, match="question 'good': this model's tokenizer tells its options apart by other tokens in another coun"
    ):
        tokenise(prompts, tiny_tokenizer(), scoring="text")


def test_a_country_that_is_no_level_is_refused() -> None:
    with pytest.raises(CodebookError, match="trait 'country' has no level 'Norge'; did you mean 'Norway'"):
        question_prompts(book().question("good"), {"country=Norge": "a person"}, book())


@pytest.mark.parametrize("template", [ss.PromptTemplate(), ss.PromptTemplate(opening="{question}\n{options}\n")])
def test_openings_of_several_countries_share_what_is_equal(template: ss.PromptTemplate) -> None:
    tokenizer = tiny_tokenizer()
    prompts = question_prompts(book().question("good"), COUNTRIES, book(), template=template)
    tokens = tokenise(prompts, tokenizer, scoring="letters")
    beginning = template.opening.split("{question}")[0].format(title="made") + "Is"  # the space belongs to the token " N"
    assert tokenizer.decode(tokens.opening) == beginning
    whole = [tokenizer.decode(tokens.opening + suffix) for suffix in tokens.suffixes]
    assert whole == [opening + respondent for opening, respondent in zip(prompts.openings, prompts.respondents, strict=True)]
    alone = question_prompts(book().question("good"), {"country=Norway": "a person in Norway"}, book(), template=template)
    assert tokenizer.decode(tokenise(alone, tokenizer, scoring="letters").opening) == alone.openings[0]


def test_no_chat_template_is_used_so_that_a_model_that_can_think_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen3 thinks where a chat template opens an assistant's turn; a prompt of ours is plain text, and its answer the next token."""
    tokenizer, model = tiny_tokenizer(), tiny_model("qwen3 tied")
    tokenizer.chat_template = "{{ '<think>' }}"
    monkeypatch.setattr(type(tokenizer), "apply_chat_template", lambda *_, **__: pytest.fail("a chat template is used"))
    backbone = Backbone(model, tokenizer, "qwen3", "digest")
    question = ss.OptionModel(backbone).tokenise(opinion_codebook(), ["taxes"], WORDS)["taxes"]
    prompts = [tokenizer.decode(question.opening + suffix) for suffix in question.suffixes]
    book = opinion_codebook()
    assert prompts == [ss.PromptTemplate().prompt(book.question("taxes"), words, book) for words in WORDS.values()]
    assert [branch.path for branch in question.trie.branches] == [()], "the answer is read right after the prompt"
