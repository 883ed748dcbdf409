# The job of bench_design.py in R: svyby(~question, ~cell, svymean) for every question, strata and PSUs declared.
# Rscript bench_svyby.R <csv> <questions>; prints seconds, and the standard errors' sum as a check.
suppressPackageStartupMessages(library(survey))
arguments <- commandArgs(TRUE)
data <- read.csv(arguments[1])
questions <- paste0("q", seq_len(as.integer(arguments[2])) - 1)
for (q in questions) data[[q]] <- factor(data[[q]])
design <- svydesign(id = ~psu, strata = ~stratum, weights = ~weight, nest = TRUE, data = data)
start <- proc.time()[["elapsed"]]
total <- 0
for (q in questions) {
  result <- svyby(as.formula(paste0("~", q)), ~cell, design, svymean, na.rm = TRUE)
  total <- total + sum(SE(result))
}
cat(proc.time()[["elapsed"]] - start, format(total, digits = 12), "\n")
