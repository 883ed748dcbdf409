"""Weights, strata, PSUs and replicates: estimates and their variance on arrays; nothing here knows a question."""
