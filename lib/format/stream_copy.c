/*
 * stream_copy: tensor bytes from a stream into a checkpoint.  What is stored as it travels passes in
 * pieces; float64 that becomes float32 too; only a tensor whose axes change their order is held whole.
 */
#include "format/stream.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "num/bytes.h"

enum { PIECE = 1 << 20 };

struct copy {
	struct lm_stream *s;
	struct lm_node *node;
	const struct lm_travel *t;
	struct lm_hash *hash;	 /* NULL: no digest is stated */
	unsigned char *in, *out; /* PIECE bytes each */
	struct loom_error *err;
};

/* ---- in ---- */

static int
was_cut(struct copy *c)
{
	char shown[LM_SHOWN];

	if (c->err->code != LOOM_ETRUNCATED)
		return -1;
	memset(c->err, 0, sizeof(*c->err));
	return lm_source_fail(c->s->source, c->err, LOOM_ETRUNCATED,
	    "ends within node %s, tensor %s: the stream was cut", lm_shown(shown, c->node->name),
	    c->node->op->slots[c->t->slot].name);
}

/* The next n bytes as they travel; counted, hashed. */
static int
take(struct copy *c, unsigned char *dst, size_t n)
{
	const struct loom_stream_options *o = c->s->options;

	if (lm_source_read(c->s->source, dst, n, c->err) < 0)
		return was_cut(c);
	if (c->hash != NULL && lm_hash_add(c->hash, dst, n, c->err) < 0)
		return -1;
	c->s->done += n;
	if (o->progress != NULL)
		o->progress(o->context, c->s->done, (uint64_t)c->s->bytes);
	return 0;
}

static int
check_digest(struct copy *c)
{
	const char *stated = c->node->weight[c->t->slot].digest;
	char found[LM_HEX], shown[LM_SHOWN];

	if (c->hash == NULL)
		return 0;
	if (lm_hash_end(c->hash, found, c->err) < 0)
		return -1;
	if (strcmp(stated, found) == 0)
		return 0;
	(void)lm_fail(c->err, LOOM_EFORMAT,
	    "node %s: tensor %s: SHA-256 is %s, but its line says %s",
	    lm_shown(shown, c->node->name), c->node->op->slots[c->t->slot].name, found, stated);
	return lm_fail_in(c->err, lm_source_name(c->s->source));
}

/* ---- out ---- */

static void
note_loss(struct copy *c, double wide, float narrow)
{
	double loss;

	if (wide == 0 || (double)narrow == wide || isnan(wide))
		return;
	loss = fabs((double)narrow - wide) / fabs(wide);
	if (loss > c->s->loss)
		c->s->loss = loss;
}

/* n bytes of src, in the order in which they are stored; src may be c->out. */
static int
put(struct copy *c, unsigned char *src, size_t n)
{
	unsigned char *p = src, *q = src;
	double wide;
	float narrow;

	if (!lm_stream_narrows(c->s, c->t->dtype))
		return lm_entity_weight(c->s->writer, c->node, c->t->slot, src, n, c->err);
	for (; p < src + n; p += 8, q += 4) {
		wide = lm_get_f64(p);
		narrow = (float)wide;
		note_loss(c, wide, narrow);
		lm_put_f32(q, narrow);
	}
	return lm_entity_weight(c->s->writer, c->node, c->t->slot, src, n / 2, c->err);
}

static int
pass_through(struct copy *c)
{
	uint64_t left;
	size_t n;

	for (left = c->t->bytes; left > 0; left -= n) {
		n = left < PIECE ? (size_t)left : PIECE;
		if (take(c, c->in, n) < 0 || put(c, c->in, n) < 0)
			return -1;
	}
	return 0;
}

/* ---- axes ---- */

/* Do the bytes stand in canonical order already?  Axes of extent 1 may stand anywhere. */
static int
in_order(const struct lm_travel *t)
{
	unsigned k, last = 0;

	for (k = 0; t->bytes > 0 && k < t->rank; k++) {
		if (t->shape[t->axis[k]] == 1)
			continue;
		if (t->axis[k] < last)
			return 0;
		last = t->axis[k];
	}
	return 1;
}

/*
 * The tensor's bytes, whole.  On a pipe nobody knows whether they will come, so that memory grows as
 * they do.
 */
static unsigned char *
take_whole(struct copy *c)
{
	uint64_t bytes = c->t->bytes, done, n;
	int known = lm_source_seekable(c->s->source);
	unsigned char *p = NULL, *more;

	if (bytes > SIZE_MAX / 2) {
		(void)lm_fail(c->err, LOOM_ENOMEM, "no memory for a tensor of %ju bytes",
		    (uintmax_t)bytes);
		return NULL;
	}
	for (done = 0; done < bytes; done += n) {
		n = bytes - done < PIECE ? bytes - done : PIECE;
		more = p;
		if (p == NULL || !known)
			more = lm_resize(p, (size_t)(known ? bytes : done + n), 1, c->err);
		if (more != NULL)
			p = more;
		if (more == NULL || take(c, p + done, (size_t)n) < 0) {
			lm_free(p);
			return NULL;
		}
	}
	return p;
}

/* For each canonical axis its extent and how many elements lie between neighbours. */
struct walk {
	unsigned rank;
	uint64_t extent[LOOM_RANK], step[LOOM_RANK], at[LOOM_RANK];
};

static void
start_walk(struct walk *w, const struct lm_travel *t)
{
	uint64_t step[LOOM_RANK], all = 1;
	unsigned k;

	memset(w, 0, sizeof(*w));
	for (k = t->rank; k-- > 0;) {
		step[k] = all;
		all *= t->shape[k];
	}
	w->rank = t->rank;
	for (k = 0; k < t->rank; k++) {
		w->extent[k] = t->shape[t->axis[k]];
		w->step[k] = step[t->axis[k]];
	}
}

/* The place of the next run along the last axis. */
static uint64_t
next_run(struct walk *w, uint64_t place)
{
	unsigned k;

	for (k = w->rank - 1; k-- > 0;) {
		place += w->step[k];
		if (++w->at[k] < w->extent[k])
			return place;
		place -= w->step[k] * w->extent[k];
		w->at[k] = 0;
	}
	return place;
}

static void
gather(unsigned char *dst, const unsigned char *src, size_t n, size_t step, size_t size)
{
	size_t i;

	if (size == 4)
		for (i = 0; i < n; i++)
			memcpy(dst + 4 * i, src + 4 * i * step, 4);
	else
		for (i = 0; i < n; i++)
			memcpy(dst + size * i, src + size * i * step, size);
}

/* Runs longer than a piece are cut; shorter ones go out one by one, which the sink collects. */
static int
put_in_order(struct copy *c, const unsigned char *whole)
{
	size_t size = c->t->dtype->bits / 8, most = PIECE / size, n, run;
	uint64_t place = 0, left = c->t->bytes / size, i;
	struct walk w;

	start_walk(&w, c->t);
	run = (size_t)w.extent[w.rank - 1];
	for (; left > 0; left -= run, place = next_run(&w, place))
		for (i = 0; i < run; i += n) {
			n = run - (size_t)i < most ? run - (size_t)i : most;
			gather(c->out, whole + (place + i * w.step[w.rank - 1]) * size, n,
			    (size_t)w.step[w.rank - 1], size);
			if (put(c, c->out, n * size) < 0)
				return -1;
		}
	return 0;
}

/* dst[k * to + i] = src[i * from + k] for a strip of i: a cache line is written at a time. */
static void
turn(unsigned char *dst, size_t to, const unsigned char *src, size_t from, size_t n, size_t strip,
    size_t size)
{
	size_t k, i;

	for (k = 0; k < n; k++)
		if (size == 4)
			for (i = 0; i < strip; i++)
				memcpy(dst + (k * to + i) * 4, src + (i * from + k) * 4, 4);
		else
			for (i = 0; i < strip; i++)
				memcpy(dst + (k * to + i) * size, src + (i * from + k) * size,
				    size);
}

/* Two axes that change places: a band of rows that fill a piece is made at once, strip by strip. */
static int
put_transposed(struct copy *c, const unsigned char *whole)
{
	enum { STRIP = 16 };
	size_t size = c->t->dtype->bits / 8, cols = (size_t)c->t->shape[0];
	size_t rows = (size_t)c->t->shape[1], band = PIECE / size / cols, r, i, n;

	for (r = 0; r < rows; r += n) {
		n = rows - r < band ? rows - r : band;
		for (i = 0; i < cols; i += STRIP)
			turn(c->out + i * size, cols, whole + (i * rows + r) * size, rows, n,
			    cols - i < STRIP ? cols - i : STRIP, size);
		if (put(c, c->out, n * cols * size) < 0)
			return -1;
	}
	return 0;
}

static int
permute(struct copy *c)
{
	unsigned char *whole = take_whole(c);
	int r;

	if (whole == NULL)
		return -1;
	if (c->t->rank == 2 && c->t->shape[0] <= PIECE / 8)
		r = put_transposed(c, whole);
	else
		r = put_in_order(c, whole);
	lm_free(whole);
	return r;
}

/* ---- all tensors ---- */

static int
copy_one(struct copy *c, const struct lm_moved *moved)
{
	c->node = moved->node;
	c->t = &moved->travel;
	c->s->narrowed += (uint64_t)lm_stream_narrows(c->s, c->t->dtype);
	if (c->node->weight[c->t->slot].digest != NULL && lm_hash_new(&c->hash, c->err) < 0)
		return -1;
	if ((in_order(c->t) ? pass_through(c) : permute(c)) < 0)
		return -1;
	return check_digest(c);
}

int
lm_stream_copy(struct lm_stream *s, struct loom_error *err)
{
	struct copy c = { .s = s, .err = err };
	size_t i;
	int r;

	c.in = lm_alloc(PIECE, 1, err);
	c.out = lm_alloc(PIECE, 1, err);
	r = c.in != NULL && c.out != NULL ? 0 : -1;
	for (i = 0; r == 0 && i < s->n_moved; i++) {
		r = copy_one(&c, &s->moved[i]);
		lm_hash_free(c.hash);
		c.hash = NULL;
	}
	lm_free(c.in);
	lm_free(c.out);
	return r;
}
