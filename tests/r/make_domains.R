# Further reference numbers: domains of calibrated and of replicate-weighted designs, intervals of a subset, one calibration on
# top of another. Run in this folder: Rscript make_domains.R (packages survey, MASS, jsonlite). It writes r_domains.json.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
data(api)
by <- function(f, d) { b <- svyby(f, ~stype, d, svymean); list(estimate = as.list(coef(b)), se = as.list(setNames(as.numeric(as.matrix(SE(b))), names(coef(b))))) }
est <- function(x) list(estimate = as.list(coef(x)), se = as.list(setNames(as.numeric(SE(x)), names(coef(x)))))
types <- data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018))
wide <- data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))
clus <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc)
free <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1)
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat, fpc = ~fpc)
tight <- list(maxit = 100, epsilon = 1e-12)
raked <- rake(clus, list(~stype, ~sch.wide), list(types, wide), control = tight)
total <- c(`(Intercept)` = 6194, stypeH = 755, stypeM = 1018, api99 = 3914069)
designs <- list(
  postStratify_wide = postStratify(clus, ~sch.wide, wide),
  rake = raked,
  calibrate_linear = calibrate(clus, ~stype + api99, total),
  calibrate_logit = calibrate(clus, ~stype + api99, total, calfun = "logit", bounds = c(0.5, 2), epsilon = 1e-12),
  calibrate_strat = calibrate(strat, ~api99, c(`(Intercept)` = 6194, api99 = 3914069)),
  JKn_strat = as.svrepdesign(strat, type = "JKn"),
  JK1_raked = rake(as.svrepdesign(free, type = "JK1"), list(~stype, ~sch.wide), list(types, wide), control = tight)
)
ref <- lapply(designs, function(d) list(api00 = by(~api00, d), schwide = by(~sch.wide, d), all = est(svymean(~api00, d)), total = est(svytotal(~enroll, d))))
ref$chain <- list(
  rake_then_calibrate = est(svymean(~api00, calibrate(raked, ~api99, c(`(Intercept)` = 6194, api99 = 3914069)))),
  calibrate_then_postStratify = est(svymean(~api00, postStratify(calibrate(clus, ~api99, c(`(Intercept)` = 6194, api99 = 3914069)), ~sch.wide, wide)))
)
interval <- function(d) { p <- svyciprop(~I(sch.wide == "Yes"), d, method = "logit"); list(df = degf(d), ci = unname(as.vector(confint(p)))) }
ref$interval <- lapply(setNames(nm = c("E", "H", "M")), function(s) list(clus = interval(subset(clus, stype == s)), strat = interval(subset(strat, stype == s)), raked = interval(subset(raked, stype == s))))
ref$df <- lapply(designs[c("JKn_strat", "JK1_raked")], degf)
write_json(ref, "r_domains.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
