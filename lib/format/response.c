/* response: what a version-1 request is answered, as Go's encoding/json indents it. */
#include <inttypes.h>
#include <string.h>

#include "format/gotext.h"
#include "format/request.h"

struct writer {
	struct lm_buf *buf;
	struct loom_error *err;
};

static int
key(struct writer *w, const char *name)
{
	return lm_buf_printf(w->buf, w->err, ",\n  \"%s\": ", name);
}

static int
text(struct writer *w, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return 0;
	return key(w, name) < 0 ? -1 : lm_go_string(w->buf, value, w->err);
}

static int
count(struct writer *w, const char *name, uint64_t value)
{
	if (value == 0)
		return 0;
	return key(w, name) < 0 ? -1 : lm_buf_printf(w->buf, w->err, "%" PRIu64, value);
}

static int
row(struct writer *w, const float *v, size_t n)
{
	size_t i;

	if (lm_buf_str(w->buf, "[", w->err) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (v[i] - v[i] != 0)
			return lm_fail(w->err, LOOM_EFORMAT,
			    "output %zu is not finite, which JSON cannot say", i);
		if (lm_buf_str(w->buf, i > 0 ? ",\n      " : "\n      ", w->err) < 0 ||
		    lm_go_f64(w->buf, (double)v[i], w->err) < 0)
			return -1;
	}
	return lm_buf_str(w->buf, n > 0 ? "\n    ]" : "]", w->err);
}

static int
outputs(struct writer *w, const struct lm_request_matrix *m)
{
	size_t i;

	if (m == NULL || m->rows == 0)
		return 0;
	if (count(w, "output_dim", m->cols) < 0 || count(w, "sample_count", m->rows) < 0 ||
	    key(w, "outputs") < 0)
		return -1;
	for (i = 0; i < m->rows; i++)
		if (lm_buf_str(w->buf, i > 0 ? ",\n    " : "[\n    ", w->err) < 0 ||
		    row(w, m->v + i * m->cols, m->cols) < 0)
			return -1;
	return lm_buf_str(w->buf, "\n  ]", w->err);
}

int
lm_response_write(struct lm_buf *buf, const struct lm_response *r, struct loom_error *err)
{
	struct writer w = { buf, err };

	lm_buf_clear(buf);
	if (lm_buf_printf(buf, err, "{\n  \"status\": \"%s\"", r->message ? "error" : "ok") < 0 ||
	    text(&w, "entity_path", r->entity_path) < 0 ||
	    count(&w, "layer_count", r->layer_count) < 0 ||
	    count(&w, "weight_bytes", r->weight_bytes) < 0 || outputs(&w, r->outputs) < 0 ||
	    text(&w, "message", r->message) < 0)
		return -1;
	return lm_buf_str(buf, "\n}\n", err);
}
