# What R's survey package makes of the survey that ships: the numbers beside ours in notebooks/03_weights_and_design.ipynb.
# Run in this folder: Rscript make_nonvoters.R (packages survey, haven, jsonlite). It writes r_nonvoters2020.json.
suppressPackageStartupMessages({library(survey); library(haven); library(jsonlite)})
d <- as.data.frame(zap_labels(read_sav("../../surveysim/data/nonvoters2020.sav")))  # declared missing codes become NA
d$sex <- factor(d$gender, levels = 1:2, labels = c("female", "male"))
d$school <- factor(d$educ, levels = 1:3, labels = c("high school or less", "some college", "college"))
design <- svydesign(ids = ~1, weights = ~weight, data = d)
both <- function(x) list(estimate = as.list(coef(x)), se = as.list(setNames(as.numeric(SE(x)), names(coef(x)))))
group <- function(by, value) { names(value$estimate) <- names(value$se) <- levels(by); value }

mean_all <- svymean(~Q8_8, design, na.rm = TRUE, deff = "replace")
mean_by <- svyby(~Q8_8, ~sex, design, svymean, na.rm = TRUE)
shares <- svymean(~factor(Q8_8), design, na.rm = TRUE)
a_lot <- svyciprop(~I(Q8_8 == 1), subset(design, !is.na(Q8_8)), method = "logit")
women <- svyciprop(~I(Q8_8 == 1), subset(design, !is.na(Q8_8) & sex == "female"), method = "logit")
ratio <- svyratio(~Q8_8, ~Q8_9, subset(design, !is.na(Q8_8) & !is.na(Q8_9)))
margins <- list(data.frame(sex = c("female", "male"), Freq = c(0.52, 0.48) * nrow(d)),
                data.frame(school = levels(d$school), Freq = c(0.38, 0.29, 0.33) * nrow(d)))
by_rake <- rake(design, list(~sex, ~school), margins, control = list(maxit = 100, epsilon = 1e-10))
total <- sum(d$weight)  # the same weights with residuals from a weighted regression; rake() takes unweighted means of residuals
raked <- calibrate(design, ~sex + school, calfun = "raking", epsilon = 1e-12, maxit = 100,
                   c(`(Intercept)` = total, sexmale = 0.48 * total, `schoolsome college` = 0.29 * total, schoolcollege = 0.33 * total))
d$age6 <- cut(d$ppage, c(17, 24, 34, 44, 54, 64, 120))  # as if age groups had been drawn within strata of education: only to
clusters <- svydesign(ids = ~age6, strata = ~school, nest = TRUE, weights = ~weight, data = d)  # show a design with clusters
jackknife <- as.svrepdesign(clusters, type = "JKn")

numbers <- list(
  mean = c(both(mean_all), list(deff = unname(deff(mean_all)))),
  mean_by_gender = group(d$sex, both(mean_by)),
  shares = { s <- both(shares); names(s$estimate) <- names(s$se) <- 1:4; s },
  share_a_lot = list(estimate = as.numeric(a_lot), conf = unname(as.vector(confint(a_lot)))),
  share_a_lot_women = list(estimate = as.numeric(women), conf = unname(as.vector(confint(women)))),
  ratio = list(estimate = unname(coef(ratio)), se = as.numeric(SE(ratio))),
  raked_mean = both(svymean(~Q8_8, raked, na.rm = TRUE)),
  raked_mean_by_rake = both(svymean(~Q8_8, by_rake, na.rm = TRUE)),
  clustered_mean = c(both(svymean(~Q8_8, clusters, na.rm = TRUE)), list(df = degf(clusters))),
  jackknife_mean = both(svymean(~Q8_8, jackknife, na.rm = TRUE)),
  kish_n_eff = sum(d$weight)^2 / sum(d$weight^2),
  versions = list(R = R.version.string, survey = as.character(packageVersion("survey"))))
write_json(numbers, "r_nonvoters2020.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
