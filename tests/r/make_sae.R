# Fay-Herriot estimates of R's package sae (version 1.3), which is on CRAN and not in Debian: install.packages("sae").
# Data: expenditure on fresh milk in 43 areas, Arora and Lahiri (1997), You and Chapman (2006), shipped with sae.
library(sae)
library(jsonlite)

data(milk)
milk$vardir <- milk$SD^2
write.csv(milk[, c("SmallArea", "ni", "yi", "SD", "CV", "MajorArea")], "inputs/milk.csv", row.names = FALSE, quote = FALSE)

out <- list()
for (method in c("REML", "FH")) {
  fitted <- mseFH(yi ~ as.factor(MajorArea), vardir, method = method, PRECISION = 1e-13, MAXITER = 1000, data = milk)
  fit <- fitted$est$fit
  out[[method]] <- list(
    refvar = fit$refvar, beta = fit$estcoef$beta, std.error = fit$estcoef$std.error,
    eblup = as.numeric(fitted$est$eblup), mse = fitted$mse
  )
}
writeLines(toJSON(out, digits = NA, pretty = TRUE, auto_unbox = TRUE), "r_sae_milk.json")
