"""The language model, in the order prompts, base, trunk, fit, then the modules here: wording, one reading, what is trained, answers."""
