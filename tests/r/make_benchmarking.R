# Cells that add up to crossing totals: shares and means of 4 areas x 2 sexes, adjusted to totals of each area and each sex at once.
# Values by R's rake() on the cells' rows (raking, ratio) and by the equations of least squares (difference); variances J S J' with
# J by central differences of these. Run in this folder: Rscript make_benchmarking.R (packages survey, MASS, jsonlite); writes
# r_benchmarking.json.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
size <- c(.05, .10, .20, .15, .10, .10, .20, .10)  # cells in the order a|f, a|m, b|f, ...
area <- rep(1:4, each = 2); sex <- rep(1:2, 4)
member <- rbind(t(sapply(1:4, function(a) area == a)), t(sapply(1:2, function(s) sex == s))) * 1
whole <- drop(member %*% size); part <- member * rep(size, each = 6) / whole
shares <- matrix(c(.50, .42, .61, .33, .27, .55, .48, .38, .30, .28, .22, .40, .44, .25, .31, .33), 8); shares <- cbind(shares, 1 - rowSums(shares))
means <- c(4.1, 5.2, 3.9, 6.0, 5.5, 4.8, 5.1, 6.3); error <- c(.30, .25, .15, .20, .28, .31, .14, .22); spread <- .03
true_shares <- shares + outer(c(1, -1, 1, 1, -1, 1, -1, 1), c(.03, -.02, -.01)); true_means <- means + c(.2, -.1, .3, .1, -.2, .4, .1, .1)
share_totals <- part %*% true_shares; mean_totals <- drop(part %*% true_means)
share_error <- .02 * sqrt(share_totals * (1 - share_totals)); mean_error <- c(.11, .09, .12, .10, .06, .07)
raked <- function(x, b) {  # x: a row a cell and a column an option
  k <- ncol(x); d <- data.frame(cell = factor(rep(1:8, k)), area = rep(area, k), sex = rep(sex, k), option = rep(1:k, each = 8), w = c(x) * size)
  d$area <- interaction(d$area, d$option); d$sex <- interaction(d$sex, d$option)
  margin <- function(name, rows, values) { f <- expand.grid(one = seq_along(rows), option = 1:k)
    r <- data.frame(interaction(f$one, f$option), Freq = c(values[rows, ] * whole[rows])); names(r)[1] <- name; r }
  margins <- list(margin("area", 1:4, b), margin("sex", 5:6, b)); formulas <- list(~area, ~sex)
  if (k > 1) { margins <- c(margins, list(data.frame(cell = factor(1:8), Freq = size))); formulas <- c(formulas, ~cell) }
  matrix(weights(rake(svydesign(~1, weights = ~w, data = d), formulas, margins, control = list(maxit = 2000, epsilon = 1e-14))), 8) / size
}
shifted <- function(x, b) {
  within <- (member * rep(size, each = 6)) %*% t(member)
  x + t(member) %*% MASS::ginv(within) %*% ((b - part %*% x) * whole)
}
root <- function(s) { e <- eigen(s, symmetric = TRUE); e$vectors %*% (sqrt(pmax(e$values, 0)) * t(e$vectors)) }
multinomial <- function(p, s) { o <- sqrt(p / (1 - p)); r <- -o %o% o; diag(r) <- 1; r * (s %o% s) }
overlap <- (member * rep(size, each = 6)) %*% t(member) / sqrt(whole %o% whole)
lost <- MASS::Null((member * rep(size, each = 6)) %*% t(member))
agree <- diag(6) - lost %*% solve(t(lost) %*% (lost * whole)) %*% t(lost * whole)
along <- function(f, at, direction, h = 1e-5) c(f(at + h * direction) - f(at - h * direction)) / (2 * h)
errors_of <- function(f, x, cell_covariance, b, total_covariances) {
  k <- ncol(x); variance <- numeric(8 * k); both <- variance
  for (c in 1:8) { r <- root(cell_covariance(c)); for (j in 1:k) { d <- x * 0; d[c, ] <- r[, j]; variance <- variance + along(function(v) f(v, b), x, d)^2 } }
  s <- matrix(0, 6 * k, 6 * k); at <- function(t) (t - 1) * k + 1:k
  for (t in 1:6) for (u in 1:6) s[at(t), at(u)] <- overlap[t, u] * root(total_covariances(t)) %*% root(total_covariances(u))
  p <- kronecker(agree, diag(k)); r <- root(p %*% s %*% t(p))
  for (j in seq_len(6 * k)) { d <- matrix(r[, j], 6, k, byrow = TRUE); both <- both + along(function(v) f(x, v), b, d)^2 }
  list(values = c(t(f(x, b))), known = c(t(matrix(sqrt(variance), 8))), independent = c(t(matrix(sqrt(variance + both), 8))))
}
of_shares <- function(f) errors_of(f, shares, function(c) multinomial(shares[c, ], spread * sqrt(shares[c, ] * (1 - shares[c, ]))), share_totals,
  function(t) multinomial(share_totals[t, ], share_error[t, ]))
of_means <- function(f) errors_of(f, matrix(means), function(c) matrix(error[c]^2), matrix(mean_totals), function(t) matrix(mean_error[t]^2))
write_json(list(size = size, shares = shares, share_errors = spread * sqrt(shares * (1 - shares)), share_totals = share_totals, share_total_errors = share_error,
  means = means, mean_errors = error, mean_totals = mean_totals, mean_total_errors = mean_error,
  raking = of_shares(raked), difference = of_shares(shifted), ratio = of_means(raked), mean_difference = of_means(shifted)),
  "r_benchmarking.json", digits = 12, auto_unbox = TRUE, pretty = FALSE)
