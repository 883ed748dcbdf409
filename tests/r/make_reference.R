# Reference numbers for tests/: what R's survey package makes of the data sets that it ships.
# Run in this folder: Rscript make_reference.R (packages survey, MASS, jsonlite), or "make r-reference" in the project.
# It writes r_reference.json and inputs/*.csv. The bootstrap's replicate weights are not stored (1 MB): tests/support/r_random.py
# draws the same ones from R's own random numbers.
suppressPackageStartupMessages({library(survey); library(jsonlite)})
set.seed(20261123)
out_dir <- "inputs"
data(api); data(nhanes); data(scd); data(election)
wr <- function(d,n){ write.csv(d, file.path(out_dir,n), row.names=FALSE, na="") }
wr(apistrat,"apistrat.csv"); wr(apiclus1,"apiclus1.csv"); wr(apiclus2,"apiclus2.csv"); 
wr(nhanes,"nhanes.csv"); wr(scd,"scd.csv")
est <- function(x) { list(estimate=as.list(coef(x)), se=as.list(setNames(as.numeric(SE(x)), names(coef(x))))) }
ci <- function(x, ...) { m <- confint(x, ...); lapply(setNames(seq_len(nrow(m)), rownames(m)), function(i) unname(m[i,])) }
ref <- list()
ref$meta <- list(R=R.version.string, survey=as.character(packageVersion("survey")), created=as.character(Sys.time()),
  note="Reference numbers from the R survey package (Lumley) on data shipped with it. Written for cross-checking a Python implementation.")
# --- designs
dstrat <- svydesign(id=~1, strata=~stype, weights=~pw, data=apistrat, fpc=~fpc)
dstrat_nofpc <- svydesign(id=~1, strata=~stype, weights=~pw, data=apistrat)
dclus1 <- svydesign(id=~dnum, weights=~pw, data=apiclus1, fpc=~fpc)
dclus1_nofpc <- svydesign(id=~dnum, weights=~pw, data=apiclus1)
dclus2 <- svydesign(id=~dnum+snum, fpc=~fpc1+fpc2, data=apiclus2)
dclus2w <- svydesign(id=~dnum+snum, weights=~pw, data=apiclus2)
dnh <- svydesign(id=~SDMVPSU, strata=~SDMVSTRA, weights=~WTMEC2YR, nest=TRUE, data=nhanes)
designs <- list(apistrat_fpc=dstrat, apistrat_nofpc=dstrat_nofpc, apiclus1_fpc=dclus1, apiclus1_nofpc=dclus1_nofpc, apiclus2_2stage_fpc=dclus2)
for (n in names(designs)) { d <- designs[[n]]
  r <- list()
  m <- svymean(~api00+api99+enroll, d, na.rm=TRUE, deff=TRUE)
  r$svymean <- c(est(m), list(deff=as.list(deff(m)), df=degf(d)))
  r$svymean_ci_normal <- ci(m)
  r$svymean_ci_t <- ci(m, df=degf(d))
  r$svytotal <- est(svytotal(~api00+api99, d)); r$svytotal_stype <- est(svytotal(~stype, d))
  r$svymean_stype <- est(svymean(~stype, d))
  r$svymean_schwide <- est(svymean(~sch.wide, d))
  r$svyratio <- { s <- svyratio(~api00, ~api99, d); list(estimate=unname(coef(s)), se=unname(SE(s))) }
  b <- svyby(~api00, ~stype, d, svymean); r$svyby_api00_stype <- list(estimate=as.list(coef(b)), se=as.list(setNames(SE(b), names(coef(b)))))
  b2 <- svyby(~sch.wide, ~stype, d, svymean)
  r$svyby_schwide_stype <- list(estimate=as.list(coef(b2)), se=as.list(setNames(unlist(SE(b2)), names(coef(b2)))))
  r$subset_stypeE_svymean <- est(svymean(~api00+api99, subset(d, stype=="E")))
  q <- svyquantile(~api00, d, c(.1,.25,.5,.75,.9), ci=TRUE)
  r$svyquantile_api00 <- list(table=lapply(split(as.data.frame(q$api00), rownames(q$api00)), as.list))
  for (qr in c("math","school","hf1","hf4","hf5","hf7","hf8")) r$svyquantile_api00_by_qrule[[qr]] <- as.list(setNames(unname(coef(svyquantile(~api00, d, c(.1,.25,.5,.75,.9), ci=FALSE, qrule=qr))), c("0.1","0.25","0.5","0.75","0.9")))
  r$svyvar_api00 <- { v <- svyvar(~api00, d); list(estimate=unname(coef(v))[1], se=unname(SE(v))[1]) }
  r$svyciprop_schwide_Yes <- lapply(c(logit="logit",likelihood="likelihood",beta="beta",xlogit="xlogit",mean="mean"), function(mm){ p <- try(svyciprop(~I(sch.wide=="Yes"), d, method=mm), silent=TRUE); if(inherits(p,"try-error")) NULL else list(p=unname(as.vector(p)), ci=unname(as.vector(confint(p)))) })
  t <- svychisq(~sch.wide+stype, d, statistic="F"); r$svychisq_schwide_stype_F <- list(statistic=unname(t$statistic), parameter=as.list(t$parameter), p=unname(t$p.value))
  t2 <- svychisq(~sch.wide+stype, d, statistic="Chisq"); r$svychisq_schwide_stype_RaoScott1 <- list(statistic=unname(t2$statistic), p=unname(t2$p.value))
  g <- svyglm(api00 ~ ell + meals + mobility, design=d); r$svyglm_gauss <- list(estimate=as.list(coef(g)), se=as.list(SE(g)))
  ref$designs[[n]] <- r
}
# --- calibration
pop.types <- data.frame(stype=c("E","H","M"), Freq=c(4421,755,1018))
pop.schwide <- data.frame(sch.wide=c("No","Yes"), Freq=c(1072,5122))
ps <- postStratify(dclus1, ~stype, pop.types)
ps_nofpc <- postStratify(dclus1_nofpc, ~stype, pop.types)
rk <- rake(dclus1, list(~stype,~sch.wide), list(pop.types,pop.schwide), control=list(maxit=50, epsilon=1e-10))
rk_nofpc <- rake(dclus1_nofpc, list(~stype,~sch.wide), list(pop.types,pop.schwide), control=list(maxit=50, epsilon=1e-10))
pop <- c(`(Intercept)`=6194, stypeH=755, stypeM=1018)
cl <- calibrate(dclus1, ~stype, pop)
pop2 <- c(`(Intercept)`=6194, stypeH=755, stypeM=1018, api99=3914069)
gl <- calibrate(dclus1, ~stype+api99, pop2)
gr <- calibrate(dclus1, ~stype+api99, pop2, calfun="raking")
gb <- calibrate(dclus1, ~stype+api99, pop2, calfun="logit", bounds=c(0.5,2))
tr <- trimWeights(rk, upper=45, lower=20, strict=TRUE)
cals <- list(postStratify_dclus1_stype=ps, postStratify_dclus1nofpc_stype=ps_nofpc, rake_dclus1_stype_schwide=rk, rake_dclus1nofpc_stype_schwide=rk_nofpc, calibrate_linear_stype=cl, calibrate_linear_stype_api99=gl, calibrate_raking_stype_api99=gr, calibrate_logit_bounds_stype_api99=gb, trimWeights_after_rake_20_45=tr)
for (n in names(cals)) { d <- cals[[n]]; w <- weights(d)
  ref$calibration[[n]] <- list(svymean=est(svymean(~api00+api99, d)), svytotal=est(svytotal(~enroll, d)), svytotal_stype=est(svytotal(~stype,d)), svymean_schwide=est(svymean(~sch.wide,d)),
    weights_summary=list(sum=sum(w),min=min(w),max=max(w),n=length(w),kish_deff=length(w)*sum(w^2)/sum(w)^2, kish_neff=sum(w)^2/sum(w^2)))
  wr(data.frame(cds=apiclus1$cds, weight=w), paste0("weights_",n,".csv"))
}
ref$calibration_targets <- list(pop.types=setNames(as.list(pop.types$Freq),pop.types$stype), pop.schwide=setNames(as.list(pop.schwide$Freq),pop.schwide$sch.wide), api99_total=3914069, N=6194)
# --- replicate weights
jk1 <- as.svrepdesign(dclus1); jk1n <- as.svrepdesign(dclus1_nofpc, type="JK1"); jkn <- as.svrepdesign(dstrat_nofpc, type="JKn"); jknf <- as.svrepdesign(dstrat, type="JKn")
bs <- as.svrepdesign(dclus1_nofpc, type="subbootstrap", replicates=500)
bsn <- as.svrepdesign(dstrat_nofpc, type="subbootstrap", replicates=500)
scddes <- svrepdesign(data=scd, type="BRR", repweights= 2*cbind(c(1,0,1,0,1,0), c(1,0,0,1,0,1), c(0,1,1,0,0,1), c(0,1,0,1,1,0)), combined.weights=FALSE)
for (x in list(list("JK1_dclus1_fpc",jk1),list("JK1_dclus1_nofpc",jk1n),list("JKn_dstrat_nofpc",jkn),list("JKn_dstrat_fpc",jknf),list("subbootstrap500_dclus1_nofpc",bs),list("subbootstrap500_dstrat_nofpc",bsn))) {
  ref$replicate[[x[[1]]]] <- list(svymean=est(svymean(~api00+api99,x[[2]])), svytotal=est(svytotal(~enroll,x[[2]],na.rm=TRUE)), median=est(svyquantile(~api00,x[[2]],.5)), nrep=ncol(weights(x[[2]],"analysis")), scale=x[[2]]$scale, rscales_head=head(x[[2]]$rscales,3))
}
ref$replicate$BRR_scd <- list(svyratio={s<-svyratio(~alive,~arrests,scddes); list(estimate=unname(coef(s)),se=unname(SE(s)))}, svytotal=est(suppressWarnings(svytotal(~alive+arrests,scddes))))
wr(data.frame(cds=apiclus1$cds, weights(jk1n,"analysis")),"repweights_JK1_dclus1_nofpc.csv")
rkjk <- rake(jk1n, list(~stype,~sch.wide), list(pop.types,pop.schwide), control=list(maxit=50,epsilon=1e-10))
psjk <- postStratify(jk1n, ~stype, pop.types)
ref$replicate$JK1_nofpc_then_rake <- list(svymean=est(svymean(~api00+api99,rkjk)), svytotal=est(svytotal(~enroll,rkjk)))
ref$replicate$JK1_nofpc_then_postStratify <- list(svymean=est(svymean(~api00+api99,psjk)), svytotal=est(svytotal(~enroll,psjk)))
# --- NHANES (strata + PSU + weights, missing values)
nm <- svymean(~HI_CHOL, dnh, na.rm=TRUE)
ref$nhanes <- list(design="id=SDMVPSU strata=SDMVSTRA weights=WTMEC2YR nest=TRUE", svymean_HI_CHOL=c(est(nm), list(df=degf(dnh))), svyby_HI_CHOL_race={b<-svyby(~HI_CHOL,~race,dnh,svymean,na.rm=TRUE); list(estimate=as.list(coef(b)),se=as.list(setNames(SE(b),names(coef(b)))))},
  svyby_HI_CHOL_agecat_sex={b<-svyby(~HI_CHOL,~agecat+RIAGENDR,dnh,svymean,na.rm=TRUE); list(estimate=as.list(coef(b)),se=as.list(setNames(SE(b),names(coef(b)))))},
  svytable_agecat_chol=as.data.frame(svytable(~agecat+HI_CHOL,dnh)), svymean_agecat=est(svymean(~agecat,dnh)), subset_complete_svymean={ est(svymean(~HI_CHOL, subset(dnh, !is.na(HI_CHOL) & agecat=="(59,Inf]"))) },
  svychisq={t<-svychisq(~HI_CHOL+agecat,dnh); list(statistic=unname(t$statistic),parameter=as.list(t$parameter),p=unname(t$p.value))})
# single PSU handling
lon <- apiclus1; 
ref$lonely <- list(); ap <- apistrat[c(which(apistrat$stype=="E"), which(apistrat$stype=="H"), which(apistrat$stype=="M")[1]),]; wr(ap,"apistrat_lonely.csv")
for (o in c("remove","adjust","average","certainty")) { options(survey.lonely.psu=o); dl <- svydesign(id=~1,strata=~stype,weights=~pw,data=ap); ref$lonely[[o]] <- est(svymean(~api00,dl)) }
options(survey.lonely.psu="fail")
write_json(ref, "r_reference.json", digits=NA, auto_unbox=TRUE, pretty=TRUE, null="null")
cat("ok\n"); print(svymean(~api00,dclus1)); print(svymean(~api00,dstrat)); print(svytotal(~enroll,rk)); print(svymean(~api00,rk)); print(svytotal(~enroll,ps))
