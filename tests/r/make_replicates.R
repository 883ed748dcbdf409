# Replicates that are raked or calibrated one by one, as withReplicates has it; degrees of freedom of replicate weights in domains; contrasts
# where a stratum has a single PSU, and in domains of calibrated weights. Run in this folder: Rscript make_replicates.R (packages survey,
# MASS, jsonlite). It writes r_replicates.json.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
set.seed(20261123); data(api)
number <- function(x) unname(as.numeric(x))
both <- function(x) list(estimate = number(coef(x)), se = number(SE(x)))
clus <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1); strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat)
types <- data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018)); wide <- data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))
total <- c(`(Intercept)` = 6194, stypeH = 755, stypeM = 1018, api99 = 3914069)
ref <- list(meta = list(R = R.version.string, survey = as.character(packageVersion("survey"))))
tight <- list(maxit = 100, epsilon = 1e-10, verbose = FALSE)
# each replicate adjusted on its own: a weight vector in, a mean out
of_raked <- function(w, d) { d$w <- w + 0; used <- d[w > 0, ]
  r <- rake(svydesign(id = ~1, weights = ~w, data = used), list(~stype, ~sch.wide), list(types, wide), control = tight)
  weighted.mean(used$api00, weights(r)) }
of_calibrated <- function(w, d) { x <- model.matrix(~stype + api99, d); g <- 1 + x %*% solve(crossprod(x, w * x), total - colSums(w * x)); sum(w * g * d$api00) / sum(w * g) }
jk1 <- as.svrepdesign(clus, type = "JK1"); jkn <- as.svrepdesign(strat, type = "JKn")
columns <- weights(jk1, "analysis")
sdr <- svrepdesign(data = apiclus1, weights = ~pw, repweights = columns, combined.weights = TRUE, type = "ACS", mse = TRUE)
fay <- svrepdesign(data = apiclus1, weights = ~pw, repweights = columns, combined.weights = TRUE, type = "Fay", rho = .5, mse = TRUE)
ref$recomputed <- list(
  raked_JK1 = both(withReplicates(jk1, of_raked)), raked_JKn = both(withReplicates(jkn, of_raked)),
  raked_SDR = both(withReplicates(sdr, of_raked)), raked_Fay = both(withReplicates(fay, of_raked)),
  calibrated_JK1 = both(withReplicates(jk1, of_calibrated)), calibrated_JKn = both(withReplicates(jkn, of_calibrated)))
# degrees of freedom: of all, and of a domain
df_of <- function(d) list(all = degf(d), E = degf(subset(d, stype == "E")), improved = degf(subset(d, comp.imp == "No")))
ref$df <- list(JK1 = df_of(jk1), JKn = df_of(jkn))
# a stratum with a single PSU, and every group in it or not
lonely <- apistrat[c(which(apistrat$stype == "E"), which(apistrat$stype == "H"), which(apistrat$stype == "M")[1]), ]
ref$lonely <- lapply(setNames(nm = c("remove", "adjust", "average", "certainty")), function(o) {
  options(survey.lonely.psu = o); d <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = lonely)
  by_wide <- svyby(~api00, ~sch.wide, d, svymean, covmat = TRUE); by_type <- svyby(~api00, ~stype, subset(d, stype != "M"), svymean, covmat = TRUE)
  list(wide = both(svycontrast(by_wide, c(Yes = 1, No = -1))), wide_ratio = both(svycontrast(by_wide, quote(Yes / No))),
    E_H = both(svycontrast(by_type, c(E = 1, H = -1))), covariance = number(vcov(by_wide)))
})
options(survey.lonely.psu = "fail")
# domains of calibrated weights: svyby(covmat = TRUE) stops there, so contrasts are made of totals
calibrated <- list(calibrate_linear_stype_api99 = calibrate(svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc), ~stype + api99, total),
  postStratify_dclus1_stype = postStratify(svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc), ~stype, types),
  rake_dclus1_stype_schwide = rake(svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc), list(~stype, ~sch.wide), list(types, wide), control = list(maxit = 50, epsilon = 1e-10)))
in_domain <- function(d) {
  d <- update(d, e = stype == "E" & comp.imp == "Yes", m = stype == "M" & comp.imp == "Yes", ye = api00 * (stype == "E") * (comp.imp == "Yes"), ym = api00 * (stype == "M") * (comp.imp == "Yes"))
  totals <- svytotal(~ye + ym + as.numeric(e) + as.numeric(m), d)
  attr(totals, "names") <- c("ye", "ym", "e", "m"); dimnames(attr(totals, "var")) <- list(names(totals), names(totals))
  list(E_M = both(svycontrast(totals, quote(ye / e - ym / m))), ratio = both(svycontrast(totals, quote((ye / e) / (ym / m)))))
}
ref$calibrated <- lapply(calibrated, in_domain)
# how many bootstrap replicates: Beaumont and Patak's rule, as svrep has it of one statistic
boot <- as.svrepdesign(clus, type = "subbootstrap", replicates = 100); known <- weights(boot, "analysis")
means <- apply(known, 2, function(w) weighted.mean(apiclus1$api00, w)); squared <- (means - mean(means))^2; cv <- sd(squared) / mean(squared)
ref$bootstrap <- list(weights = known[!duplicated(apiclus1$dnum), ] / apiclus1$pw[1], simulation_cv = cv / sqrt(100), needed = ceiling((cv / c(.01, .05, .1))^2))
writeLines(toJSON(ref, auto_unbox = TRUE, digits = 15, pretty = FALSE), "r_replicates.json")
