/* lower_build: the layers of plain Loom that stand for a node. */
#include <math.h>
#include <string.h>

#include "format/lower.h"

static const char linear[] = "Linear";

/* ---- layers ---- */

static struct lm_lowered *
new_layer(struct lm_lower *l, const char *type, const char *activation)
{
	struct lm_lowered *cell = lm_arena_alloc(&l->plan->arena, 1, sizeof(*cell), l->err);

	if (cell == NULL)
		return NULL;
	cell->type = type;
	cell->activation = activation;
	cell->dtype = lm_dtype_get(LM_F32);
	return cell;
}

static void
set(struct lm_lowered *cell, const char *key, uint64_t integer)
{
	cell->number[cell->n_numbers].key = key;
	cell->number[cell->n_numbers++].integer = (int64_t)integer;
}

static void
set_real(struct lm_lowered *cell, const char *key, double real)
{
	cell->number[cell->n_numbers].key = key;
	cell->number[cell->n_numbers++].real = real;
}

static void
append(struct lm_lowered *parent, struct lm_lowered *child)
{
	if (child == NULL)
		return;
	if (parent->last != NULL)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

struct lm_lowered *
lm_lower_sequence(struct lm_lower *l, struct lm_lowered *a, struct lm_lowered *b,
    struct lm_lowered *c)
{
	struct lm_lowered *cell = new_layer(l, "Sequential", linear);

	if (cell == NULL || l->err->code != LOOM_OK)
		return NULL;
	append(cell, a);
	append(cell, b);
	append(cell, c);
	return cell;
}

struct lm_lowered *
lm_lower_branches(struct lm_lower *l, const char *combine, struct lm_lowered *a,
    struct lm_lowered *b)
{
	struct lm_lowered *cell = new_layer(l, "Parallel", linear);

	if (cell == NULL || l->err->code != LOOM_OK)
		return NULL;
	cell->combine = combine;
	append(cell, a);
	append(cell, b);
	return cell;
}

/* The same layer with a blob of other values. */
static struct lm_lowered *
remade(struct lm_lower *l, const struct lm_node *node, lm_lower_make *make, uint64_t values)
{
	const struct lm_role *role = lm_lower_role(l, node);
	const struct lm_cell_row *row = lm_cell_by_op(node->op->name);
	struct lm_lowered *cell = new_layer(l, row->type, linear);

	if (cell == NULL)
		return NULL;
	cell->activation = row->idle != NULL ? row->idle : role->activation->name;
	cell->like = cell->from = node;
	cell->row = row;
	cell->make = make;
	cell->values = values;
	return cell;
}

struct lm_lowered *
lm_lower_layer(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_role *role = lm_lower_role(l, node);
	struct lm_lowered *cell = remade(l, node, NULL, 0);

	if (cell == NULL)
		return NULL;
	cell->from = NULL;
	cell->dtype = role->dtype;
	if (role->row->activation != NULL)
		cell->activation = lm_activation_inside(role->row, node);
	return cell;
}

struct lm_lowered *
lm_lower_skip(struct lm_lower *l, struct lm_lowered *block)
{
	struct lm_lowered *skip = new_layer(l, "Residual", linear);

	return skip != NULL ? lm_lower_sequence(l, block, skip, NULL) : NULL;
}

/* A convolution of one channel with one tap: every value by itself. */
static struct lm_lowered *
pointwise(struct lm_lower *l, const char *activation, uint64_t in, uint64_t out, double factor)
{
	struct lm_lowered *cell = new_layer(l, "CNN1", activation);

	if (cell == NULL)
		return NULL;
	set(cell, "input_channels", 1);
	set(cell, "filters", 1);
	set(cell, "kernel_size", 1);
	set(cell, "stride", 1);
	set(cell, "input_height", in);
	set(cell, "output_height", out);
	cell->make = lm_lower_make_number;
	cell->values = 1;
	cell->factor = factor;
	return cell;
}

static uint64_t
known_count(const struct lm_lower *l, const struct lm_node *node, size_t value)
{
	uint64_t n = lm_lower_count(l, value);

	if (n == 0)
		(void)lm_lower_refuse(l, node,
		    "its extents depend on sizes that Loom's spec would have to state");
	return n;
}

/* A residual layer that begins a sequence adds nothing: it says what is read. */
static struct lm_lowered *
same_values(struct lm_lower *l, uint64_t n)
{
	struct lm_lowered *cell = new_layer(l, "Residual", linear);

	if (cell == NULL)
		return NULL;
	set(cell, "input_height", n);
	set(cell, "output_height", n);
	return cell;
}

struct lm_lowered *
lm_lower_each(struct lm_lower *l, const struct lm_node *node, const char *activation, float factor)
{
	uint64_t n = known_count(l, node, node->in[0]);

	/* A single branch: what comes out has two axes, as most of Loom's layers want it. */
	return lm_lower_sequence(l, same_values(l, n),
	    lm_lower_branches(l, "concat", pointwise(l, activation, n, n, (double)factor), NULL),
	    NULL);
}

/* ---- constants ---- */

/*
 * 0.5, whatever comes in: the sigmoid of 0.  Every window lies in the padding, so nothing that is not
 * finite gets in.
 */
static struct lm_lowered *
half(struct lm_lower *l, uint64_t in)
{
	struct lm_lowered *cell = pointwise(l, "Sigmoid", in, 1, 0);

	if (cell != NULL)
		set(cell, "padding", 1);
	return cell;
}

/* Extents of a convolution's input: with the padding around them, and of what comes out. */
struct plane {
	size_t n; /* axes */
	uint64_t channels, in[3], padded[3], out[3];
	uint64_t kernel, stride, padding, size; /* size: of a kernel, in all axes */
};

static struct plane
plane_of(const struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_layer_ops *op = node->op;
	const struct lm_dims *high = &node->param[lm_layer_param(op, "pad_high")].dims;
	struct plane p = { 0 };
	size_t i;

	p.n = high->n;
	p.channels = (uint64_t)node->param[lm_layer_param(op, "in_channels")].i;
	p.kernel = (uint64_t)node->param[lm_layer_param(op, "kernel")].dims.dim[0].value;
	p.stride = (uint64_t)node->param[lm_layer_param(op, "stride")].dims.dim[0].value;
	p.padding = (uint64_t)node->param[lm_layer_param(op, "pad_low")].dims.dim[0].value;
	p.size = 1;
	for (i = 0; i < p.n; i++) {
		p.in[i] = lm_trials_extent(&l->plan->trials, node->in[0], p.n - 1 - i);
		p.out[i] = lm_trials_extent(&l->plan->trials, node->out[0], p.n - 1 - i);
		p.padded[i] = p.in[i] + p.padding + (uint64_t)high->dim[i].value;
		p.size *= p.kernel;
	}
	return p;
}

/* The convolution over as many axes. */
static const struct lm_cell_row *
convolution(const struct plane *p)
{
	static const char *const ops[] = { "conv1", "conv2", "conv3" };

	return lm_cell_by_op(ops[p->n - 1]);
}

/* A convolution with a kernel of one tap, from so many extents to so many. */
static struct lm_lowered *
tap(struct lm_lower *l, const struct plane *p, const uint64_t *in, const uint64_t *out,
    uint64_t filters, uint64_t padding)
{
	const struct lm_cell_row *row = convolution(p);
	struct lm_lowered *cell = new_layer(l, row->type, linear);
	size_t i;

	if (cell == NULL)
		return NULL;
	set(cell, "input_channels", p->channels);
	set(cell, "filters", filters);
	set(cell, "kernel_size", 1);
	set(cell, "stride", 1);
	set(cell, "padding", padding);
	for (i = 0; i < p->n; i++) {
		set(cell, row->reads[1 + i], in[i]);
		set(cell, row->makes[1 + i], out[i]);
	}
	cell->values = p->channels * filters;
	return cell;
}

/* 0.5 as a plane beside the channels: of extents out, from windows that lie in the padding. */
static struct lm_lowered *
half_plane(struct lm_lower *l, const struct plane *p, const uint64_t *in, const uint64_t *out)
{
	uint64_t padding = 1;
	struct lm_lowered *cell;
	size_t i;

	for (i = 0; i < p->n; i++)
		padding = out[i] > padding ? out[i] : padding;
	cell = tap(l, p, in, out, 1, padding);
	if (cell != NULL) {
		cell->activation = "Sigmoid";
		cell->make = lm_lower_make_number;
	}
	return cell;
}

/* ---- biases ---- */

/*
 * Added to what the layer makes, in a float32 of its own: two roundings, but the weights stay what they
 * are.  constant makes 0.5 of the input.
 */
static struct lm_lowered *
added_bias(struct lm_lower *l, const struct lm_node *node, struct lm_lowered *constant)
{
	struct lm_lowered *layer = lm_lower_layer(l, node), *bias, *sum;
	uint64_t n = known_count(l, node, node->out[0]);

	bias = new_layer(l, "Dense", linear);
	if (layer == NULL || bias == NULL || n == 0)
		return NULL;
	set(bias, "input_height", 1);
	set(bias, "output_height", n);
	bias->from = node;
	bias->make = lm_lower_make_biases;
	bias->values = n;
	bias->repeat = n / node->weight[1].count;
	sum = lm_lower_branches(l, "add", layer, lm_lower_sequence(l, constant, bias, NULL));
	if (strcmp(layer->activation, linear) == 0)
		return sum;
	constant = pointwise(l, layer->activation, n, n, 1);
	layer->activation = linear;
	return lm_lower_sequence(l, sum, constant, NULL);
}

/* Can the weights become a part of a larger matrix of float32? */
static int
is_f32(const struct lm_node *node)
{
	return node->weight[0].dtype == lm_dtype_get(LM_F32);
}

/* One more input that is 0.5, and a column of twice the biases: one sum, one rounding. */
struct lm_lowered *
lm_lower_dense(struct lm_lower *l, const struct lm_node *node)
{
	uint64_t in = (uint64_t)node->param[lm_layer_param(node->op, "in_features")].i;
	uint64_t out = (uint64_t)node->param[lm_layer_param(node->op, "out_features")].i;
	struct lm_lowered *cell, *constant = half(l, in);

	if (!is_f32(node))
		return added_bias(l, node, constant);
	cell = remade(l, node, lm_lower_make_rows, (in + 1) * out);
	if (cell == NULL)
		return NULL;
	set(cell, "input_height", in + 1);
	return lm_lower_sequence(l, lm_lower_branches(l, "concat", same_values(l, in), constant),
	    cell, NULL);
}

/* Does every window have a tap that never lies in the padding? */
static int
has_inner_tap(const struct plane *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->padding >= p->kernel || (p->out[i] - 1) * p->stride >= p->in[i])
			return 0;
	return 1;
}

/*
 * One more channel that is 0.5, and planes of kernels with one tap of twice the bias.  Where windows
 * may lie in the padding altogether, a layer before that puts zeros around the input makes it part of
 * the input.
 */
struct lm_lowered *
lm_lower_conv(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_cell_row *row = lm_cell_by_op(node->op->name);
	struct plane p = plane_of(l, node);
	const uint64_t one[3] = { 1, 1, 1 }, *in = p.in;
	struct lm_lowered *border = NULL, *same, *cell;
	uint64_t filters, place = 0;
	size_t i;

	if (!is_f32(node))
		return added_bias(l, node, half_plane(l, &p, p.in, one));
	filters = (uint64_t)node->param[lm_layer_param(node->op, "out_channels")].i;
	if (!has_inner_tap(&p)) {
		border = tap(l, &p, p.in, p.padded, p.channels, p.padding);
		if (border == NULL)
			return NULL;
		border->make = lm_lower_make_unit;
		border->repeat = p.channels;
		in = p.padded;
	}
	same = new_layer(l, "Residual", linear);
	cell = remade(l, node, lm_lower_make_planes, (p.channels + 1) * filters * p.size);
	if (same == NULL || cell == NULL)
		return NULL;
	set(cell, "input_channels", p.channels + 1);
	for (i = 0; i < p.n; i++) {
		place = place * p.kernel + (border != NULL ? 0 : p.padding);
		set(cell, row->reads[1 + i], in[i]);
	}
	if (border != NULL)
		set(cell, "padding", 0);
	cell->repeat = place;
	same = lm_lower_branches(l, "concat", same, half_plane(l, &p, in, in));
	return border != NULL ? lm_lower_sequence(l, border, same, cell)
			      : lm_lower_sequence(l, same, cell, NULL);
}

/* Do stride taps from the padding on reach every result, and none twice? */
static int
has_block(const struct plane *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->padding + p->stride > p->kernel || p->in[i] * p->stride < p->out[i])
			return 0;
	return 1;
}

/* One more channel that is 0.5, and planes of kernels with such taps of twice the bias. */
struct lm_lowered *
lm_lower_transposed(struct lm_lower *l, const struct lm_node *node)
{
	struct plane p = plane_of(l, node);
	const uint64_t one[3] = { 1, 1, 1 };
	struct lm_lowered *same, *cell;
	uint64_t filters;

	if (!is_f32(node) || !has_block(&p))
		return added_bias(l, node, half_plane(l, &p, p.in, one));
	filters = (uint64_t)node->param[lm_layer_param(node->op, "out_channels")].i;
	same = new_layer(l, "Residual", linear);
	cell = remade(l, node, lm_lower_make_blocks, (p.channels + 1) * filters * p.size);
	if (same == NULL || cell == NULL)
		return NULL;
	set(cell, "input_channels", p.channels + 1);
	same = lm_lower_branches(l, "concat", same, half_plane(l, &p, p.in, p.in));
	return lm_lower_sequence(l, same, cell, NULL);
}

/* A sum of two biases is one, rounded. */
struct lm_lowered *
lm_lower_recurrent(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_cell_row *row = lm_cell_by_op(node->op->name);
	struct lm_shape shape;
	uint64_t values = 0, n;
	size_t i;

	for (i = 0; i < row->main; i++) {
		if (lm_slot_shape(node, i, &shape, l->err) < 0)
			return NULL;
		if (lm_shape_count(&shape, &n) < 0 || n > UINT64_MAX / 64) {
			(void)lm_lower_refuse(l, node, "it is too large");
			return NULL;
		}
		values += n;
	}
	return remade(l, node, lm_lower_make_sums, values);
}

/* ---- the others ---- */

/* (x - mean)/sqrt(variance + eps) is the same of x and eps times any factor and its square. */
struct lm_lowered *
lm_lower_norm(struct lm_lower *l, const struct lm_node *node)
{
	size_t p = (size_t)lm_layer_param(node->op, "eps");
	double eps = node->param[p].real;
	struct lm_lowered *scale, *norm;
	struct lm_node twin;
	float factor;

	if (lm_cell_twin(&l->plan->arena, lm_cell_by_op(node->op->name), node, &twin, l->err) < 0)
		return NULL;
	factor = (float)sqrt(twin.param[p].real / eps);
	if (!isfinite(factor) || !(factor > 0)) {
		(void)lm_lower_refuse(l, node,
		    "no scale of the input makes Loom's eps %.9g of %.9g", twin.param[p].real, eps);
		return NULL;
	}
	scale = lm_lower_each(l, node, linear, factor);
	norm = lm_lower_layer(l, node);
	return scale != NULL && norm != NULL ? lm_lower_sequence(l, scale, norm, NULL) : NULL;
}

static int64_t
word_of(const struct lm_node *node, const char *key)
{
	return node->param[lm_layer_param(node->op, key)].i;
}

/*
 * Rotation by halves turns the values in the middle and those in the last part of a head.  Without
 * rotation: heads four times as wide hold the values in their second quarter, which is turned together
 * with zeros in the last, by angles that are nothing because the base is so great; twice the query
 * makes up for the width in the scale.  Interleaved pairs are brought into the order of halves.
 */
struct lm_lowered *
lm_lower_attention(struct lm_lower *l, const struct lm_node *node)
{
	const struct lm_param *rope = &node->op->params[lm_layer_param(node->op, "rope")];
	int wide = word_of(node, "rope") == lm_param_word(rope, "none");
	uint64_t heads = (uint64_t)word_of(node, "num_heads"),
		 d = (uint64_t)word_of(node, "d_model");
	uint64_t kv = (uint64_t)word_of(node, "num_kv_heads");
	uint64_t width = (uint64_t)word_of(node, "head_dim"), values;
	double scale = node->param[lm_layer_param(node->op, "scale")].real;
	struct lm_lowered *cell;

	if (wide)
		width *= 4;
	if (width > LM_CELL_EXTENT || heads * width > LM_CELL_EXTENT) {
		(void)lm_lower_refuse(l, node, "heads four times as wide are too wide");
		return NULL;
	}
	if (heads * width < d) {
		(void)lm_lower_refuse(l, node,
		    "Loom fails where num_heads * head_dim is less than d_model, %llu",
		    (unsigned long long)d);
		return NULL;
	}
	if (word_of(node, "rope") == lm_param_word(rope, "half") && isnan(scale))
		return lm_lower_layer(l, node);
	values = (2 * heads + 2 * kv) * width * d + (heads + 2 * kv) * width + d;
	cell = remade(l, node, lm_lower_make_heads, values);
	if (cell == NULL)
		return NULL;
	cell->repeat = (uint64_t)wide;
	cell->factor = isnan(scale) ? (wide ? 2 : 1) : scale * sqrt((double)width);
	set(cell, "head_dim", width);
	set(cell, "query_dim", heads * width);
	if (wide)
		set_real(cell, "rope_freq_base", 1e300);
	return cell;
}
