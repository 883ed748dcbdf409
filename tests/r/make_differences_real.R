# Tests of difference on real files: Rscript make_differences_real.R <path of ESS9NO.sav> <path of GSS.sav>. The data come from the ESS data portal
# and from NORC, and are no part of this project. Packages survey, haven and jsonlite. It writes r_differences_real.json.
source_lines <- readLines("make_differences.R"); from <- grep("^number <-", source_lines); to <- grep("^contrasts_of <-", source_lines) - 1
suppressPackageStartupMessages({library(survey); library(haven); library(jsonlite)})
eval(parse(text = source_lines[from:to]))  # chisq_of, gof_of, one_of, t_of, weighted_ties: as there
read <- function(path) as.data.frame(zap_labels(zap_missing(read_sav(path))))
all_of <- function(d, q, sex, p, low) {
  d$q_ <- d[[q]]; d$sex_ <- factor(d[[sex]], levels = 2:1)  # female first
  design <- svydesign(id = ~psu_, strata = ~stratum_, weights = ~w_, nest = TRUE, data = d)
  asked <- subset(design, q_ %in% seq_along(p)); young <- subset(asked, age_ >= low & age_ < 35)
  both <- function(x) list(estimate = number(coef(x)), se = number(SE(x)))
  list(n = nrow(asked), chisq = chisq_of(~q_ + sex_, asked), chisq_young = chisq_of(~q_ + sex_, young), gof = gof_of(~factor(q_), p, asked), t_one = one_of(I(q_ - 2) ~ 0, asked, 2),
    t_two = t_of(svyttest(q_ ~ sex_, asked)), t_young = t_of(svyttest(q_ ~ sex_, young)), rank = lapply(rank_names, function(k) t_of(two_ranks(q_ ~ sex_, asked, test = k), FALSE)),
    contrast = { b <- svyby(~q_, ~sex_, asked, svymean, covmat = TRUE); v <- coef(b); both(svycontrast(b, setNames(c(-1, 1), names(v)))) })
}
ess <- read(commandArgs(TRUE)[1]); ess$psu_ <- ess$psu; ess$stratum_ <- ess$stratum; ess$w_ <- ess$pspwght; ess$age_ <- ifelse(is.na(ess$agea), 999, ess$agea)
gss <- read(commandArgs(TRUE)[2]); names(gss) <- tolower(names(gss))
gss$psu_ <- gss$vpsu; gss$stratum_ <- gss$vstrat; gss$w_ <- gss$wtssall; gss$age_ <- ifelse(is.na(gss$age), 999, gss$age)
options(survey.lonely.psu = "adjust")
ref <- list(ess9no = all_of(ess, "gincdif", "gndr", c(.2, .3, .2, .2, .1), 15))
options(survey.lonely.psu = "fail")
ref$gss2016 <- all_of(gss, "conpress", "sex", c(.2, .4, .4), 18)
write_json(ref, "r_differences_real.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
