# Reference numbers on the European Social Survey, round 9, Norway: Rscript make_ess9no.R <path of ESS9NO.sav or ESS9NO.dta>.
# The data come from the ESS data portal and are no part of this project. Packages survey, haven and jsonlite. It writes
# r_reference_ess9no.json, or r_reference_ess9no_dta.json: the two files are editions with other strata and PSUs.
suppressPackageStartupMessages({library(survey);library(haven);library(jsonlite)})
file<-commandArgs(TRUE)[1]; dta<-grepl("dta$",file); d<-if(dta) read_dta(file,encoding="utf-8") else read_sav(file); d<-as.data.frame(zap_labels(zap_missing(d)))
r<-list(file=if(dta) "ESS9NO.dta (ESS9 Norway, edition 3)" else "ESS9NO.sav (ESS9 Norway, edition 2)", n=nrow(d))
for(v in c("trstprl","stflife","happy","imwbcnt","lrscale","gincdif")){ 
 for (w in c("none","dweight","pspwght")) { d$w<-if(w=="none")1 else d[[w]]; des<-svydesign(id=~1,weights=~w,data=d); m<-svymean(as.formula(paste0("~",v)),des,na.rm=TRUE); r[[v]][[w]]<-list(mean=unname(coef(m)),se=unname(SE(m)))}
 des<-svydesign(id=~psu,strata=~stratum,weights=~pspwght,data=d,nest=TRUE); options(survey.lonely.psu="adjust"); m<-try(svymean(as.formula(paste0("~",v)),des,na.rm=TRUE)); r[[v]]$design_psp<-list(mean=unname(coef(m)),se=unname(SE(m)),df=degf(des))
 p<-svymean(as.formula(paste0("~factor(",v,")")),des,na.rm=TRUE); r[[v]]$shares_psp<-as.list(setNames(round(as.numeric(coef(p)),6),sub(".*\\)","",names(coef(p))))); }
write_json(r,if(dta) "r_reference_ess9no_dta.json" else "r_reference_ess9no.json",auto_unbox=TRUE,digits=NA,pretty=TRUE); print(t(sapply(r[3:8],function(x) c(x$none$mean,x$dweight$mean,x$pspwght$mean,x$pspwght$se,x$design_psp$se,x$design_psp$df))))
