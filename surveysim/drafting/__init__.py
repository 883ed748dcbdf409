"""A labelled file without a codebook becomes a first one: which variables are questions, traits and weights, guessed and said so."""
