"""The verbs that simulate: simulate, simulate_to_parquet, prompt_sensitivity; methods stand in baselines and lm."""
