/* rules: what a user says of tensors by their names, from files of lines and from options. */
#include "model/rules.h"

#include <string.h>

#include "base/buf.h"
#include "base/source.h"
#include "num/text.h"

enum { LINE = 8192 }; /* the longest of a file */

int
lm_glob(const char *glob, const char *name, struct lm_span part[LM_STARS])
{
	const char *back = NULL, *again = NULL; /* behind the last star; where it may grow from */
	struct lm_span *now = NULL;
	int stars = 0;

	while (*name != '\0' || *glob == '*') {
		if (*glob == '*') {
			now = &part[stars < LM_STARS ? stars++ : LM_STARS - 1];
			*now = (struct lm_span){ name, 0 };
			back = ++glob;
			again = name;
		} else if (*glob != '\0' && (*glob == '?' || *glob == *name)) {
			glob++;
			name++;
		} else if (back != NULL) {
			now->n++;
			glob = back;
			name = ++again;
		} else
			return 0;
	}
	return *glob == '\0';
}

/* ---- files of lines ---- */

/* One line of a file, cut into words. */
struct line {
	const char *path;
	size_t number;
	char *word[8];
	size_t n;
};

static int
cut(struct line *l, char *text, struct loom_error *err)
{
	const char *blank = " \t\r";
	size_t room = sizeof(l->word) / sizeof(*l->word);

	for (l->n = 0;; l->n++) {
		text += strspn(text, blank);
		if (*text == '\0' || (l->n == 0 && *text == '#'))
			return 0;
		if (l->n == room)
			return lm_fail(err, LOOM_EFORMAT, "%s:%zu: more than %zu words", l->path,
			    l->number, room);
		l->word[l->n] = text;
		text += strcspn(text, blank);
		if (*text != '\0')
			*text++ = '\0';
	}
}

typedef int line_fn(struct lm_rules *, const struct line *, const void *context, struct lm_arena *,
    struct loom_error *);

/* One line as text, cut; 1 if it says something. */
static int
read_line(struct line *l, struct lm_buf *text, const unsigned char *from, size_t n,
    struct loom_error *err)
{
	l->number++;
	if (n > LINE || memchr(from, '\0', n) != NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s:%zu: %s", l->path, l->number,
		    n > LINE ? "a line of more than 8192 bytes" : "a NUL byte");
	lm_buf_clear(text);
	if (lm_buf_add(text, from, n, err) < 0 || cut(l, text->data, err) < 0)
		return -1;
	return l->n > 0;
}

/* Every line that says something, in order. */
static int
each_line(const char *path, line_fn *take, struct lm_rules *r, const void *context,
    struct lm_arena *arena, struct loom_error *err)
{
	char shown[LM_SHOWN];
	struct line l = { .path = lm_shown(shown, path) };
	const unsigned char *at, *end;
	struct lm_source *s;
	struct lm_buf text;
	size_t left, n;
	int got = 0;

	if (lm_source_open(&s, path, err) < 0)
		return -1;
	lm_buf_init(&text, LINE + 1);
	if (lm_source_all(s, &at, &left, err) < 0)
		got = -1;
	for (; got >= 0 && left > 0; at += n, left -= n) {
		end = memchr(at, '\n', left);
		n = end != NULL ? (size_t)(end - at) : left;
		got = read_line(&l, &text, at, n, err);
		if (got > 0)
			got = take(r, &l, context, arena, err);
		n += end != NULL;
	}
	lm_buf_release(&text);
	lm_source_free(s);
	return got < 0 ? -1 : 0;
}

/* Room for one more of n things: arrays double, and what is left behind stays in the arena. */
static void *
grown(void *old, size_t n, size_t size, struct lm_arena *arena, struct loom_error *err)
{
	void *made;

	if (n > 0 && (n & (n - 1)) != 0)
		return old;
	made = lm_arena_alloc(arena, n > 0 ? 2 * n : 1, size, err);
	if (made != NULL && n > 0)
		memcpy(made, old, n * size);
	return made;
}

static size_t
stars(const char *glob)
{
	size_t n = 0;

	for (; *glob != '\0'; glob++)
		n += *glob == '*';
	return n;
}

static int
take_rename(struct lm_rules *r, const struct line *l, const void *context, struct lm_arena *arena,
    struct loom_error *err)
{
	struct lm_rename *made;

	(void)context;
	if (l->n != 2)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s:%zu: %zu words, expected two: A's name and B's", l->path, l->number, l->n);
	if (stars(l->word[0]) != stars(l->word[1]) || stars(l->word[0]) > LM_STARS)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s:%zu: %zu and %zu stars, expected as many in B's name as in A's (up to %d)",
		    l->path, l->number, stars(l->word[0]), stars(l->word[1]), LM_STARS);
	r->rename = made = grown(r->rename, r->n_rename, sizeof(*made), arena, err);
	if (made == NULL)
		return -1;
	made += r->n_rename++;
	made->from = lm_arena_string(arena, l->word[0], err);
	made->to = lm_arena_string(arena, l->word[1], err);
	return made->from != NULL && made->to != NULL ? 0 : -1;
}

/* atol=X, rtol=X or scale=none|max; 0 if it is none of them. */
static int
set_bound(struct lm_bound *b, const char *word)
{
	const char *equals = strchr(word, '=');
	double *at;

	if (strcmp(word, "scale=none") == 0 || strcmp(word, "scale=max") == 0) {
		b->scale_max = word[6] == 'm';
		return 1;
	}
	at = strncmp(word, "atol=", 5) == 0  ? &b->atol
	    : strncmp(word, "rtol=", 5) == 0 ? &b->rtol
					     : NULL;
	return at != NULL && lm_text_parse(equals + 1, strlen(equals + 1), at) == 0 && *at >= 0 &&
	    *at <= 1e300;
}

static int
take_bound(struct lm_rules *r, const struct line *l, const void *context, struct lm_arena *arena,
    struct loom_error *err)
{
	const struct loom_compare_options *o = context;
	struct lm_bound *made;
	char shown[LM_SHOWN];
	size_t i;

	if (l->n == 1)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s:%zu: a glob alone, expected atol=X, rtol=X "
		    "or scale=none|max behind it",
		    l->path, l->number);
	r->bound = made = grown(r->bound, r->n_bound, sizeof(*made), arena, err);
	if (made == NULL)
		return -1;
	made += r->n_bound++;
	*made = (struct lm_bound){ lm_arena_string(arena, l->word[0], err), o->atol, o->rtol,
		o->scale_max };
	for (i = 1; i < l->n; i++)
		if (!set_bound(made, l->word[i]))
			return lm_fail(err, LOOM_EFORMAT,
			    "%s:%zu: %s, expected atol=X, rtol=X or scale=none|max", l->path,
			    l->number, lm_shown(shown, l->word[i]));
	return made->glob != NULL ? 0 : -1;
}

/* ---- --permute ---- */

/* "0,3,1,2": each axis once. */
static int
axes(struct lm_order *o, const char *text)
{
	unsigned seen = 0, axis;

	for (o->rank = 0; o->rank < LOOM_RANK; text++) {
		for (axis = LOOM_RANK; *text >= '0' && *text <= '9'; text++)
			axis = (axis == LOOM_RANK ? 0 : 10 * axis) + (unsigned)(*text - '0');
		if (axis >= LOOM_RANK || (seen >> axis & 1) != 0)
			return 0;
		seen |= 1u << axis;
		o->axis[o->rank++] = axis;
		if (*text != ',')
			break;
	}
	return *text == '\0' && seen == (1u << o->rank) - 1;
}

static int
take_order(struct lm_rules *r, const char *text, struct lm_arena *arena, struct loom_error *err)
{
	struct lm_order *made = &r->order[r->n_order++];
	char *glob = lm_arena_string(arena, text, err);
	char *equals = glob != NULL ? strrchr(glob, '=') : NULL;

	if (glob == NULL)
		return -1;
	made->text = text;
	made->glob = glob;
	if (equals == NULL || equals == glob || !axes(made, equals + 1))
		return lm_fail(err, LOOM_EARG,
		    "--permute '%.200s': expected GLOB=AXES, the axes of A's tensor in B's order, "
		    "as in 'conv*=0,3,1,2'",
		    text);
	*equals = '\0';
	return 0;
}

/* ---- all of them ---- */

int
lm_rules_read(struct lm_rules *r, const struct loom_compare_options *o, struct lm_arena *arena,
    struct loom_error *err)
{
	struct loom_compare_options given = *o;
	size_t i;

	*r = (struct lm_rules){ 0 };
	r->order = lm_arena_alloc(arena, o->n_permute + 1, sizeof(*r->order), err);
	if (r->order == NULL)
		return -1;
	for (i = 0; i < o->n_permute; i++)
		if (take_order(r, o->permute[i], arena, err) < 0)
			return -1;
	if (o->map != NULL && each_line(o->map, take_rename, r, NULL, arena, err) < 0)
		return -1;
	return o->policy != NULL ? each_line(o->policy, take_bound, r, &given, arena, err) : 0;
}

/* `to` with each star replaced. */
static const char *
replaced(const char *to, const struct lm_span part[LM_STARS], struct lm_arena *arena,
    struct loom_error *err)
{
	size_t n = strlen(to) + 1, i = 0;
	const char *s;
	char *made, *at;

	for (s = to; *s != '\0'; s++)
		n += *s == '*' ? part[i++].n : 0;
	made = at = lm_arena_alloc(arena, n, 1, err);
	for (i = 0; made != NULL && *to != '\0'; to++)
		if (*to == '*') {
			memcpy(at, part[i].s, part[i].n);
			at += part[i++].n;
		} else
			*at++ = *to;
	return made;
}

const char *
lm_rules_name(const struct lm_rules *r, const char *name, struct lm_arena *arena,
    struct loom_error *err)
{
	struct lm_span part[LM_STARS];
	size_t i;

	for (i = 0; i < r->n_rename; i++)
		if (lm_glob(r->rename[i].from, name, part))
			return replaced(r->rename[i].to, part, arena, err);
	return name;
}

struct lm_order *
lm_rules_order(const struct lm_rules *r, const char *name)
{
	struct lm_span part[LM_STARS];
	size_t i;

	for (i = 0; i < r->n_order; i++)
		if (lm_glob(r->order[i].glob, name, part))
			return &r->order[i];
	return NULL;
}

const struct lm_bound *
lm_rules_bound(const struct lm_rules *r, const char *name)
{
	struct lm_span part[LM_STARS];
	size_t i;

	for (i = 0; i < r->n_bound; i++)
		if (lm_glob(r->bound[i].glob, name, part))
			return &r->bound[i];
	return NULL;
}
