/*
 * request_decode: version 1 from text to fields, in one walk.  Go's rules: keys match in any case,
 * the last of repeated keys wins and is decoded over the former, null changes nothing (but empties an
 * array), unknown keys are skipped, values of wrong types are noted and the walk goes on.
 */
#include <string.h>

#include "base/mem.h"
#include "format/request_kinds.h"
#include "format/request_text.h"

enum scope { ENVELOPE, BODY, LAYER };

static const struct row {
	enum scope scope;
	const char *key;
	enum lm_field_kind kind;
} rows[LM_REQ_FIELDS] = {
#define FIELD(scope, id, key, kind) { scope, key, LM_TAKES_##kind },
#define BEDROCK(name)
#include "format/request.def"
#undef FIELD
#undef BEDROCK
};

static const char *const wanted[] = { [LM_TAKES_TEXT] = "a string",
	[LM_TAKES_INT] = "an integer",
	[LM_TAKES_BOOL] = "true or false",
	[LM_TAKES_FLOATS] = "an array of numbers",
	[LM_TAKES_ROWS] = "an array of arrays of numbers",
	[LM_TAKES_LAYERS] = "an array of objects",
	[LM_TAKES_BODY] = "an object" };
static const char *const wanted_item[] = { [LM_TAKES_FLOATS] = "a number",
	[LM_TAKES_ROWS] = "an array of numbers",
	[LM_TAKES_LAYERS] = "an object" };

struct decoder {
	struct lm_walk walk;
	struct lm_buf word;
	struct lm_request *request;
	struct lm_request_body *body; /* whose members are read */
	struct lm_fault *fault;	      /* of the field at hand */
	size_t layer;		      /* its number, SIZE_MAX outside of layers */
	struct loom_error *err;
};

/* ---- faults ---- */

static void
note(struct decoder *d, int found, size_t item, size_t inner)
{
	uint64_t at = (uint64_t)(d->walk.at.p - d->walk.text);

	if (d->fault->at == 0)
		*d->fault = (struct lm_fault){ at + 1, found, d->layer, item, inner };
}

static int
note_and_skip(struct decoder *d, int found, size_t item)
{
	note(d, found, item, SIZE_MAX);
	return lm_walk_skip(&d->walk);
}

static const char *
found_text(int found)
{
	switch (found) {
	case '{':
		return "an object";
	case '[':
		return "an array";
	case '"':
		return "a string";
	case 't':
	case 'f':
		return "a boolean";
	}
	return "a number";
}

/* "is a string, not a number", and the like. */
static void
say_what(char *dst, size_t size, const struct lm_fault *f, enum lm_field_kind kind)
{
	const char *want = wanted[kind];

	if (f->item != SIZE_MAX)
		want = f->inner != SIZE_MAX ? "a number" : wanted_item[kind];
	if (f->found == '\0')
		snprintf(dst, size, "holds a NUL character");
	else if (f->found == '1' && kind == LM_TAKES_INT)
		snprintf(dst, size, "is no integer of 64 bits");
	else if (f->found == '1')
		snprintf(dst, size, "is too large for binary64");
	else
		snprintf(dst, size, "is %s, not %s", found_text(f->found), want);
}

static void
say_where(char *dst, size_t size, const struct lm_fault *f, const char *key)
{
	size_t used = 0;

	if (f->layer != SIZE_MAX)
		used = (size_t)snprintf(dst, size, "layer %zu: ", f->layer);
	used += (size_t)snprintf(dst + used, size - used, "\"%s\"", key);
	if (f->item != SIZE_MAX)
		used += (size_t)snprintf(dst + used, size - used, ": item %zu", f->item);
	if (f->item != SIZE_MAX && f->inner != SIZE_MAX)
		snprintf(dst + used, size - used, ", %zu", f->inner);
}

const char *
lm_request_key(enum lm_field_id id)
{
	return rows[id].key;
}

int
lm_request_fault(const struct lm_fault fault[LM_REQ_FIELDS],
    const unsigned char used[LM_REQ_FIELDS], struct loom_error *err)
{
	char where[160], what[80];
	size_t i, first = LM_REQ_FIELDS;

	for (i = 0; i < LM_REQ_FIELDS; i++)
		if (used[i] && fault[i].at > 0 &&
		    (first == LM_REQ_FIELDS || fault[i].at < fault[first].at))
			first = i;
	if (first == LM_REQ_FIELDS)
		return 0;
	say_where(where, sizeof(where), &fault[first], rows[first].key);
	say_what(what, sizeof(what), &fault[first], rows[first].kind);
	err->placed = 1;
	err->offset = fault[first].at - 1;
	return lm_fail(err, LOOM_EFORMAT, "%s %s", where, what);
}

/* ---- arrays ---- */

/* Room for the values that follow n: as many as there are commas, if they are numbers. */
static int
grow_floats(struct decoder *d, struct lm_floats *f, size_t n)
{
	size_t room = n + lm_scan_count(&d->walk.at);
	float *v;

	if (n > 0 && room < n + n / 2 + 16)
		room = n + n / 2 + 16;
	v = lm_resize(f->v, room, sizeof(*v), d->err);
	if (v == NULL)
		return -1;
	f->v = v;
	f->room = room;
	return 0;
}

/* A value that is no plain number: null keeps what stood there, the rest is a fault. */
static int
odd_item(struct decoder *d, struct lm_floats *f, size_t n, size_t row)
{
	int kind = lm_walk_kind(&d->walk);

	if (kind < 0 || (n == f->room && grow_floats(d, f, n) < 0))
		return -1;
	if (n >= f->high)
		f->v[n] = 0;
	if (kind != 'n')
		note(d, kind == '0' ? '1' : kind, row == SIZE_MAX ? n : row,
		    row == SIZE_MAX ? SIZE_MAX : n);
	return lm_walk_skip(&d->walk);
}

/* From '[' to ']'.  Runs of numbers are scanned; row is the one of a matrix, or SIZE_MAX. */
static int
read_floats(struct decoder *d, struct lm_floats *f, size_t row)
{
	enum lm_scan_stop stop = LM_SCAN_FULL;
	size_t n = 0, got, items = 0;
	int r = lm_walk_item(&d->walk, &items);

	while (r > 0 && stop != LM_SCAN_END) {
		if (n == f->room && grow_floats(d, f, n) < 0)
			return -1;
		stop = lm_scan_floats(&d->walk.at, f->v + n, f->room - n, &got);
		n += got;
		f->high = n > f->high ? n : f->high;
		items = n;
		if (stop == LM_SCAN_OTHER) {
			if (odd_item(d, f, n, row) < 0)
				return -1;
			items = ++n;
			f->high = n > f->high ? n : f->high;
		}
		if (stop == LM_SCAN_OTHER || stop == LM_SCAN_BAD)
			r = lm_walk_item(&d->walk, &items);
	}
	f->n = n;
	f->high = n == 0 ? 0 : f->high;
	return r < 0 ? -1 : 0;
}

static int
grow_rows(struct lm_rows *m, struct loom_error *err)
{
	struct lm_floats *row;
	size_t room = m->room + m->room / 2 + 16;

	row = lm_resize(m->row, room, sizeof(*row), err);
	if (row == NULL)
		return -1;
	memset(row + m->room, 0, (room - m->room) * sizeof(*row));
	m->row = row;
	m->room = room;
	return 0;
}

static int
read_row(struct decoder *d, struct lm_floats *row, size_t i)
{
	int kind = lm_walk_kind(&d->walk);

	if (kind == '[')
		return read_floats(d, row, i);
	if (kind == 'n')
		row->n = row->high = 0;
	else if (kind > 0)
		return note_and_skip(d, kind, i);
	return kind < 0 ? -1 : lm_walk_skip(&d->walk);
}

static int
read_rows(struct decoder *d, struct lm_rows *m)
{
	size_t n = 0;
	int r;

	while ((r = lm_walk_item(&d->walk, &n)) > 0) {
		if (n > m->room && grow_rows(m, d->err) < 0)
			return -1;
		if (n > m->high) {
			m->high = n;
			m->row[n - 1].n = m->row[n - 1].high = 0;
		}
		if (read_row(d, &m->row[n - 1], n - 1) < 0)
			return -1;
	}
	m->n = n;
	m->high = n == 0 ? 0 : m->high;
	return r;
}

/* ---- single values ---- */

static int
read_text(struct decoder *d, union lm_field *f)
{
	struct lm_scan at = d->walk.at, after;
	int nul;

	if (lm_walk_string(&d->walk, &d->word, &nul, d->err) < 0)
		return -1;
	after = d->walk.at;
	d->walk.at = at;
	if (nul)
		note(d, '\0', SIZE_MAX, SIZE_MAX);
	d->walk.at = after;
	f->text = lm_arena_string(&d->request->arena, d->word.data, d->err);
	return f->text != NULL ? 0 : -1;
}

/* An integer is digits alone, and fits into 64 bits. */
static int
read_int(struct decoder *d, union lm_field *f)
{
	const char *p = d->walk.at.p, *end;
	int minus = *p == '-';
	uint64_t v = 0, most = (uint64_t)INT64_MAX + (uint64_t)minus;

	if (lm_walk_skip(&d->walk) < 0)
		return -1;
	end = d->walk.at.p;
	d->walk.at.p = p;
	for (p += minus; p < end && *p >= '0' && *p <= '9' && v <= (most - 9) / 10; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	if (p + 1 == end && *p >= '0' && *p <= '9' && v <= (most - (uint64_t)(*p - '0')) / 10)
		v = v * 10 + (uint64_t)(*p++ - '0');
	if (p < end)
		note(d, '1', SIZE_MAX, SIZE_MAX);
	else
		f->integer = minus ? (int64_t)(0 - v) : (int64_t)v;
	d->walk.at.p = end;
	return 0;
}

/* ---- objects ---- */

static int read_object(struct decoder *, enum scope, union lm_field *, struct lm_fault *);

static struct lm_request_layer *
layer_at(struct decoder *d, size_t i)
{
	struct lm_request_body *b = d->body;
	size_t room = b->room + b->room / 2 + 16, k;
	struct lm_request_layer *layer;

	if (i >= LM_LAYERS_MOST) {
		(void)lm_fail(d->err, LOOM_EUNSUPPORTED, "more than %d layers", LM_LAYERS_MOST);
		return NULL;
	}
	if (i >= b->room) {
		layer = lm_resize(b->layer, room, sizeof(*layer), d->err);
		if (layer == NULL)
			return NULL;
		memset(layer + b->room, 0, (room - b->room) * sizeof(*layer));
		b->layer = layer;
		b->room = room;
	}
	layer = &b->layer[i];
	for (k = 0; i >= b->high && k < LM_REQ_FIELDS - LM_LAYER_FIRST; k++)
		if (rows[LM_LAYER_FIRST + k].kind == LM_TAKES_FLOATS)
			layer->field[k].floats.n = layer->field[k].floats.high = 0;
		else
			memset(&layer->field[k], 0, sizeof(layer->field[k]));
	return layer;
}

static int
read_layer(struct decoder *d, size_t i)
{
	struct lm_request_layer *layer = layer_at(d, i);
	struct lm_fault *fault = d->fault;
	int kind = lm_walk_kind(&d->walk), r;

	if (layer == NULL || kind < 0)
		return -1;
	d->body->high = i + 1 > d->body->high ? i + 1 : d->body->high;
	d->body->made = i + 1 > d->body->made ? i + 1 : d->body->made;
	if (kind == 'n')
		return lm_walk_skip(&d->walk);
	if (kind != '{')
		return note_and_skip(d, kind, i);
	d->layer = i;
	r = read_object(d, LAYER, layer->field, d->body->fault);
	d->layer = SIZE_MAX;
	d->fault = fault;
	return r;
}

static int
read_layers(struct decoder *d)
{
	struct lm_request_body *b = d->body;
	size_t n = 0;
	int r;

	while ((r = lm_walk_item(&d->walk, &n)) > 0)
		if (read_layer(d, n - 1) < 0)
			return -1;
	b->n = n;
	b->high = n == 0 ? 0 : b->high;
	return r;
}

static void
clear_body(struct lm_request_body *b)
{
	memset(b->field, 0, sizeof(b->field));
	memset(b->fault, 0, sizeof(b->fault));
	b->n = b->high = 0;
}

/* The payload stands for a document of its own: what an earlier one said is forgotten. */
static int
read_payload(struct decoder *d)
{
	struct lm_request *q = d->request;
	struct lm_fault *fault = &q->payload.fault[LM_REQ_PAYLOAD];
	int kind = lm_walk_kind(&d->walk), r;

	if (kind < 0)
		return -1;
	q->has_payload = 1;
	clear_body(&q->payload);
	d->fault = fault;
	if (kind == 'n')
		return lm_walk_skip(&d->walk);
	if (kind != '{')
		return note_and_skip(d, kind, SIZE_MAX);
	d->body = &q->payload;
	r = read_object(d, BODY, q->payload.field, q->payload.fault);
	d->body = &q->bare;
	return r;
}

/* null: an array is emptied, all else stays as it was. */
static int
read_null(struct decoder *d, enum lm_field_kind kind, union lm_field *f)
{
	if (kind == LM_TAKES_FLOATS)
		f->floats.n = f->floats.high = 0;
	else if (kind == LM_TAKES_ROWS)
		f->rows.n = f->rows.high = 0;
	else if (kind == LM_TAKES_LAYERS)
		d->body->n = d->body->high = 0;
	return lm_walk_skip(&d->walk);
}

static int
read_field(struct decoder *d, enum lm_field_kind kind, union lm_field *f)
{
	int found = lm_walk_kind(&d->walk);

	if (found < 0)
		return -1;
	if (kind == LM_TAKES_BODY)
		return read_payload(d);
	if (found == 'n')
		return read_null(d, kind, f);
	if (kind == LM_TAKES_TEXT && found == '"')
		return read_text(d, f);
	if (kind == LM_TAKES_INT && found == '0')
		return read_int(d, f);
	if (kind == LM_TAKES_BOOL && (found == 't' || found == 'f')) {
		f->integer = found == 't';
		return lm_walk_skip(&d->walk);
	}
	if (found != '[' || kind < LM_TAKES_FLOATS)
		return note_and_skip(d, found, SIZE_MAX);
	if (kind == LM_TAKES_FLOATS)
		return read_floats(d, &f->floats, SIZE_MAX);
	return kind == LM_TAKES_ROWS ? read_rows(d, &f->rows) : read_layers(d);
}

/* Letters in any case; U+212A and U+017F fold to k and s. */
static int
same_key(const char *text, const char *key)
{
	for (; *key != '\0'; key++) {
		if (*key == 'k' && strncmp(text, "\xe2\x84\xaa", 3) == 0)
			text += 3;
		else if (*key == 's' && strncmp(text, "\xc5\xbf", 2) == 0)
			text += 2;
		else if (*text == *key || (*key >= 'a' && *text == *key - 'a' + 'A'))
			text++;
		else
			return 0;
	}
	return *text == '\0';
}

/* The field of that scope that the key names, or LM_REQ_FIELDS. */
static size_t
field_of(enum scope scope, const char *key)
{
	size_t i;

	for (i = 0; i < LM_REQ_FIELDS; i++)
		if (rows[i].scope == scope && same_key(key, rows[i].key))
			return i;
	return LM_REQ_FIELDS;
}

static int
read_object(struct decoder *d, enum scope scope, union lm_field *field, struct lm_fault *fault)
{
	size_t n = 0, first = scope == LAYER ? LM_LAYER_FIRST : 0, i;
	int r;

	while ((r = lm_walk_member(&d->walk, &n, &d->word)) > 0) {
		i = field_of(scope, d->word.data);
		if (i == LM_REQ_FIELDS) {
			if (lm_walk_skip(&d->walk) < 0)
				return -1;
			continue;
		}
		d->fault = &fault[i];
		if (read_field(d, rows[i].kind, &field[i - first]) < 0)
			return -1;
	}
	return r;
}

/* The document is an envelope and may be a body: a key that both have is read twice. */
static int
read_root(struct decoder *d)
{
	struct lm_request *q = d->request;
	const char *value;
	size_t n = 0, e, b;
	int r;

	while ((r = lm_walk_member(&d->walk, &n, &d->word)) > 0) {
		e = field_of(ENVELOPE, d->word.data);
		b = field_of(BODY, d->word.data);
		value = d->walk.at.p;
		if (e < LM_REQ_FIELDS) {
			d->fault = &q->fault[e];
			r = read_field(d, rows[e].kind, &q->envelope[e]);
		} else if (b == LM_REQ_FIELDS)
			r = lm_walk_skip(&d->walk);
		if (r < 0)
			return -1;
		if (b == LM_REQ_FIELDS)
			continue;
		d->walk.at.p = value;
		d->fault = &q->bare.fault[b];
		if (read_field(d, rows[b].kind, &q->bare.field[b]) < 0)
			return -1;
	}
	return r;
}

int
lm_request_decode(struct lm_request *q, const char *text, size_t n, struct loom_error *err)
{
	struct decoder d = { .walk = { { text, text + n }, text, err },
		.request = q,
		.body = &q->bare,
		.layer = SIZE_MAX,
		.err = err };
	int kind, r;

	lm_buf_init(&d.word, SIZE_MAX / 4);
	kind = lm_walk_kind(&d.walk);
	if (kind == '{')
		r = read_root(&d);
	else
		r = kind < 0 ? -1 : lm_walk_skip(&d.walk);
	if (r == 0)
		r = lm_walk_end(&d.walk);
	if (r == 0 && kind != '{' && kind != 'n')
		r = lm_fail(err, LOOM_EFORMAT, "the request is %s, not an object",
		    found_text(kind));
	q->body = q->has_payload ? &q->payload : &q->bare;
	lm_buf_release(&d.word);
	return r;
}

/* ---- the end ---- */

static void
release_body(struct lm_request_body *b)
{
	size_t i, k;

	for (i = 0; i < b->made; i++)
		for (k = LM_LAYER_FIRST; k < LM_REQ_FIELDS; k++)
			if (rows[k].kind == LM_TAKES_FLOATS)
				lm_free(LM_LAYER_FIELD(&b->layer[i], k)->floats.v);
	lm_free(b->layer);
}

void
lm_request_release(struct lm_request *q)
{
	struct lm_rows *m = &q->envelope[LM_REQ_INPUTS].rows;
	size_t i;

	for (i = 0; i < m->room; i++)
		lm_free(m->row[i].v);
	lm_free(m->row);
	release_body(&q->bare);
	release_body(&q->payload);
	lm_arena_release(&q->arena);
	memset(q, 0, sizeof(*q));
}
