/* report: the table of kinds, and what several of them say. */
#include "format/report.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "num/text.h"

static const struct row {
	const char *name;
	lm_report_fn *write;
} table[] = {
#define REPORT(name) { #name, lm_report_##name },
#include "format/reports.def"
#undef REPORT
};

enum { ROWS = sizeof(table) / sizeof(*table) };

const char *
loom_report_kind(size_t i)
{
	return i < ROWS ? table[i].name : NULL;
}

const char *
loom_comparison_report(struct loom_comparison *c, const char *kind, size_t *size,
    struct loom_error *err)
{
	struct lm_page page = { &c->report, err };
	size_t i;

	for (i = 0; i < ROWS && strcmp(table[i].name, kind) != 0; i++)
		continue;
	if (i == ROWS) {
		(void)lm_fail(err, LOOM_EARG, "there is no report called %s", kind);
		return NULL;
	}
	lm_buf_clear(page.buf);
	table[i].write(c, &page);
	*size = page.buf->len;
	return err->code == LOOM_OK ? page.buf->data : NULL;
}

/* ---- pages ---- */

void
lm_page_str(struct lm_page *page, const char *s)
{
	if (page->err->code == LOOM_OK && lm_buf_str(page->buf, s, page->err) < 0)
		return; /* err knows */
}

void
lm_page_printf(struct lm_page *page, const char *fmt, ...)
{
	char text[LM_CELL];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	lm_page_str(page, text);
}

void
lm_page_number(struct lm_page *page, double v)
{
	char text[LM_TEXT_SIZE];

	if (isnan(v))
		lm_page_str(page, "\"nan\"");
	else if (isinf(v))
		lm_page_str(page, v > 0 ? "\"inf\"" : "\"-inf\"");
	else {
		(void)lm_text_f64(text, v);
		lm_page_str(page, text);
	}
}

/* ---- texts ---- */

/* The fewest digits that read back to it. */
static const char *
put_shortest(char dst[LM_TEXT_SIZE], double v)
{
	double back;
	int digits = 0;

	do
		(void)snprintf(dst, LM_TEXT_SIZE, "%.*g", ++digits, v);
	while (digits < 17 && (lm_text_parse(dst, strlen(dst), &back) < 0 || back != v));
	return dst;
}

const char *
lm_report_rule(char dst[LM_CELL], const struct loom_comparison *c)
{
	const struct loom_compare_options *o = &c->options;
	char atol[LM_TEXT_SIZE], rtol[LM_TEXT_SIZE];

	(void)snprintf(dst, LM_CELL, "|a-b| <= atol*S + rtol*|b|, S = %s, atol = %s, rtol = %s%s%s",
	    o->scale_max ? "max(1, max|b|)" : "1", put_shortest(atol, o->atol),
	    put_shortest(rtol, o->rtol), o->equal_nan ? ", NaN equals NaN" : "",
	    o->policy != NULL ? ", unless the policy says another" : "");
	return dst;
}

/* What the policy says of a pair whose values were compared. */
static size_t
note_bound(char *dst, size_t room, const struct lm_pair *p)
{
	char atol[LM_TEXT_SIZE], rtol[LM_TEXT_SIZE];

	if (!p->own_bound)
		return 0;
	return (size_t)snprintf(dst, room, "policy: atol = %s, rtol = %s, S = %s",
	    put_shortest(atol, p->bound.atol), put_shortest(rtol, p->bound.rtol),
	    p->bound.scale_max ? "max(1, max|b|)" : "1");
}

const char *
lm_report_type(char dst[LM_CELL], const struct lm_pair *p)
{
	char a[LM_CELL / 2], b[LM_CELL / 2];

	if (p->in_a)
		(void)loom_tensor_describe(&p->a, a, sizeof(a));
	if (p->in_b)
		(void)loom_tensor_describe(&p->b, b, sizeof(b));
	if (p->in_a && p->in_b && !p->same_shape && p->label != LOOM_SKIPPED)
		(void)snprintf(dst, LM_CELL, "%.240s / %.240s", a, b);
	else
		(void)snprintf(dst, LM_CELL, "%s", p->in_b ? b : a);
	return dst;
}

const char *
lm_report_place(char dst[LM_CELL], const struct lm_pair *p, uint64_t at)
{
	uint64_t place[LOOM_RANK] = { 0 };
	size_t used = 1;
	unsigned i;

	lm_compare_place(&p->b, at, place);
	(void)snprintf(dst, LM_CELL, "[");
	for (i = 0; i < p->b.rank; i++)
		used += (size_t)snprintf(dst + used, LM_CELL - used, "%s%ju", i > 0 ? ", " : "",
		    (uintmax_t)place[i]);
	(void)snprintf(dst + used, LM_CELL - used, "]");
	return dst;
}

/* What is said of a pair whose values were compared. */
static const char *
note_values(char dst[LM_CELL], const struct lm_pair *p)
{
	char place[LM_CELL];

	if (p->measure.no_difference > 0)
		(void)snprintf(dst, LM_CELL, "%ju with NaN or unequal infinities, first at %.400s",
		    (uintmax_t)p->measure.no_difference,
		    lm_report_place(place, p, p->measure.no_difference_at));
	else if (p->measure.values == 0)
		(void)snprintf(dst, LM_CELL, "no values");
	else if (p->vacuous)
		(void)snprintf(dst, LM_CELL, "vacuous: max|b| is within the tolerance");
	return dst;
}

const char *
lm_report_note(char dst[LM_CELL], const struct lm_pair *p)
{
	char policy[4 * LM_TEXT_SIZE];
	size_t used;

	dst[0] = '\0';
	if (p->label == LOOM_MISSING)
		return "only in B";
	if (p->label == LOOM_EXTRA)
		return "only in A";
	if (p->label == LOOM_SKIPPED)
		return dst;
	if (!p->same_shape)
		return "shapes differ";
	used = strlen(note_values(dst, p));
	if (strcmp(p->a.dtype, p->b.dtype) != 0)
		used += (size_t)snprintf(dst + used, LM_CELL - used, "%s%s against %s",
		    used > 0 ? "; " : "", p->a.dtype, p->b.dtype);
	if (note_bound(policy, sizeof(policy), p) > 0)
		(void)snprintf(dst + used, LM_CELL - used, "%s%s", used > 0 ? "; " : "", policy);
	return dst;
}

const char *
lm_report_tally(char dst[LM_CELL], const struct loom_comparison *c)
{
	size_t used = 0;
	unsigned i;

	for (i = 0; i <= LOOM_SKIPPED; i++) {
		if (c->labels[i] == 0)
			continue;
		used += (size_t)snprintf(dst + used, LM_CELL - used, "%s%zu %s",
		    used > 0 ? ", " : "", c->labels[i], lm_label_name((enum loom_label)i));
		if (i == LOOM_PASS && c->vacuous > 0)
			used += (size_t)snprintf(dst + used, LM_CELL - used, " (%zu vacuous)",
			    c->vacuous);
	}
	if (used == 0)
		(void)snprintf(dst, LM_CELL, "nothing to compare");
	return dst;
}

const char *
lm_report_count(char dst[LM_CELL], const struct loom_comparison *c)
{
	(void)snprintf(dst, LM_CELL, "%ju/%ju rows, %zu/%zu tensors compared",
	    (uintmax_t)c->rows_compared, (uintmax_t)c->rows, c->compared, c->n);
	return dst;
}

int
lm_report_bad(const struct loom_comparison *c, const struct lm_pair *p)
{
	const struct loom_compare_options *o = &c->options;

	return p->label == LOOM_DIFF || (p->vacuous && !o->allow_vacuous) ||
	    (p->label == LOOM_MISSING && !o->allow_missing) ||
	    (p->label == LOOM_EXTRA && !o->allow_extra);
}
