# Reference numbers of tests of difference and of contrasts with covariance: svychisq, svygofchisq, svyttest, svyranktest,
# svyby(covmat=TRUE) with svycontrast. Run in this folder: Rscript make_differences.R (packages survey, MASS, jsonlite; haven for the
# survey that ships). It writes r_differences.json.
#
# svyranktest (4.1.1) gives tied values the plain mean of their ranks, which depends on the order of the rows where weights differ:
# `rank_in_r` is what it prints, `rank` what it prints with the mean weighted. It also prints the Kruskal-Wallis statistic as its
# degrees of freedom and has none for replicate weights.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
set.seed(20261123)  # the bootstrap's random numbers are those of make_reference.R: tests/support/r_random.py draws them
data(api); data(nhanes)
banded <- function(x) { x$band <- cut(x$api99, c(0, 600, 700, 1000)); x }
apistrat <- banded(apistrat); apiclus1 <- banded(apiclus1); apiclus2 <- banded(apiclus2)
number <- function(x) unname(as.numeric(x))
f_of <- function(t) list(statistic = number(t$statistic), df = number(t$parameter), p = number(t$p.value))
weighted_ties <- function(f) {
  text <- deparse(f, width.cutoff = 500)
  plain <- "ave(cumsum(w[ii]) - w[ii]/2, factor(y[ii]))"
  stopifnot(any(grepl(plain, text, fixed = TRUE)))
  weighted <- "ave(w[ii] * (cumsum(w[ii]) - w[ii]/2), factor(y[ii]), FUN = sum)/ave(w[ii], factor(y[ii]), FUN = sum)"
  made <- eval(parse(text = gsub(plain, weighted, text, fixed = TRUE)))
  environment(made) <- asNamespace("survey"); made
}
two_ranks <- weighted_ties(survey:::svyranktest.survey.design); many_ranks <- weighted_ties(survey:::multiranktest)
rank_names <- c(wilcoxon = "wilcoxon", vander_waerden = "vanderWaerden", median = "median")
t_of <- function(t, interval = TRUE) c(list(statistic = number(t$statistic), df = number(t$parameter), p = number(t$p.value), estimate = number(t$estimate),
  se = number(t$estimate / t$statistic)), if (interval) list(conf = number(t$conf.int)))
one_of <- function(f, d, null) { t <- svyttest(f, d); r <- t_of(t); r$estimate <- r$estimate + null; r$conf <- r$conf + null; r }
chisq_of <- function(f, d, statistics = c("F", "Chisq", "Wald", "adjWald"), of = f_of) {
  r <- lapply(setNames(nm = statistics), function(s) of(svychisq(f, d, statistic = s)))
  if ("Chisq" %in% statistics) {  # Pearson's X2 over the mean design effect; R prints X2 and its p value
    x <- r$Chisq; r$Chisq <- list(statistic = qchisq(x$p, x$df, lower.tail = FALSE), df = x$df, p = x$p)
    n <- sum(svytable(f, d, Ntotal = nrow(d))); shape <- dim(svytable(f, d)); r$cramers_v <- sqrt(x$statistic / n / (min(shape) - 1))
  }
  r
}
gof_of <- function(f, p, d) {
  t <- svygofchisq(f, p = p, d)
  list(x2 = number(t$statistic), scale = number(t$parameter["scale"]), df = number(t$parameter["df"]), p = number(t$p.value))
}
ranks_of <- function(two, many, d) list(
  two = lapply(rank_names, function(k) t_of(two_ranks(two, d, test = k), FALSE)),
  many = if (inherits(d, "svyrep.design")) NULL else lapply(c(kruskal = "KruskalWallis", vander_waerden = "vanderWaerden"), function(k) {
    t <- many_ranks(many, d, test = k); ndf <- number(t$statistic); list(statistic = number(t$parameter) / ndf, df = c(ndf, number(t$ddf)), p = number(t$p.value)) }))
contrasts_of <- function(d) {
  means <- svyby(~api00, ~stype, d, svymean, covmat = TRUE)
  shares <- svyby(~sch.wide, ~stype, d, svymean, covmat = TRUE)
  linear <- list(E_H = c(E = 1, H = -1), E_rest = c(E = 1, H = -.5, M = -.5))
  curved <- list(ratio = quote(E / H), log = quote(log(M) - log(E)))
  both <- function(x) list(estimate = number(coef(x)), se = number(SE(x)))
  list(linear = lapply(linear, function(k) both(svycontrast(means, k))), nonlinear = lapply(curved, function(k) both(svycontrast(means, k))),
    share_yes = both(svycontrast(shares, c(`E:sch.wideYes` = 1, `H:sch.wideYes` = -1))), covariance = number(vcov(means)),
    share_covariance = number(vcov(shares)))
}
contrasts_of_totals <- function(d) {  # svyby(covmat = TRUE) stops with an error on a calibrated design: the same contrasts from totals
  d <- update(d, e = stype == "E", h = stype == "H", m = stype == "M", ye = api00 * (stype == "E"), yh = api00 * (stype == "H"), ym = api00 * (stype == "M"))
  totals <- svytotal(~ye + yh + ym + as.numeric(e) + as.numeric(h) + as.numeric(m), d)
  attr(totals, "names") <- c("ye", "yh", "ym", "e", "h", "m"); dimnames(attr(totals, "var")) <- list(names(totals), names(totals))
  both <- function(x) { s <- svycontrast(totals, x); list(estimate = number(coef(s)), se = number(SE(s))) }
  list(linear = list(E_H = both(quote(ye / e - yh / h)), E_rest = both(quote(ye / e - yh / h / 2 - ym / m / 2))),
    nonlinear = list(ratio = both(quote((ye / e) / (yh / h))), log = both(quote(log(ym / m) - log(ye / e)))))
}
all_of <- function(d) {
  elementary <- subset(d, stype == "E")
  list(
    chisq = chisq_of(~sch.wide + stype, d), chisq_E = chisq_of(~sch.wide + comp.imp, elementary),
    gof = gof_of(~band, c(.4, .3, .3), d), gof_E = gof_of(~comp.imp, c(.3, .7), elementary),
    t_one = one_of(I(api00 - 650) ~ 0, d, 650), t_two = t_of(svyttest(api00 ~ comp.imp, d)), t_two_E = t_of(svyttest(api00 ~ comp.imp, elementary)),
    rank = ranks_of(api00 ~ comp.imp, api00 ~ stype, d), rank_E = lapply(rank_names, function(k) t_of(two_ranks(api00 ~ comp.imp, elementary, test = k), FALSE)),
    contrasts = contrasts_of(d))
}
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat, fpc = ~fpc)
strat_free <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = apistrat)
clus <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1, fpc = ~fpc)
clus_free <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1)
two_stage <- svydesign(id = ~dnum + snum, fpc = ~fpc1 + fpc2, data = apiclus2)
boot <- as.svrepdesign(clus_free, type = "subbootstrap", replicates = 500); boot_strat <- as.svrepdesign(strat_free, type = "subbootstrap", replicates = 500)
types <- data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018)); wide <- data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))
total <- c(`(Intercept)` = 6194, stypeH = 755, stypeM = 1018, api99 = 3914069)
designs <- list(apistrat_fpc = strat, apistrat_nofpc = strat_free, apiclus1_fpc = clus, apiclus1_nofpc = clus_free, apiclus2_2stage_fpc = two_stage,
  JK1_dclus1_fpc = as.svrepdesign(clus), JK1_dclus1_nofpc = as.svrepdesign(clus_free, type = "JK1"), JKn_dstrat_nofpc = as.svrepdesign(strat_free, type = "JKn"),
  JKn_dstrat_fpc = as.svrepdesign(strat, type = "JKn"), subbootstrap500_dclus1_nofpc = boot, subbootstrap500_dstrat_nofpc = boot_strat)
columns <- weights(designs$JK1_dclus1_nofpc, "analysis")  # as if a release had brought them: what counts is how their spread becomes a variance
released <- function(...) svrepdesign(data = apiclus1, weights = ~pw, repweights = columns, combined.weights = TRUE, ...)
designs <- c(designs, list(SDR_given = released(type = "successive-difference"), SDR_mse_given = released(type = "ACS", mse = TRUE), JK2_given = suppressWarnings(released(type = "JK2")),
  Fay_mse_given = released(type = "Fay", rho = .5, mse = TRUE),
  other_mse_given = released(type = "other", scale = .04, rscales = seq(.5, 1.5, length.out = ncol(columns)), mse = TRUE)))
ref <- list(meta = list(R = R.version.string, survey = as.character(packageVersion("survey"))), designs = lapply(designs, all_of))
# calibrated weights: what the calibration fixes has no variance, so other variables are tested
calibrated <- list(calibrate_linear_stype_api99 = calibrate(clus, ~stype + api99, total),
  postStratify_dclus1_stype = postStratify(clus, ~stype, types),
  rake_dclus1_stype_schwide = rake(clus, list(~stype, ~sch.wide), list(types, wide), control = list(maxit = 50, epsilon = 1e-10)))
ref$calibrated <- lapply(calibrated, function(d) list(chisq = chisq_of(~comp.imp + awards, d), gof = gof_of(~comp.imp, c(.3, .7), d),
  t_two = t_of(svyttest(api00 ~ comp.imp, d)), rank = ranks_of(api00 ~ comp.imp, api00 ~ stype, d), contrasts = contrasts_of_totals(d)))
# strata with a single PSU
lonely <- apistrat[c(which(apistrat$stype == "E"), which(apistrat$stype == "H"), which(apistrat$stype == "M")[1]), ]
ref$lonely <- lapply(setNames(nm = c("remove", "adjust", "average", "certainty")), function(o) {
  options(survey.lonely.psu = o); d <- svydesign(id = ~1, strata = ~stype, weights = ~pw, data = lonely)
  list(chisq = chisq_of(~sch.wide + comp.imp, d), gof = gof_of(~comp.imp, c(.3, .7), d), t_one = one_of(I(api00 - 650) ~ 0, d, 650), t_two = t_of(svyttest(api00 ~ comp.imp, d)),
    rank = lapply(rank_names, function(k) t_of(two_ranks(api00 ~ comp.imp, d, test = k), FALSE)))
})
options(survey.lonely.psu = "fail")
# NHANES: strata, PSUs, missing values; its balanced half samples from Sylvester's Hadamard matrix, as ours
known <- subset(svydesign(id = ~SDMVPSU, strata = ~SDMVSTRA, weights = ~WTMEC2YR, nest = TRUE, data = nhanes), !is.na(HI_CHOL))
signs <- matrix(1); while (nrow(signs) <= length(unique(nhanes$SDMVSTRA))) signs <- rbind(cbind(signs, signs), cbind(signs, -signs))
column <- match(nhanes$SDMVSTRA, sort(unique(nhanes$SDMVSTRA))) + 1
paired <- nhanes$SDMVPSU <= 2  # one stratum has three PSUs
half <- ifelse(nhanes$SDMVPSU == 1, 1, -1) * t(signs[, column])
halves <- function(rho, type) subset(svrepdesign(data = nhanes[paired, ], weights = ~WTMEC2YR, repweights = 1 + (1 - rho) * half[paired, ], combined.weights = FALSE, type = type,
  rho = if (type == "Fay") rho), !is.na(HI_CHOL))
of_nhanes <- function(d) {
  old <- subset(d, agecat == "(59,Inf]")
  list(chisq = chisq_of(~HI_CHOL + race, d), chisq_old = chisq_of(~HI_CHOL + RIAGENDR, old), gof = gof_of(~factor(race), c(.1, .7, .1, .1), d),
    t_two = t_of(svyttest(HI_CHOL ~ I(RIAGENDR - 1), d)), t_two_old = t_of(svyttest(HI_CHOL ~ I(RIAGENDR - 1), old)),
    rank = lapply(rank_names[1:2], function(k) t_of(two_ranks(HI_CHOL ~ I(RIAGENDR - 1), d, test = k), FALSE)))
}
ref$nhanes <- lapply(list(linearised = known, BRR = halves(0, "BRR"), Fay = halves(.3, "Fay")), of_nhanes)
# the survey that ships: four options, unequal weights
library(haven)
d <- as.data.frame(zap_labels(read_sav("../../surveysim/data/nonvoters2020.sav")))
d$sex <- factor(d$gender, levels = 1:2, labels = c("female", "male"))
d$young <- cut(d$ppage, c(17, 34, 54, 120), labels = c("18-34", "35-54", "55+"))
design <- svydesign(ids = ~1, weights = ~weight, data = d)
asked <- subset(design, !is.na(Q8_8))
asked_age <- function(a) subset(asked, young == a)
ref$nonvoters <- list(
  chisq = chisq_of(~Q8_8 + sex, asked), chisq_by = lapply(setNames(nm = levels(d$young)), function(a) chisq_of(~Q8_8 + sex, asked_age(a))),
  chisq_questions = chisq_of(~Q8_8 + Q8_9, subset(asked, !is.na(Q8_9))),
  gof = gof_of(~factor(Q8_8), c(.4, .3, .2, .1), asked), t_one = one_of(I(Q8_8 - 2) ~ 0, asked, 2), t_two = t_of(svyttest(Q8_8 ~ sex, asked)),
  t_by = lapply(setNames(nm = levels(d$young)), function(a) t_of(svyttest(Q8_8 ~ sex, asked_age(a)))),
  rank = ranks_of(Q8_8 ~ sex, Q8_8 ~ young, asked),
  rank_in_r = lapply(list(as_filed = asked, by_weight = subset(svydesign(ids = ~1, weights = ~weight, data = d[order(d$weight), ]), !is.na(Q8_8))),
    function(x) t_of(svyranktest(Q8_8 ~ sex, x), FALSE)),
  adjusted = { p <- sapply(levels(d$young), function(a) svyttest(Q8_8 ~ sex, asked_age(a))$p.value); p <- c(unname(p), .04, .011); list(p = p, holm = p.adjust(p, "holm"), bh = p.adjust(p, "BH"), bonferroni = p.adjust(p, "bonferroni")) })
# pooled waves: odd and even schools as two waves, of the same districts, and of different ones
waved <- function(x) { x$wave <- rep(c("first", "second"), length.out = nrow(x)); x$w <- x$pw * as.numeric(table(x$wave)[x$wave]) / ave(x$pw, x$wave, FUN = sum); x }
change <- function(d) { b <- svyby(~api00, ~wave, d, svymean, covmat = TRUE); s <- svycontrast(b, c(second = 1, first = -1))
  list(means = list(estimate = number(coef(b)), se = number(SE(b))), change = list(estimate = number(coef(s)), se = number(SE(s))), all = list(estimate = number(coef(svymean(~api00, d))),
    se = number(SE(svymean(~api00, d)))), t = t_of(svyttest(api00 ~ wave, d))) }
ref$waves <- list(shared_psu = change(svydesign(id = ~dnum, weights = ~w, data = waved(apiclus1))),
  nothing_shared = change(svydesign(id = ~dnum, strata = ~wave, weights = ~w, data = waved(apiclus1), nest = TRUE)),
  strata = change(svydesign(id = ~1, strata = ~interaction(wave, stype), weights = ~w, data = waved(apistrat))))
# defaults that differ: what docs/coming-from-r.md says of R
d$school <- factor(d$educ, levels = 1:3, labels = c("high school or less", "some college", "college")); d$w <- d$weight / sum(d$weight)
raked <- rake(svydesign(ids = ~1, weights = ~w, data = d), list(~sex, ~school), list(data.frame(sex = c("female", "male"), Freq = c(.3, .7)),
  data.frame(school = levels(d$school), Freq = c(.6, .2, .2))))
error_of <- function(job) { message <- tryCatch({ job(); "" }, error = conditionMessage); message }
linear <- calibrated$calibrate_linear_stype_api99
uncovered <- svyby(~api00, ~stype, clus, svymean)
ref$defaults <- list(
  rake = list(female = number(svymean(~sex, raked))[1], epsilon = eval(formals(rake)$control)$epsilon),
  interval_of_a_mean = number(confint(svymean(~api00, clus))), gof_of_strata = f_of(suppressWarnings(svygofchisq(~stype, p = c(.7, .15, .15), strat_free)))$p,
  contrast_without_covmat = number(SE(svycontrast(uncovered, c(E = 1, H = -1)))), covmat_of_calibrated = error_of(function() svyby(~api00, ~stype, linear, svymean, covmat = TRUE)),
  many_ranks_of_replicates = error_of(function() svyranktest(api00 ~ stype, designs$JK1_dclus1_fpc, test = "KruskalWallis")))
write_json(ref, "r_differences.json", digits = NA, auto_unbox = TRUE, pretty = TRUE, null = "null")
