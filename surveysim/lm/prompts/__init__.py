"""A question and a background in words; nothing here loads torch."""
