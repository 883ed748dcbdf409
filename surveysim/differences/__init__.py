"""Whether a difference is real: tests of independence, fit, means and ranks, and contrasts; estimates alone stand in estimation."""
