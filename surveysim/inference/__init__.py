"""Survey and simulation together: cross-fitting, composite, prediction-powered, conformal, abstention; scores are of evaluation."""
