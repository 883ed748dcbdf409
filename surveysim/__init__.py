"""surveysim: weighted survey response distributions, and language models aligned to simulate them.

Importing the package is light: a name's module, and what it needs (torch for the models, matplotlib for the figures), is
loaded when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "errors": ["SurveySimError"],
    "codebook": ["Codebook", "Question", "Option", "Trait"],
    "codebook_file": ["load_codebook", "list_codebooks"],
    "survey": ["Survey", "read_survey", "as_survey"],
    "missing": ["na_table"],
    "writers": ["write_survey", "write_table"],
    "drafting": ["draft_codebook"],
    "datasets": ["load_example", "list_examples"],
    "backgrounds": ["background_grid", "observed_backgrounds", "describe_background"],
    "design": ["Design"],
    "distributions": ["background_shifts", "response_distributions"],
    "estimation": ["survey_mean", "survey_quantile", "survey_ratio", "survey_total"],
    "margins": ["population_margins"],
    "weighting": ["calibrate", "poststratify_weights", "rake", "trim_weights", "weight_summary"],
    "resampling": ["as_replicates", "with_replicates"],
    "population": ["joint_population", "list_populations", "read_population"],
    "poststratification": ["poststratify"],
    "weighting_record": ["weights_applied"],
    "table_view": ["show"],
    "citation": ["cite"],
    "official": ["list_official", "read_official"],
    "official_comparison": ["compare_with_official"],
    "cross_fitting": ["CrossFit", "cross_fit"],
    "small_area": ["composite"],
    "conformal": ["conformal_intervals"],
    "abstention": ["abstain"],
    "resampled": ["resampled_errors"],
    "spread": ["restore_spread"],
    "prediction_power": ["prediction_powered"],
    "disclosure": ["protect"],
    "exports": ["export_table"],
    "multilevel_export": ["export_poststratification"],
    "metrics": ["METRICS"],
    "splits": ["hold_out_backgrounds", "hold_out_levels", "hold_out_questions", "hold_out_respondents"],
    "baselines": ["BASELINES", "estimate_baseline"],
    "evaluation": ["evaluate"],
    "floor": ["noise_floor"],
    "fidelity": ["export_popfidelity", "population_fidelity"],
    "summaries": ["data_saved", "diagnose", "summarise_scores"],
    "simulation": ["simulate"],
    "sensitivity": ["prompt_sensitivity", "prompt_variants"],
    "simulation_file": ["simulate_to_parquet"],
    "table_files": ["read_table"],
    "comparison": ["compare_methods"],
    "comparison_summary": ["paired_differences", "savings", "summarise_comparison"],
    "prompts": ["PromptTemplate"],
    "lm.loading": ["load_model"],
    "lm.model_files": ["fetch_model"],
    "lm.scaling": ["memory_and_time", "model_size"],
    "lm.option_model": ["OptionModel", "export_model"],
    "lm.stages": ["DSA", "StageConfig"],
    "lm.training": ["align"],
    "lm.losses": ["LOSSES"],
    "methods_report": ["report"],
    "plotting": ["plot_distributions", "plot_shifts"],
    "score_figures": ["plot_scores"],
    "saving_figure": ["plot_data_saved"],
    "survey_figures": ["plot_official", "plot_weights"],
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'surveysim' has no attribute {name!r}")
    value = getattr(import_module(f"surveysim.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
