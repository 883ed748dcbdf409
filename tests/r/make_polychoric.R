# Polychoric correlations of tables of counts by two-step maximum likelihood, R package polycor: polychoric.csv.
library(polycor)
cuts <- list(c(-0.5, 0.4, 1.2), c(0.2), c(-1, -0.3, 0.3, 1))
rows <- list()
for (rho in c(-0.8, -0.3, 0, 0.5, 0.9)) for (first in 1:3) for (second in 1:3) if (first < second) {
  at <- function(limits, k) c(-Inf, limits, Inf)[k]
  a <- cuts[[first]]; b <- cuts[[second]]
  cell <- function(i, j) mvtnorm::pmvnorm(c(at(a, i), at(b, j)), c(at(a, i + 1), at(b, j + 1)), corr = matrix(c(1, rho, rho, 1), 2))
  counts <- outer(seq_len(length(a) + 1), seq_len(length(b) + 1), Vectorize(function(i, j) round(2000 * cell(i, j))))
  rows[[length(rows) + 1]] <- data.frame(
    first = nrow(counts), second = ncol(counts), counts = paste(t(counts), collapse = " "), rho = polychor(counts, ML = FALSE)
  )
}
write.csv(do.call(rbind, rows), "polychoric.csv", row.names = FALSE)
