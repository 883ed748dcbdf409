"""From a survey to tables: shares, means, weighting, margins, populations, post-stratification; simulated shares are made elsewhere."""
