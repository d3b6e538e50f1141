/* expect: the labels of a comparison against those that were kept in a file. */
#include <stdlib.h>
#include <string.h>

#include "base/source.h"
#include "format/report.h"

struct line {
	const char *s;
	size_t n;
};

/* Lines of a text, sorted. */
struct lines {
	struct line *line;
	size_t count;
};

static int
compare(const struct line *a, const struct line *b)
{
	int order = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);

	return order != 0 ? order : (a->n > b->n) - (a->n < b->n);
}

static int
by_text(const void *a, const void *b)
{
	return compare(a, b);
}

static int
cut(struct lines *l, const char *text, size_t size, struct loom_error *err)
{
	const char *end = text + size, *s, *stop;
	size_t most = 1, n;

	for (s = text; s < end; s++)
		most += *s == '\n';
	l->line = lm_alloc(most, sizeof(*l->line), err);
	if (l->line == NULL)
		return -1;
	for (s = text; s < end; s = stop + 1) {
		stop = memchr(s, '\n', (size_t)(end - s));
		stop = stop != NULL ? stop : end;
		n = (size_t)(stop - s);
		n -= n > 0 && s[n - 1] == '\r';
		if (n > 0)
			l->line[l->count++] = (struct line){ s, n };
	}
	qsort(l->line, l->count, sizeof(*l->line), by_text);
	return 0;
}

static int
put(struct lm_buf *out, char sign, const struct line *l, struct loom_error *err)
{
	if (lm_buf_add(out, &sign, 1, err) < 0 || lm_buf_add(out, l->s, l->n, err) < 0)
		return -1;
	return lm_buf_add(out, "\n", 1, err);
}

/* What stands in one of the two only. */
static int
differences(struct lm_buf *out, const struct lines *old, const struct lines *new,
    struct loom_error *err)
{
	size_t i = 0, j = 0;
	int order, r = 0;

	while (r == 0 && (i < old->count || j < new->count)) {
		order = i == old->count ? 1
		    : j == new->count	? -1
					: compare(&old->line[i], &new->line[j]);
		if (order < 0)
			r = put(out, '-', &old->line[i], err);
		else if (order > 0)
			r = put(out, '+', &new->line[j], err);
		i += order <= 0;
		j += order >= 0;
	}
	return r;
}

int
loom_comparison_expected(struct loom_comparison *c, const char *path, const char **text,
    size_t *size, struct loom_error *err)
{
	struct lines old = { NULL, 0 }, new = { NULL, 0 };
	struct lm_buf out;
	const unsigned char *kept;
	struct lm_source *s;
	const char *labels;
	size_t n_kept, n;
	int r = -1;

	if (lm_source_open(&s, path, err) < 0)
		return -1;
	lm_buf_init(&out, SIZE_MAX / 4);
	labels = loom_comparison_report(c, "labels", &n, err);
	if (labels != NULL && lm_source_all(s, &kept, &n_kept, err) == 0 &&
	    cut(&old, (const char *)kept, n_kept, err) == 0 && cut(&new, labels, n, err) == 0 &&
	    differences(&out, &old, &new, err) == 0) {
		r = out.len == 0;
		lm_buf_release(&c->report);
		c->report = out;
		*text = out.data;
		*size = out.len;
	} else
		lm_buf_release(&out);
	lm_free(old.line);
	lm_free(new.line);
	lm_source_free(s);
	return r;
}
