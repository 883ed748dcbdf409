# Differences between weights of the same respondents: each respondent stands twice in a stacked data set, once with each weight, in the
# same PSU and stratum, and svycontrast takes the difference. For a calibrated weight the influences are computed here, the calibration's
# residuals by lm.wfit. Run in this folder: Rscript make_weights.R (packages survey and jsonlite). It writes r_weights.json.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
data(api)
number <- function(x) { x <- unname(as.numeric(x)); ifelse(abs(x) < 1e-6, 0, x) }  # rounding: weights in proportion within a stratum
stacked <- function(d, a, b, unit, layer, y) {
  n <- nrow(d)
  both <- data.frame(y = rep(d[[y]], 2), copy = rep(c("a", "b"), each = n), w = c(a, b), unit = rep(unit, 2), layer = rep(layer, 2), kind = rep(d$stype, 2))
  design <- svydesign(id = ~unit, strata = ~layer, weights = ~w, data = both)
  difference <- function(x) {
    means <- svyby(~y, ~copy, x, svymean, covmat = TRUE); s <- svycontrast(means, c(b = 1, a = -1))
    list(estimate = number(coef(means)), se = number(SE(means)), difference = number(coef(s)), difference_se = number(SE(s)))
  }
  list(all = difference(design), E = difference(subset(design, kind == "E")))
}
ref <- list(meta = list(R = R.version.string, survey = as.character(packageVersion("survey"))))
equal <- function(d) rep(1, nrow(d)); other <- function(d) d$pw * (1 + (d$api99 > 600))
ref$clusters_api00 <- stacked(apiclus1, equal(apiclus1), other(apiclus1), apiclus1$dnum, rep(1, nrow(apiclus1)), "api00")
ref$strata_api00 <- stacked(apistrat, equal(apistrat), apistrat$pw, seq_len(nrow(apistrat)), apistrat$stype, "api00")
ref$strata_wide <- { d <- apistrat; d$wide <- as.numeric(d$sch.wide == "Yes"); stacked(d, equal(d), d$pw, seq_len(nrow(d)), d$stype, "wide") }
# a calibrated weight against the one before
plain <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1)
total <- c(`(Intercept)` = 6194, stypeH = 755, stypeM = 1018)
adjusted <- calibrate(plain, ~stype, total)
of_weight <- function(w) w * (apiclus1$api00 - weighted.mean(apiclus1$api00, w)) / sum(w)
base <- weights(plain); after <- weights(adjusted); z <- of_weight(after)
residual <- after * resid(lm.wfit(model.matrix(~stype, apiclus1), z / after, base))
spread <- function(x) number(sqrt(svyrecvar(as.matrix(x), plain$cluster, plain$strata, plain$fpc)))
stopifnot(isTRUE(all.equal(spread(residual), number(SE(svymean(~api00, adjusted))), tolerance = 1e-8)))
ref$calibrated_api00 <- list(all = list(estimate = number(c(coef(svymean(~api00, plain)), coef(svymean(~api00, adjusted)))),
  se = number(c(SE(svymean(~api00, plain)), SE(svymean(~api00, adjusted)))),
  difference = number(coef(svymean(~api00, adjusted)) - coef(svymean(~api00, plain))), difference_se = spread(residual - of_weight(base))))
writeLines(toJSON(ref, auto_unbox = TRUE, digits = 15, pretty = TRUE), "r_weights.json")
