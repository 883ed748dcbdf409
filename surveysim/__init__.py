"""surveysim: weighted survey response distributions, and language models aligned to simulate them.

Importing the package is light: a name's module, and what it needs (torch for the models, matplotlib for the figures), is
loaded when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import FunctionType
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "errors": ["SurveySimError"],
    "codebook.codebook": ["Codebook", "Question", "Option", "Trait"],
    "codebook.toml_file": ["load_codebook", "list_codebooks"],
    "codebook.ddi_writer": ["write_ddi"],
    "survey.survey": ["Survey"],
    "survey.reading": ["read_survey", "as_survey"],
    "survey.missing": ["na_table"],
    "survey.writers": ["write_survey", "write_table"],
    "drafting.first_codebook": ["draft_codebook"],
    "drafting.adding": ["add_question"],
    "survey.examples": ["load_example", "list_examples"],
    "codebook.backgrounds": ["background_grid", "split_background"],
    "lm.prompts.words": ["describe_background"],
    "survey.domains": ["observed_backgrounds"],
    "design.design": ["Design"],
    "estimation.distributions": ["background_shifts", "response_distributions"],
    "estimation.outside_tables": ["as_distributions"],
    "estimation.duplicates": ["check_duplicates"],
    "estimation.means": ["survey_mean", "survey_quantile", "survey_ratio", "survey_total"],
    "estimation.margins": ["population_margins"],
    "differences.tests_of_difference": ["survey_chisq", "survey_ranktest", "survey_ttest"],
    "differences.goodness_of_fit": ["survey_gof"],
    "differences.contrasts": ["survey_contrast"],
    "differences.weights_compared": ["compare_weights"],
    "estimation.design_files": ["add_design"],
    "estimation.pooled_waves": ["pool_waves"],
    "estimation.weighting": ["calibrate", "poststratify_weights", "rake", "trim_weights", "weight_summary"],
    "estimation.replicates": ["as_replicates", "replicates_needed", "with_replicates"],
    "estimation.population": ["joint_population", "list_populations", "read_population"],
    "estimation.poststratification": ["poststratify"],
    "tables.weighting_record": ["weights_applied"],
    "tables.facts": ["show"],
    "tables.stacking": ["stack"],
    "publishing.citation": ["cite"],
    "evaluation.official": ["list_official", "read_official"],
    "evaluation.official_comparison": ["compare_with_official"],
    "inference.cross_fitting": ["CrossFit", "cross_fit"],
    "inference.small_area": ["composite"],
    "inference.benchmarking": ["benchmark_to"],
    "inference.conformal": ["conformal_intervals"],
    "inference.abstention": ["abstain"],
    "inference.refitting": ["resampled_errors"],
    "inference.spread": ["restore_spread"],
    "inference.prediction_power": ["prediction_powered"],
    "publishing.audit": ["audit_disclosure"],
    "publishing.disclosure": ["protect"],
    "publishing.exports": ["export_table"],
    "publishing.poststratification_frame": ["export_poststratification"],
    "evaluation.metrics": ["METRICS"],
    "evaluation.splits": ["hold_out_backgrounds", "hold_out_levels", "hold_out_questions", "hold_out_respondents"],
    "baselines.methods": ["BASELINES", "estimate_baseline"],
    "evaluation.scores": ["evaluate"],
    "evaluation.floor": ["noise_floor"],
    "publishing.popfidelity": ["export_popfidelity", "population_fidelity"],
    "evaluation.summaries": ["data_saved", "diagnose", "summarise_scores"],
    "simulation.harmonised": ["harmonise"],
    "simulation.in_memory": ["simulate"],
    "synthesis.respondents": ["simulate_respondents"],
    "synthesis.combining": ["combine_syntheses"],
    "evaluation.coherence": ["coherence"],
    "simulation.sensitivity": ["prompt_sensitivity", "prompt_variants"],
    "simulation.to_parquet": ["simulate_to_parquet"],
    "tables.storage": ["read_table"],
    "evaluation.comparison": ["compare_methods"],
    "evaluation.choosing": ["choose_method"],
    "simulation.planning": ["SamplePlan", "plan_sample"],
    "evaluation.comparison_summary": ["paired_differences", "savings", "summarise_comparison"],
    "lm.prompts.template": ["PromptTemplate"],
    "lm.loading": ["load_model"],
    "lm.base.model_files": ["fetch_model"],
    "lm.base.costs": ["MODEL_SIZES", "model_size"],
    "lm.expected_cost": ["memory_and_time"],
    "lm.base.parallel": ["is_main"],
    "lm.option_model": ["OptionModel", "export_model"],
    "lm.hub": ["push_to_hub"],
    "lm.fit.stages": ["DSA", "StageConfig"],
    "lm.training": ["align"],
    "lm.fit.losses": ["LOSSES"],
    "publishing.report": ["report"],
    "figures.distributions": ["plot_distributions", "plot_shifts"],
    "figures.scores": ["plot_scores"],
    "figures.maps": ["plot_map"],
    "figures.changes": ["plot_change"],
    "figures.scorecard": ["scorecard"],
    "figures.savings": ["plot_data_saved"],
    "figures.weights": ["plot_weights"],
    "figures.official": ["plot_official"],
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
_DONE: set[str] = set()
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'surveysim' has no attribute {name!r}")
    if "wait" not in _DONE:  # once, and before torch is loaded
        _DONE.add("wait")
        import_module("surveysim.lm.base.waiting").wait_briefly()
    value = getattr(import_module(f"surveysim.{_HOME[name]}"), name)
    if isinstance(value, FunctionType):
        value = import_module("surveysim.calls").as_called(value)
    elif isinstance(value, type) and not issubclass(value, Exception):
        value = import_module("surveysim.calls").as_used(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
