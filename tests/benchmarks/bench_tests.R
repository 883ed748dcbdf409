# The tests of bench_tests.py in R, each by the three levels of age. Rscript bench_tests.R <csv>; prints a name and seconds a line.
suppressPackageStartupMessages(library(survey))
data <- read.csv(commandArgs(TRUE)[1])
data$women <- as.integer(data$gender == 1)
design <- subset(svydesign(id = ~psu, strata = ~stratum, weights = ~weight, nest = TRUE, data = data), !is.na(q0))
ages <- lapply(0:2, function(a) subset(design, age == a))
timed <- function(name, job) { start <- proc.time()[["elapsed"]]; found <- job(); cat(name, proc.time()[["elapsed"]] - start, format(found, digits = 12), "\n") }
timed("survey_chisq", function() svychisq(~q0 + women, design)$statistic)
timed("survey_chisq_by", function() sum(sapply(ages, function(d) svychisq(~q0 + women, d)$statistic)))
timed("survey_gof", function() { t <- svygofchisq(~factor(q0), p = rep(1 / 11, 11), design); t$statistic / t$parameter["scale"] })
timed("survey_ttest", function() svyttest(q0 ~ women, design)$statistic)
timed("survey_ttest_by", function() sum(sapply(ages, function(d) svyttest(q0 ~ women, d)$statistic)))
timed("survey_ranktest", function() svyranktest(q0 ~ women, design)$statistic)
timed("survey_contrast", function() SE(svycontrast(svyby(~q0, ~country, design, svymean, covmat = TRUE), c(`0` = 1, `1` = -1))))
