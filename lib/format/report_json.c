/* report_json: lines of JSON, a line for each tensor and one for the verdict; or all in one document. */
#include "format/quote.h"
#include "format/report.h"

static void
put_string(struct lm_page *page, const char *s)
{
	if (page->err->code == LOOM_OK && lm_quote(page->buf, s, page->err) < 0)
		return; /* err knows */
}

static void
put_real(struct lm_page *page, const char *key, double v)
{
	lm_page_printf(page, ",\"%s\":", key);
	lm_page_number(page, v);
}

static void
put_count(struct lm_page *page, const char *key, uint64_t v)
{
	lm_page_printf(page, ",\"%s\":%ju", key, (uintmax_t)v);
}

static void
put_place(struct lm_page *page, const char *key, const struct lm_pair *p, uint64_t at)
{
	char text[LM_CELL];

	lm_page_printf(page, ",\"%s\":%s", key, lm_report_place(text, p, at));
}

static void
put_side(struct lm_page *page, const char *key, int there, const struct loom_tensor *t)
{
	unsigned i;

	if (!there) {
		lm_page_printf(page, ",\"%s\":null", key);
		return;
	}
	lm_page_printf(page, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", key, t->dtype);
	for (i = 0; i < t->rank; i++)
		lm_page_printf(page, "%s%ju", i > 0 ? "," : "", (uintmax_t)t->shape[i]);
	lm_page_str(page, "]}");
}

/* Only what exists: without a pair of numbers there is no measure. */
static void
put_measures(struct lm_page *page, const struct lm_pair *p)
{
	const struct lm_measure *m = &p->measure;

	put_count(page, "values", m->values);
	put_count(page, "unlike", m->unlike);
	put_count(page, "no_difference", m->no_difference);
	if (m->no_difference > 0)
		put_place(page, "no_difference_at", p, m->no_difference_at);
	if (m->values == m->no_difference)
		return;
	put_real(page, "scale", p->scale);
	put_real(page, "tolerance", p->tolerance);
	put_real(page, "max_abs", m->max_abs);
	if (m->max_abs > 0)
		put_place(page, "max_abs_at", p, m->max_abs_at);
	put_real(page, "mean_abs", p->mean_abs);
	put_real(page, "max_rel", m->max_rel);
	put_count(page, "max_ulp", m->max_ulp);
	put_real(page, "rms", p->rms);
	put_real(page, "cosine", p->cosine);
	put_real(page, "snr_db", p->snr);
}

static void
put_tensor(struct lm_page *page, const struct lm_pair *p)
{
	char text[LM_CELL];

	lm_page_str(page, "{\"loom_report\":1,\"kind\":\"tensor\",\"name\":");
	put_string(page, p->name);
	lm_page_printf(page, ",\"label\":\"%s\",\"vacuous\":%s", lm_label_name(p->label),
	    p->vacuous ? "true" : "false");
	put_side(page, "a", p->in_a, &p->a);
	put_side(page, "b", p->in_b, &p->b);
	if (p->same_shape)
		put_measures(page, p);
	lm_page_str(page, ",\"note\":");
	put_string(page, lm_report_note(text, p));
	lm_page_str(page, "}");
}

static void
put_rule(struct lm_page *page, const struct loom_comparison *c)
{
	const struct loom_compare_options *o = &c->options;
	char text[LM_CELL];

	lm_page_str(page, ",\"rule\":{\"text\":");
	put_string(page, lm_report_rule(text, c));
	put_real(page, "atol", o->atol);
	put_real(page, "rtol", o->rtol);
	lm_page_printf(page, ",\"scale\":\"%s\",\"equal_nan\":%s}", o->scale_max ? "max" : "none",
	    o->equal_nan ? "true" : "false");
}

static void
put_verdict(struct lm_page *page, const struct loom_comparison *c)
{
	unsigned i;

	lm_page_printf(page, "{\"loom_report\":1,\"kind\":\"verdict\",\"same\":%s",
	    c->same ? "true" : "false");
	put_rule(page, c);
	lm_page_printf(page,
	    ",\"rows\":{\"compared\":%ju,\"total\":%ju},\"tensors\":{\"compared\":%zu,"
	    "\"total\":%zu},\"labels\":{",
	    (uintmax_t)c->rows_compared, (uintmax_t)c->rows, c->compared, c->n);
	for (i = 0; i <= LOOM_SKIPPED; i++)
		lm_page_printf(page, "%s\"%s\":%zu", i > 0 ? "," : "",
		    lm_label_name((enum loom_label)i), c->labels[i]);
	lm_page_printf(page, "},\"vacuous\":%zu}", c->vacuous);
}

void
lm_report_ndjson(const struct loom_comparison *c, struct lm_page *page)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		put_tensor(page, &c->pairs[i]);
		lm_page_str(page, "\n");
	}
	put_verdict(page, c);
	lm_page_str(page, "\n");
}

void
lm_report_json(const struct loom_comparison *c, struct lm_page *page)
{
	size_t i;

	lm_page_str(page, "{\"loom_report\":1,\"kind\":\"report\",\"tensors\":[");
	for (i = 0; i < c->n; i++) {
		lm_page_str(page, i > 0 ? ",\n" : "\n");
		put_tensor(page, &c->pairs[i]);
	}
	lm_page_str(page, "\n],\"verdict\":");
	put_verdict(page, c);
	lm_page_str(page, "}\n");
}
