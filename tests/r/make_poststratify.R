# Shares after post-stratification and raking, in all and in domains, of designs without clusters and strata, where the sum over
# cells has R's standard error exactly: r_poststratify.json. Raking starts from equal weights: R takes plain means of residuals, which
# are those weighted by the base weights only then. Data: inputs/apistrat.csv and apiclus1.csv, which make_reference.R writes.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
strat <- read.csv("inputs/apistrat.csv", stringsAsFactors = TRUE)
types <- data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018))
wide <- data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))
plain <- svydesign(id = ~1, weights = ~pw, data = strat)
equal <- svydesign(id = ~1, weights = ~rep(31, 200), data = strat)
est <- function(x) list(estimate = unname(coef(x)), se = unname(as.numeric(SE(x))))
domains <- function(design, by) {
  out <- svyby(~awards, by, design, svymean)
  list(estimate = lapply(split(as.matrix(coef(out)), names(coef(out))), unname), se = setNames(as.list(as.numeric(unlist(SE(out)))), names(coef(out))))
}
stratified <- postStratify(plain, ~stype, types)
joint <- postStratify(plain, ~stype + sch.wide, as.data.frame(xtabs(~stype + sch.wide, strat) * 31))
raked <- rake(equal, list(~stype, ~sch.wide), list(types, wide), control = list(maxit = 200, epsilon = 1e-12))
out <- list(
  meta = list(R = R.version.string, survey = as.character(packageVersion("survey"))),
  postStratify = c(est(svymean(~awards, stratified)), list(population = types)),
  postStratify_joint = c(est(svymean(~awards, joint)), list(by_wide = domains(joint, ~sch.wide), population = as.data.frame(xtabs(~stype + sch.wide, strat) * 31))),
  rake = c(est(svymean(~awards, raked)), list(by_type = domains(raked, ~stype), by_wide = domains(raked, ~sch.wide)))
)
writeLines(toJSON(out, digits = NA, pretty = TRUE, auto_unbox = TRUE), "r_poststratify.json")
