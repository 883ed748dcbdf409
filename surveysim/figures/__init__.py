"""Figures, one file each, and how all of them look; no statistic is computed here."""
