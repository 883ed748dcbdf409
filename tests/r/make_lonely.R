# Reference numbers for strata with a single PSU in domains, with and without a calibration; and for raking to margins that go together.
# Run in this folder: Rscript make_lonely.R (packages survey, jsonlite). It writes r_lonely.json.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
d <- data.frame(s = rep(1:3, c(60, 50, 10)), p = c((0:59) %/% 15, 10 + (0:49) %/% 10, rep(99, 10)), d = rep(2:1, 60),
                q = rep(c(1, 0, 1, 1, 0, 0, 1), length.out = 120), w = rep(c(1, 2, 1.5), 40))
d$d[d$s == 3] <- 2
free <- svydesign(~p, strata = ~s, weights = ~w, data = d, nest = TRUE)
designs <- list(free = free, calibrated = calibrate(free, ~factor(s), c(`(Intercept)` = 180, `factor(s)2` = 75, `factor(s)3` = 15)))
ref <- list()
for (how in c("remove", "adjust", "average", "certainty")) {
  options(survey.lonely.psu = how)
  ref[[how]] <- lapply(designs, function(x) c(as.vector(SE(svymean(~q, x))), as.vector(SE(svyby(~q, ~d, x, svymean)))))
}
e <- data.frame(a = rep(1:3, 40), y = rep(c(1, 0, 0, 1, 1, 0, 1), length.out = 120), w = rep(c(1, 2, 1.5, 0.5), 30))
e$b <- ifelse(seq_len(120) %% 5 == 0, rep(c(3, 1, 2, 2), 30), e$a)
base <- svydesign(~1, weights = ~w, data = e)
rows <- data.frame(a = 1:3, Freq = c(90, 30, 30)); columns <- data.frame(b = 1:3, Freq = c(45, 75, 30))
raked <- rake(base, list(~a, ~b), list(rows, columns), control = list(maxit = 500, epsilon = 1e-13))
calibrated <- calibrate(base, ~factor(a) + factor(b), c(150, 30, 30, 75, 30), calfun = "raking", epsilon = 1e-13, maxit = 500)
ref$raking <- list(rake = as.vector(SE(svymean(~y, raked))), calibrate = as.vector(SE(svymean(~y, calibrated))))
write_json(ref, "r_lonely.json", digits = 12, pretty = TRUE)
