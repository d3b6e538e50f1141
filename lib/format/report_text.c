/* report_text: a table for people, and the bare labels for diff. */
#include <string.h>

#include "format/report.h"

enum {
	LABEL,
	NAME,
	TYPE,
	MAX_ABS,
	AT,
	MEAN_ABS,
	MAX_REL,
	MAX_ULP,
	RMS,
	COSINE,
	SNR,
	NOTE,
	COLUMNS
};
enum { WIDEST = 48 }; /* a longer name or type pushes its row to the right */

static const char *const titles[COLUMNS] = { "label", "tensor", "type", "max abs", "at", "mean abs",
	"max rel", "max ulp", "rms", "cosine", "snr dB", "" };

/* Names may hold anything; a row is one line. */
static const char *
shown_name(char dst[LM_CELL], const char *name)
{
	lm_tail(dst, LM_CELL, name);
	return dst;
}

static const char *
measured(char dst[LM_CELL], const struct lm_pair *p, int column)
{
	const struct lm_measure *m = &p->measure;
	const double v[COLUMNS] = { [MAX_ABS] = m->max_abs,
		[MEAN_ABS] = p->mean_abs,
		[MAX_REL] = m->max_rel,
		[RMS] = p->rms,
		[SNR] = p->snr };

	if (!p->same_shape || m->values == m->no_difference)
		return "-";
	if (column == AT)
		return m->max_abs > 0 ? lm_report_place(dst, p, m->max_abs_at) : "-";
	if (column == MAX_ULP)
		(void)snprintf(dst, LM_CELL, "%ju", (uintmax_t)m->max_ulp);
	else if (column == COSINE)
		(void)snprintf(dst, LM_CELL, "%.9g", p->cosine);
	else
		(void)snprintf(dst, LM_CELL, column == SNR ? "%.1f" : "%.6g", v[column]);
	return dst;
}

static const char *
cell(char dst[LM_CELL], const struct lm_pair *p, int column)
{
	if (p == NULL)
		return titles[column];
	switch (column) {
	case LABEL:
		return lm_label_name(p->label);
	case NAME:
		return shown_name(dst, p->name);
	case TYPE:
		return lm_report_type(dst, p);
	case NOTE:
		return lm_report_note(dst, p);
	default:
		return measured(dst, p, column);
	}
}

static void
put_row(struct lm_page *page, const struct lm_pair *p, const size_t width[COLUMNS])
{
	char text[LM_CELL];
	size_t owed = 0, n; /* blanks, once something follows */
	const char *s;
	int i;

	for (i = 0; i < COLUMNS; i++) {
		s = cell(text, p, i);
		n = strlen(s);
		if (n > 0) {
			lm_page_printf(page, "%*s", (int)owed, "");
			lm_page_str(page, s);
			owed = 0;
		}
		owed += (n < width[i] ? width[i] - n : 0) + 2;
	}
	lm_page_str(page, "\n");
}

void
lm_report_text(const struct loom_comparison *c, struct lm_page *page)
{
	size_t width[COLUMNS], i, n;
	char text[LM_CELL];
	int column;

	for (column = 0; column < COLUMNS; column++)
		width[column] = strlen(titles[column]);
	for (i = 0; i < c->n; i++)
		for (column = 0; column < NOTE; column++) {
			n = strlen(cell(text, &c->pairs[i], column));
			if (n > width[column] && n <= WIDEST)
				width[column] = n;
		}
	lm_page_printf(page, "rule: %s\n", lm_report_rule(text, c));
	if (c->n > 0)
		put_row(page, NULL, width);
	for (i = 0; i < c->n; i++)
		put_row(page, &c->pairs[i], width);
	lm_page_printf(page, "%s: %s\n", c->same ? "same" : "not the same",
	    lm_report_tally(text, c));
	lm_page_printf(page, "%s\n", lm_report_count(text, c));
}

/* The whole of a name: shortened, two could become one. */
static void
put_name(struct lm_page *page, const char *name)
{
	char part[LM_SHOWN], text[LM_SHOWN];
	size_t n;

	for (; *name != '\0'; name += n) {
		n = strnlen(name, LM_SHOWN - 1);
		memcpy(part, name, n);
		part[n] = '\0';
		lm_page_str(page, lm_shown(text, part));
	}
}

void
lm_report_labels(const struct loom_comparison *c, struct lm_page *page)
{
	static const char *const words[] = { "same", "same", "different", "missing", "extra",
		"skipped" };
	size_t i;

	for (i = 0; i < c->n; i++) {
		put_name(page, c->pairs[i].name);
		lm_page_printf(page, " %s\n", words[c->pairs[i].label]);
	}
}
