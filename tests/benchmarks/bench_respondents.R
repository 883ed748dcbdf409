# synthpop's CART on the respondents of a CSV file: Rscript bench_respondents.R sample.csv rows.csv n seed
suppressMessages(library(synthpop))
given <- commandArgs(trailingOnly = TRUE)
sample <- read.csv(given[1], na.strings = "")
traits <- startsWith(names(sample), "t")
sample[traits] <- lapply(sample[traits], factor)
made <- syn(sample, method = "cart", k = as.integer(given[3]), seed = as.integer(given[4]), print.flag = FALSE)
write.csv(made$syn, given[2], row.names = FALSE, na = "")
