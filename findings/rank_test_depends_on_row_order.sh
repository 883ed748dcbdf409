#!/usr/bin/env bash
# R survey 4.1-1: svyranktest gives another statistic and p value when the rows of the same data are sorted otherwise, where answers are tied
# and weights are unequal. Guess from memory: a rank test gives tied answers their mean rank, so the order of rows cannot matter.
# Seen (statistic, p): rows as they are 2.2539 0.0408; reversed 2.2579 0.0404; by weight 2.2648 0.0399; by weight, falling 2.2345 0.0423.
# With equal weights both orders agree (1.2910, 0.2176). Answers on short scales are nearly all tied, so every survey item is concerned.
# Needs R (Debian: r-base-core with r-cran-matrix and r-cran-survival); the package itself is unpacked into a temporary folder.
set -euo pipefail
command -v Rscript >/dev/null || { echo "Rscript is not installed: apt-get install r-base-core r-cran-matrix r-cran-survival"; exit 2; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
apt-get download -qq r-cran-survey=4.1-1-1 r-cran-mitools r-cran-dbi r-cran-minqa r-cran-numderiv r-cran-rcpp >/dev/null
for package in *.deb; do dpkg -x "$package" unpacked; done
cat > ranks.R <<'R'
suppressMessages(library(survey))
stopifnot(packageVersion("survey") == "4.1.1")
d <- data.frame(
  y = c(1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 1, 2, 3, 3, 2, 1), g = rep(c("a", "b"), each = 8),
  w = c(1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1)
)
said <- function(rows) {
  test <- svyranktest(y ~ g, svydesign(~1, weights = ~w, data = d[rows, ]))
  sprintf("%.4f %.4f", test$statistic, test$p.value)
}
unequal <- vapply(list(1:16, 16:1, order(d$w), order(-d$w)), said, "")
d$w <- 1
equal <- vapply(list(1:16, 16:1), said, "")
print(unequal); print(equal)
stopifnot(identical(unequal, c("2.2539 0.0408", "2.2579 0.0404", "2.2648 0.0399", "2.2345 0.0423")))
stopifnot(identical(equal, c("1.2910 0.2176", "1.2910 0.2176")))
R
R_LIBS="$place/unpacked/usr/lib/R/site-library" Rscript ranks.R
echo "as stated: svyranktest of survey 4.1-1 depends on the order of the rows where answers are tied and weights unequal"
