/*
 * report: a comparison as text for people and programs.  Reports are made to be diffed: they are sorted
 * by name and hold no time, no path and nothing that depends on the number of threads.
 */
#ifndef FORMAT_REPORT_H
#define FORMAT_REPORT_H

#include "base/buf.h"
#include "model/compare.h"

/* A page that is being written; a failure stays in err and makes further writing do nothing. */
struct lm_page {
	struct lm_buf *buf;
	struct loom_error *err;
};

void lm_page_str(struct lm_page *, const char *);
void lm_page_printf(struct lm_page *, const char *fmt, ...) LM_PRINTF(2, 3); /* up to 511 bytes */
/* A number with the shortest digits that read back to it; "inf", "-inf" and "nan" in quotes. */
void lm_page_number(struct lm_page *, double);

/* What several kinds say.  Texts go into dst. */
enum { LM_CELL = 512 };
const char *lm_report_rule(char dst[LM_CELL], const struct loom_comparison *);
/* "float32 [2, 3]", or both sides' where they differ. */
const char *lm_report_type(char dst[LM_CELL], const struct lm_pair *);
const char *lm_report_place(char dst[LM_CELL], const struct lm_pair *, uint64_t at);
/* Why a pair is no PASS, or what should be known of it; "" if there is nothing to say. */
const char *lm_report_note(char dst[LM_CELL], const struct lm_pair *);
/* "10 EXACT, 2 PASS (1 vacuous), 1 DIFF" */
const char *lm_report_tally(char dst[LM_CELL], const struct loom_comparison *);
/* "100/100 rows, 12/12 tensors compared" */
const char *lm_report_count(char dst[LM_CELL], const struct loom_comparison *);
/* 1 if the pair alone makes the answer no. */
int lm_report_bad(const struct loom_comparison *, const struct lm_pair *);

/* A row's function. */
typedef void lm_report_fn(const struct loom_comparison *, struct lm_page *);

#define REPORT(name) lm_report_fn lm_report_##name;
#include "format/reports.def"
#undef REPORT

#endif
