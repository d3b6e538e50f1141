/* trial_layers: every operation of the vocabulary, alone, on drawn inputs and weights. */
#include "layer/trial_layers.h"

#include <math.h>
#include <string.h>

#include "num/bytes.h"
#include "num/text.h"

#define TRIAL(op, params, inputs) { #op, params, inputs },

static const struct {
	const char *op, *params, *inputs;
} cases[] = {
#include "layer/trials.def"
};

enum { CASES = sizeof cases / sizeof cases[0], INPUTS = 4, OUTPUTS = 3 };

/* An operation and all that it needs. */
struct alone {
	struct lm_trial *trial;
	uint64_t seed;
	struct lm_node node;
	struct lm_dim list[LM_PARAMS][LOOM_RANK];
	size_t tensors[INPUTS];
	struct lm_shape in_shape[INPUTS], out_shape[OUTPUTS];
	struct lm_array in[INPUTS], out[OUTPUTS];
	struct lm_prepared slot[LM_SLOTS];
	struct lm_call call;
};

static int
misread(const struct alone *a, const char *text, struct loom_error *err)
{
	return lm_fail(err, LOOM_EARG, "trial of %s: no sense in \"%.80s\"", a->node.op->name,
	    text);
}

/* ---- the table's language ---- */

/* A decimal integer with a sign; the rest of the text comes back. */
static const char *
whole(const char *s, int64_t *v)
{
	int minus = *s == '-';

	*v = 0;
	for (s += minus; *s >= '0' && *s <= '9'; s++)
		*v = 10 * *v + (*s - '0');
	*v = minus ? -*v : *v;
	return s;
}

static void
set_list(struct alone *a, size_t param, const char *s)
{
	struct lm_dim *list = a->list[param];
	size_t n = 0;

	while (*s == '-' || (*s >= '0' && *s <= '9')) {
		s = whole(s, &list[n++].value);
		s += *s == ',';
	}
	a->node.param[param].dims.n = n;
}

static int
set_name(struct alone *a, size_t param, const char *s, size_t length, struct loom_error *err)
{
	const char *const *names = a->node.op->params[param].names;
	int64_t i;

	for (i = 0; names[i] != NULL; i++)
		if (strlen(names[i]) == length && memcmp(names[i], s, length) == 0) {
			a->node.param[param].i = i;
			return 0;
		}
	return misread(a, s, err);
}

static int
set_param(struct alone *a, size_t param, const char *s, size_t length, struct loom_error *err)
{
	switch (a->node.op->params[param].kind) {
	case LM_IS_REAL:
	case LM_IS_MAYBE:
		return lm_text_parse(s, length, &a->node.param[param].real) < 0 ? misread(a, s, err)
										: 0;
	case LM_IS_ENUM:
		return set_name(a, param, s, length, err);
	case LM_IS_INTS:
	case LM_IS_DIMS:
		set_list(a, param, s);
		return 0;
	default:
		(void)whole(s, &a->node.param[param].i);
		return 0;
	}
}

/* "key=value key=value" */
static int
set_params(struct alone *a, const char *s, struct loom_error *err)
{
	size_t i, n = lm_layer_params(a->node.op), key, length;

	for (i = 0; i < n; i++) {
		if (a->node.op->params[i].kind == LM_IS_MAYBE)
			a->node.param[i].real = (double)NAN;
		if (a->node.op->params[i].kind == LM_IS_INTS ||
		    a->node.op->params[i].kind == LM_IS_DIMS)
			a->node.param[i].dims.dim = a->list[i];
	}
	for (; *s != '\0'; s += key + 1 + length, s += *s == ' ') {
		key = strcspn(s, "=");
		length = strcspn(s + key + 1, " ");
		for (i = 0; i < n; i++)
			if (strlen(a->node.op->params[i].key) == key &&
			    memcmp(a->node.op->params[i].key, s, key) == 0)
				break;
		if (i == n)
			return misread(a, s, err);
		if (set_param(a, i, s + key + 1, length, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- values ---- */

/* Room for a value of that shape, at least for one element. */
static int
place(struct alone *a, struct lm_array *array, const struct lm_shape *shape, struct loom_error *err)
{
	uint64_t count, bytes;

	if (lm_shape_count(shape, &count) < 0 ||
	    lm_dtype_bytes(shape->dtype, count + 1, &bytes) < 0)
		return lm_fail(err, LOOM_ESHAPE, "trial of %s: too large", a->node.op->name);
	array->shape = shape;
	array->data = lm_arena_alloc(&a->trial->arena, (size_t)bytes, 1, err);
	return array->data != NULL ? 0 : -1;
}

/* 0 where a key may be seen, else minus infinity. */
static void
fill_mask(float *v, size_t n, uint64_t *seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = lm_trial_bits(seed) % 4 == 0 ? -HUGE_VALF : 0;
}

/* What a letter stands for: i5 is indices below 5, l any integers, b flags, m a mask. */
static void
fill(struct alone *a, char letter, int64_t most, void *data, size_t n)
{
	static const char classes[LM_TRIAL_CLASSES + 1] = "nrwcdpuzs";
	const char *class = strchr(classes, letter);
	int64_t *integers = data;
	unsigned char *flags = data;
	size_t i;

	if (class != NULL)
		lm_trial_fill(data, n, (size_t)(class - classes), &a->seed);
	else if (letter == 'm')
		fill_mask(data, n, &a->seed);
	for (i = 0; i < n && letter == 'i'; i++)
		integers[i] = lm_trial_bits(&a->seed) % most;
	for (i = 0; i < n && letter == 'l'; i++)
		integers[i] = (int64_t)(lm_trial_bits(&a->seed) << 7) - 0x3fffffff;
	for (i = 0; i < n && letter == 'b'; i++)
		flags[i] = lm_trial_bits(&a->seed) % 2;
}

/* "n:2,3 i5:4" */
static int
set_inputs(struct alone *a, const char *s, struct loom_error *err)
{
	int64_t most, extent;
	struct lm_shape *shape;
	uint64_t count;
	char letter;
	size_t i;

	for (i = 0; *s != '\0'; i++, s += *s == ' ') {
		a->node.n_in = i + 1;
		a->tensors[i] = *s == '-' ? LM_ABSENT : i;
		letter = *s++;
		if (letter == '-')
			continue;
		s = whole(s, &most);
		shape = &a->in_shape[i];
		shape->dtype = lm_dtype_get(letter == 'i' || letter == 'l' ? LM_I64
			: letter == 'b'					   ? LM_BOOL
									   : LM_F32);
		while (*s == ':' || *s == ',') {
			s = whole(s + 1, &extent);
			shape->dim[shape->rank++] = (uint64_t)extent;
		}
		if (place(a, &a->in[i], shape, err) < 0 || lm_shape_count(shape, &count) < 0)
			return -1;
		fill(a, letter, most, a->in[i].data, (size_t)count);
	}
	a->node.in = a->tensors;
	return 0;
}

/* Normal float32 weights, as a file has them. */
static int
set_weight(struct alone *a, size_t slot, struct loom_error *err)
{
	int positive = strcmp(a->node.op->slots[slot].name, "var") == 0;
	struct lm_weight *w = &a->node.weight[slot];
	unsigned char *bytes;
	struct lm_shape shape;
	size_t i;
	float v;

	if (!lm_slot_wanted(&a->node, slot))
		return 0;
	w->dtype = lm_dtype_get(LM_F32);
	w->scale = 1;
	if (lm_slot_shape(&a->node, slot, &shape, err) < 0 || lm_shape_count(&shape, &w->count) < 0)
		return -1;
	w->bytes = w->count * sizeof(v);
	bytes = lm_arena_alloc(&a->trial->arena, (size_t)w->count + 1, sizeof(v), err);
	if (bytes == NULL)
		return -1;
	bytes++; /* a checkpoint aligns nothing */
	for (i = 0; i < w->count; i++) {
		v = lm_trial_gauss(&a->seed);
		lm_put_f32(bytes + i * sizeof(v), positive ? fabsf(v) : v);
	}
	w->data = bytes;
	return 0;
}

/* ---- the operation ---- */

static int
set_outputs(struct alone *a, const struct lm_shaping *s, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < lm_layer_params(a->node.op); i++)
		if (lm_param_check(&a->node, i, err) < 0)
			return -1;
	if ((a->node.op->check != NULL && a->node.op->check(&a->node, err) < 0) ||
	    a->node.op->shape(s, err) < 0)
		return -1;
	for (i = 0; i < a->node.n_out; i++)
		if (place(a, &a->out[i], &a->out_shape[i], err) < 0)
			return -1;
	return 0;
}

static int
prepare(struct alone *a, const struct lm_shaping *s, struct loom_error *err)
{
	const struct lm_layer_ops *op = a->node.op;
	struct lm_arena *arena = &a->trial->arena;
	struct lm_preparing p = { &a->node, a->slot, a->trial->kernels, arena };
	size_t scratch = 0;

	if ((op->prepare != NULL ? op->prepare(&p, err) : lm_prepare_slots(&p, err)) < 0 ||
	    (op->plan != NULL && op->plan(s, &scratch, err) < 0))
		return -1;
	a->call.node = &a->node;
	a->call.in = a->in;
	a->call.out = a->out;
	a->call.slot = a->slot;
	a->call.kernels = a->trial->kernels;
	a->call.counts = lm_arena_alloc(arena, 1, sizeof(*a->call.counts), err);
	a->call.scratch = lm_arena_alloc(arena, scratch, 1, err);
	a->call.room = lm_arena_alloc(arena, a->call.kernels->room, 1, err);
	return a->call.counts != NULL && a->call.scratch != NULL && a->call.room != NULL ? 0 : -1;
}

/* Weights in the forms that pay for many rows. */
static int
suit(struct alone *a, const struct lm_shaping *s, struct loom_error *err)
{
	enum { MANY = 1 << 16 };
	struct lm_matrix *w;
	size_t i;

	for (i = 0; i < LM_SLOTS && a->node.op->rows != NULL; i++) {
		w = &a->slot[i].matrix;
		if (w->rows != NULL && a->node.op->rows(s, i) > 0 &&
		    lm_matrix_suit(w, MANY, a->trial->kernels, &a->trial->arena, err) < 0)
			return -1;
	}
	return 0;
}

static int
forward(struct alone *a, struct loom_error *err)
{
	int r;

	if (lm_pool_new(&a->call.pool, 1, err) < 0)
		return -1;
	r = a->node.op->forward(&a->call, err);
	lm_pool_free(a->call.pool);
	return r;
}

static void
tell(const struct alone *a)
{
	const struct lm_shape *shape;
	const unsigned char *flags;
	const int64_t *integers;
	uint64_t count, k;
	size_t i;

	for (i = 0; i < a->node.n_out; i++) {
		shape = &a->out_shape[i];
		integers = a->out[i].data;
		flags = a->out[i].data;
		if (lm_shape_count(shape, &count) < 0)
			return;
		if (shape->dtype == lm_dtype_get(LM_F32))
			lm_trial_f32(a->trial, a->out[i].data, (size_t)count);
		for (k = 0; k < count && shape->dtype == lm_dtype_get(LM_I64); k++) {
			lm_trial_u32(a->trial, (uint32_t)integers[k]);
			lm_trial_u32(a->trial, (uint32_t)((uint64_t)integers[k] >> 32));
		}
		for (k = 0; k < count && shape->dtype == lm_dtype_get(LM_BOOL); k++)
			lm_trial_u32(a->trial, flags[k]);
	}
}

/* All that the operation can put out: states too. */
static size_t
outputs_of(const struct lm_node *n)
{
	if (n->op->out_most > OUTPUTS) /* split: a part for each size */
		return n->param[lm_layer_param(n->op, "sizes")].dims.n;
	return n->op->out_most;
}

/* With the weights as they came, then as they are for many rows. */
static int
run(struct lm_trial *t, size_t which, struct loom_error *err)
{
	struct alone *a = lm_arena_alloc(&t->arena, 1, sizeof(*a), err);
	struct lm_shaping s;
	size_t i;

	if (a == NULL)
		return -1;
	lm_trial_name(t, "%s of %.80s", cases[which].op, cases[which].inputs);
	a->trial = t;
	a->seed = which + 1;
	a->node.name = "y";
	a->node.op = lm_layer_find(cases[which].op);
	if (set_params(a, cases[which].params, err) < 0 ||
	    set_inputs(a, cases[which].inputs, err) < 0)
		return -1;
	for (i = 0; i < lm_layer_slots(a->node.op); i++)
		if (set_weight(a, i, err) < 0)
			return -1;
	a->node.n_out = outputs_of(&a->node);
	s = (struct lm_shaping){ &a->node, a->in_shape, a->out_shape, NULL };
	if (set_outputs(a, &s, err) < 0 || prepare(a, &s, err) < 0 || forward(a, err) < 0)
		return -1;
	tell(a);
	lm_trial_again(t);
	if (suit(a, &s, err) < 0 || forward(a, err) < 0)
		return -1;
	tell(a);
	return 0;
}

const struct lm_trials lm_trial_layers = { CASES, run };
