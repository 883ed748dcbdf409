"""One pass through the layers that stay as they are, shared between prompts, and kept; the trained part stands in fit."""
