"""Estimates against a truth: metrics, scores, noise floor, held-out respondents, comparison of methods, official figures."""
