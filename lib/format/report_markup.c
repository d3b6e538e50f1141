/* report_markup: a Markdown table, and JUnit's XML for build servers. */
#include <string.h>

#include "format/report.h"

/* Bytes that mean something in the markup are replaced; text is UTF-8 or shown as it is. */
static void
put_escaped(struct lm_page *page, const char *s, const char *from, const char *const *to)
{
	char one[2] = "";
	const char *hit;

	for (; *s != '\0'; s++) {
		hit = strchr(from, *s);
		one[0] = (unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s;
		lm_page_str(page, hit != NULL ? to[hit - from] : one);
	}
}

static void
put_md(struct lm_page *page, const char *s)
{
	static const char *const to[] = { "\\|", "\\\\", "\\*", "\\_", "\\`", "&lt;", "&amp;",
		"\\[", "\\]" };

	put_escaped(page, s, "|\\*_`<&[]", to);
}

static void
put_xml(struct lm_page *page, const char *s)
{
	static const char *const to[] = { "&lt;", "&gt;", "&amp;", "&quot;" };

	put_escaped(page, s, "<>&\"", to);
}

/* ---- Markdown ---- */

static void
put_md_row(struct lm_page *page, const struct lm_pair *p)
{
	const struct lm_measure *m = &p->measure;
	char text[LM_CELL];

	lm_page_printf(page, "| %s | ", lm_label_name(p->label));
	put_md(page, p->name);
	lm_page_str(page, " | ");
	put_md(page, lm_report_type(text, p));
	if (p->same_shape && m->values > m->no_difference) {
		lm_page_printf(page, " | %.6g | ", m->max_abs);
		put_md(page, m->max_abs > 0 ? lm_report_place(text, p, m->max_abs_at) : "");
		lm_page_printf(page, " | %.6g | %.6g | %ju | %.6g | %.9g | ", p->mean_abs,
		    m->max_rel, (uintmax_t)m->max_ulp, p->rms, p->cosine);
	} else
		lm_page_str(page, " | | | | | | | | ");
	put_md(page, lm_report_note(text, p));
	lm_page_str(page, " |\n");
}

void
lm_report_md(const struct loom_comparison *c, struct lm_page *page)
{
	char text[LM_CELL];
	size_t i;

	lm_page_printf(page, "Rule: `%s`\n\n", lm_report_rule(text, c));
	lm_page_str(page,
	    "| label | tensor | type | max abs | at | mean abs | max rel | max ulp "
	    "| rms | cosine | note |\n");
	lm_page_str(page, "|---|---|---|---|---|---|---|---|---|---|---|\n");
	for (i = 0; i < c->n; i++)
		put_md_row(page, &c->pairs[i]);
	lm_page_printf(page, "\n**%s**: %s\n\n", c->same ? "same" : "not the same",
	    lm_report_tally(text, c));
	lm_page_printf(page, "%s\n", lm_report_count(text, c));
}

/* ---- JUnit ---- */

static void
put_failure(struct lm_page *page, const struct lm_pair *p)
{
	const struct lm_measure *m = &p->measure;
	char text[LM_CELL];
	const char *note = lm_report_note(text, p);

	lm_page_printf(page, "<failure type=\"%s\" message=\"", lm_label_name(p->label));
	if (p->same_shape)
		lm_page_printf(page, "max abs %.6g, tolerance %.6g%s", m->max_abs, p->tolerance,
		    note[0] != '\0' ? ", " : "");
	put_xml(page, note);
	lm_page_str(page, "\"/>");
}

void
lm_report_junit(const struct loom_comparison *c, struct lm_page *page)
{
	const struct lm_pair *p;
	char text[LM_CELL];
	size_t i, bad = 0;

	for (i = 0; i < c->n; i++)
		bad += (size_t)lm_report_bad(c, &c->pairs[i]);
	/* A suite that compared nothing must not look as if all was well. */
	lm_page_str(page, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	lm_page_printf(page,
	    "<testsuite name=\"loom-compare\" tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\">\n",
	    c->n + 1, bad + (size_t)!c->same, c->labels[LOOM_SKIPPED]);
	for (i = 0; i < c->n; i++) {
		p = &c->pairs[i];
		lm_page_str(page, "  <testcase classname=\"tensor\" name=\"");
		put_xml(page, p->name);
		lm_page_str(page, "\">");
		if (lm_report_bad(c, p))
			put_failure(page, p);
		else if (p->label == LOOM_SKIPPED)
			lm_page_str(page, "<skipped/>");
		lm_page_str(page, "</testcase>\n");
	}
	lm_page_str(page, "  <testcase classname=\"verdict\" name=\"");
	put_xml(page, lm_report_rule(text, c));
	lm_page_str(page, "\">");
	if (!c->same) {
		lm_page_str(page, "<failure type=\"no\" message=\"");
		put_xml(page, lm_report_tally(text, c));
		lm_page_str(page, "\"/>");
	}
	lm_page_str(page, "</testcase>\n</testsuite>\n");
}
