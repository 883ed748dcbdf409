"""Tiny random language models with a byte-level tokenizer, made on the spot: every architecture, no download."""

from __future__ import annotations

import copy
from pathlib import Path
from string import ascii_uppercase

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

SIZE = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZE, tie_word_embeddings=True),
    "qwen3 tied": Qwen3Config(**SIZE, head_dim=16, tie_word_embeddings=True),
    "qwen3 untied": Qwen3Config(**SIZE, head_dim=16, tie_word_embeddings=False),
    "mistral": MistralConfig(**SIZE, sliding_window=None, tie_word_embeddings=False),
    "gemma3": Gemma3TextConfig(
        **SIZE, head_dim=16, sliding_window=16, layer_types=["sliding_attention", "sliding_attention", "full_attention"]
    ),
}
# a window narrower than the prompt, in every layer, or in the last layer too
WINDOWED = {
    "mistral, window": MistralConfig(**SIZE, sliding_window=7, tie_word_embeddings=False),
    "gemma3, window last": Gemma3TextConfig(
        **SIZE, head_dim=16, sliding_window=7, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    ),
    "gpt2": GPT2Config(vocab_size=320, n_embd=64, n_layer=3, n_head=4, n_positions=512),
    "phi": PhiConfig(**SIZE),
}


def tiny_model(architecture: str = "llama", seed: int = 0) -> torch.nn.Module:
    """Return a random float32 model, with weights large enough that prompts differ visibly."""
    torch.manual_seed(seed)
    config = copy.deepcopy({**CONFIGS, **WINDOWED}[architecture])  # a test may change it
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0 if "embed" not in name else 8.0)
    return model


def tiny_tokenizer(letters: str = ascii_uppercase) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer in which an answer letter with its space is one token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merged = [f"\u0120{letter}" for letter in letters]
    vocabulary = {token: index for index, token in enumerate([*alphabet, *merged])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("\u0120", letter) for letter in letters]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def save_tiny_model(folder: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """Save a tiny model and its tokenizer as `save_pretrained` does."""
    tiny_model(architecture, seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
