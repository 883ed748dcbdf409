"""What an alignment takes on a machine that one does not have yet: memory, disk and time, by arithmetic from the model's sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from surveysim.errors import ModelError, first_few

BYTES = 2  # of a number in bfloat16: weights and stored states
TRAINED_BYTES = 16  # of a trained weight in float32: itself, its gradient, Adam's two moments
FORWARD, TRAINED = 2, 6  # operations a weight and token: multiply and add; three times as many with the way back
BACKGROUNDS_AT_ONCE = 96  # distinct prompts in the trunk at once: the masks of a tree grow with the square of its tokens


@dataclass(frozen=True)
class ModelSize:
    """Sizes of a decoder with gated layers and grouped attention, such as Llama, Qwen, Mistral or SmolLM.

    Attributes
    ----------
    hidden, layers, heads, key_heads, head, inner, vocabulary : int
        Width of the residual stream; layers; attention heads, and those of keys and values; width of a head; width inside the
        gated part; tokens in the vocabulary.
    tied : bool
        Whether the head is the embedding.
    head_norms : bool
        Whether queries and keys have norms of their own.
    """

    hidden: int
    layers: int
    heads: int
    key_heads: int
    head: int
    inner: int
    vocabulary: int
    tied: bool
    head_norms: bool = False

    @property
    def attention(self) -> int:
        """Weights of a layer's attention."""
        return 2 * self.hidden * self.head * (self.heads + self.key_heads) + (2 * self.head if self.head_norms else 0)

    @property
    def layer(self) -> int:
        """Weights of a layer: attention, the gated part, two norms."""
        return self.attention + 3 * self.hidden * self.inner + 2 * self.hidden

    @property
    def parameters(self) -> int:
        """Weights of the model."""
        return self.layers * self.layer + (1 if self.tied else 2) * self.vocabulary * self.hidden + self.hidden


# config.json of Qwen/Qwen3-4B and Qwen/Qwen3-32B (Qwen3 Technical Report, arXiv:2505.09388, table 1), and of HuggingFaceTB/SmolLM2-135M
QWEN3_4B = ModelSize(2560, 36, 32, 8, 128, 9728, 151_936, tied=True, head_norms=True)
QWEN3_32B = ModelSize(5120, 64, 64, 8, 128, 25_600, 151_936, tied=False, head_norms=True)
SMOLLM2_135M = ModelSize(576, 30, 9, 3, 64, 1536, 49_152, tied=True)
MODEL_SIZES = {"Qwen3-4B": QWEN3_4B, "Qwen3-32B": QWEN3_32B, "SmolLM2-135M": SMOLLM2_135M}
"""Sizes of models by name, for `memory_and_time` before anything is downloaded; `model_size` reads those of any other.

References
----------
Yang et al. (2025), Qwen3 Technical Report, arXiv:2505.09388, table 1.

Examples
--------
>>> import surveysim as ss
>>> f"{ss.MODEL_SIZES['Qwen3-4B'].parameters / 1e9:.1f} billion parameters"
'4.0 billion parameters'
"""


def model_size(config: Any) -> ModelSize:
    """Return the sizes that a transformers configuration states, for `memory_and_time`.

    Parameters
    ----------
    config : transformers configuration
        As transformers' ``AutoConfig.from_pretrained`` gives it, or with the numbers of a model's ``config.json``.

    Returns
    -------
    ModelSize
        `parameters` is the number of weights.

    Raises
    ------
    ModelError
        If it lacks one of them: a model of another build.

    References
    ----------
    Kaplan et al. (2020), Scaling laws for neural language models, arXiv:2001.08361 (parameters of a transformer, counted by part).

    Examples
    --------
    >>> import surveysim as ss
    >>> model = ss.load_model(device="cpu")
    >>> ss.model_size(model.backbone.model.config).parameters
    134515008
    """
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size")
    absent = [name for name in names if getattr(config, name, None) is None]
    if absent:
        raise ModelError(f"configuration {type(config).__name__} lacks {first_few(absent)}; give a ModelSize in its place")
    hidden, layers, heads, key_heads, inner, vocabulary = (int(getattr(config, name)) for name in names)
    head = getattr(config, "head_dim", None) or hidden // heads
    norms = getattr(config, "model_type", "").startswith("qwen3")
    return ModelSize(hidden, layers, heads, key_heads, int(head), inner, vocabulary, bool(config.tie_word_embeddings), norms)


@dataclass(frozen=True)
class Cost:
    """What some prompts take: bytes, distinct tokens, seconds.

    Attributes
    ----------
    weights, training, at_work, features : int
        Bytes of memory: all weights; the last layer while it trains; keys, values and the widest activations of a batch of prompts,
        of which a CPU has up to eight at work, of some thousand tokens each; what an alignment keeps of all prompts, a float32 vector each.
    cache : int
        Bytes on the disk: what enters the last layer, for every distinct token.
    prompt : float
        Bytes of `cache` a prompt.
    tokens : int
        Distinct tokens: those that run.
    trunk, epoch : float
        Seconds of the trunk's one pass, and of an epoch of the last layer.
    """

    weights: int
    training: int
    at_work: int
    features: int
    cache: int
    prompt: float
    tokens: int
    trunk: float
    epoch: float

    @property
    def memory(self) -> int:
        """Bytes on the device at the most."""
        return self.weights + self.training + self.at_work + self.features


def prompts_cost(
    size: ModelSize,
    *,
    questions: int,
    backgrounds: int,
    opening_tokens: int,
    background_tokens: float,
    operations: float,
    precise_operations: float | None = None,
    bytes_a_weight: float = BYTES,
) -> Cost:
    """Return what an alignment or simulation of `questions` x `backgrounds` prompts takes.

    Time is operations over a rate. The trunk multiplies and adds every weight of its layers once for each distinct token, and every
    query with the keys that it sees. An epoch takes keys and values of all tokens and the rest of the last layer at the answers alone,
    forward and back. Embeddings are looked up, and of the head only the answers' rows are used: neither takes time to speak of.

    Parameters
    ----------
    size : ModelSize
    questions, backgrounds : int
    opening_tokens : int
        Tokens of a question before the respondent is described, mean.
    background_tokens : float
        Tokens that a prompt adds to those it shares with others, mean.
    operations : float
        Operations a second that the trunk attains in bfloat16: the device's peak times the part of it that is reached.
    precise_operations : float, optional
        The same for float32, in which the last layer trains; default half of `operations`.
    bytes_a_weight : float
        2 for bfloat16, 1 for 8 bits, 0.5 for 4 bits.

    Returns
    -------
    Cost

    Raises
    ------
    ModelError
        If a number is not positive.

    References
    ----------
    Kaplan et al. (2020), Scaling laws for neural language models, arXiv:2001.08361 (two floating-point operations a parameter and token).

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.lm.base.costs import prompts_cost
    >>> prompts = {"questions": 20, "backgrounds": 50, "opening_tokens": 80, "background_tokens": 12}
    >>> cost = prompts_cost(ss.MODEL_SIZES["Qwen3-4B"], **prompts, operations=66e12)
    >>> f"{cost.weights / 1e9:.1f} GB of weights, {cost.cache / 1e6:.0f} MB of cache, {cost.trunk:.1f} s for {cost.tokens:,} tokens"
    '8.0 GB of weights, 70 MB of cache, 1.5 s for 13,600 tokens'
    """
    given = (questions, backgrounds, opening_tokens, background_tokens, operations, bytes_a_weight)
    if min(given) <= 0:
        raise ModelError(f"questions, backgrounds, tokens, operations and bytes must be positive; got {given}")
    prompts = questions * backgrounds
    tokens = round(questions * opening_tokens + prompts * background_tokens)
    seen = opening_tokens + background_tokens  # keys of a query, about; scores are a small part of the whole
    scores = FORWARD * 2 * size.heads * size.head * seen  # queries with keys, weights with values
    trunk = (size.layers - 1) * tokens * (FORWARD * size.layer + scores)
    epoch = TRAINED * (size.attention * tokens + size.layer * prompts)
    batch = opening_tokens + min(BACKGROUNDS_AT_ONCE, backgrounds) * background_tokens
    kept = 2 * size.layers * size.key_heads * size.head  # a token's keys and values
    trained = size.layer + size.hidden
    cache = BYTES * size.hidden * tokens
    return Cost(
        weights=round(size.parameters * bytes_a_weight),
        training=TRAINED_BYTES * trained,
        at_work=round(BYTES * batch * (kept + 2 * size.inner + 4 * size.hidden)),
        features=4 * size.hidden * prompts,
        cache=cache,
        prompt=cache / prompts,
        tokens=tokens,
        trunk=trunk / operations,
        epoch=epoch / (operations / 2 if precise_operations is None else precise_operations),
    )
