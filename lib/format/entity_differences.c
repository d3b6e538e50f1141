/* entity_differences: what an unmodified Loom would get wrong about a checkpoint. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "format/entity_plan.h"
#include "format/gotext.h"
#include "format/graph.h"

enum { LOOM_POSITIONS = 512 }; /* that Loom's attention keeps */

/* A look at a model: with the shapes of a trial, and what each value's first and last axes are in Loom. */
struct look {
	const struct loom_model *m;
	unsigned flags;
	struct lm_arena arena;
	struct lm_trials trials;
	uint64_t *first, *last;
	size_t misread; /* layers that Loom lets read other values */
	struct lm_buf *lines;
	struct loom_error *err;
};

static int
say_cell(const struct look *l, const struct lm_node *node, const char *what)
{
	char shown[LM_SHOWN];

	return lm_buf_printf(l->lines, l->err, "node %s (%s%s)%s\n", lm_shown(shown, node->name),
	    node->cell != NULL ? "layers." : "", node->cell != NULL ? node->cell : node->op->name,
	    what);
}

/* ---- parameters that a spec cannot state ---- */

int
lm_param_same(const struct lm_param *param, const union lm_value *a, const union lm_value *b)
{
	size_t i;

	if (param->kind == LM_IS_REAL || param->kind == LM_IS_MAYBE)
		return a->real == b->real || (isnan(a->real) && isnan(b->real));
	if (param->kind != LM_IS_INTS && param->kind != LM_IS_DIMS)
		return a->i == b->i;
	if (a->dims.n != b->dims.n)
		return 0;
	for (i = 0; i < a->dims.n; i++)
		if (a->dims.dim[i].value != b->dims.dim[i].value)
			return 0;
	return 1;
}

static int
param_text(struct lm_buf *buf, const struct lm_param *param, const union lm_value *value,
    struct loom_error *err)
{
	json_t *json = lm_graph_write_value(param, value, err);
	int r = -1;

	if (json == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	else
		r = json_is_string(json) ? lm_buf_str(buf, json_string_value(json), err)
					 : lm_go_json(buf, json, err);
	json_decref(json);
	return r;
}

int
lm_param_difference(struct lm_buf *buf, const struct lm_param *param, const union lm_value *theirs,
    const union lm_value *ours, struct loom_error *err)
{
	if (lm_buf_printf(buf, err, "Loom computes with %s ", param->key) < 0 ||
	    param_text(buf, param, theirs, err) < 0 || lm_buf_str(buf, ", not ", err) < 0)
		return -1;
	return param_text(buf, param, ours, err);
}

static int
say_param(const struct look *l, const struct lm_node *node, size_t p, const union lm_value *theirs)
{
	struct lm_buf what;
	int r;

	lm_buf_init(&what, 4096);
	r = lm_buf_str(&what, ": ", l->err);
	if (r == 0)
		r = lm_param_difference(&what, &node->op->params[p], theirs, &node->param[p],
		    l->err);
	if (r == 0)
		r = say_cell(l, node, what.data);
	lm_buf_release(&what);
	return r;
}

/* Does it say which slots there are?  Slots speak for themselves. */
static int
is_switch(const struct lm_layer_ops *op, size_t p)
{
	size_t i;

	for (i = 0; i < lm_layer_slots(op); i++)
		if (op->slots[i].when == (int)p + 1)
			return 1;
	return 0;
}

int
lm_cell_matters(const struct lm_cell_row *row, const struct lm_node *node,
    const struct lm_node *other, size_t param)
{
	const struct lm_cell_fixed *f = row->fixed, *end = f + LM_CELL_FIXED;
	int with;

	while (f < end && f->param != NULL && strcmp(f->param, node->op->params[param].key) != 0)
		f++;
	if (f == end || f->param == NULL || f->with == NULL)
		return 1;
	with = lm_layer_param(node->op, f->with);
	return !lm_param_same(&node->op->params[with], &node->param[with], &other->param[with]);
}

static int
say_params(struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	size_t i, n = lm_layer_params(node->op);
	struct lm_node twin;

	if (lm_cell_twin(&l->arena, row, node, &twin, l->err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (!is_switch(node->op, i) && lm_cell_matters(row, node, &twin, i) &&
		    !lm_param_same(&node->op->params[i], &node->param[i], &twin.param[i]) &&
		    say_param(l, node, i, &twin.param[i]) < 0)
			return -1;
	return 0;
}

/* Slots that Loom's layer does not have. */
static int
say_slots(const struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	size_t i, n = lm_layer_slots(node->op);
	char what[60];

	for (i = row->main; i < n; i++) {
		if (!lm_slot_wanted(node, i) ||
		    ((l->flags & LM_FAULTS_NO_SIDECARS) && row->side.family != NULL &&
			row->side.slot == i && node->weight[i].dtype == lm_dtype_get(LM_F32)))
			continue;
		(void)snprintf(what, sizeof(what), " loses its %s", node->op->slots[i].name);
		if (say_cell(l, node, what) < 0)
			return -1;
	}
	return 0;
}

/* What Loom makes of weights that its layer does not take. */
const char *
lm_cell_wrong_weights(const struct lm_cell_row *row, const struct lm_node *node)
{
	const struct lm_dtype *dtype = node->weight[0].dtype;

	if (!row->floats || dtype == NULL || dtype == lm_dtype_get(LM_F32) ||
	    dtype == lm_dtype_get(LM_F64))
		return NULL;
	return dtype->name;
}

static int
say_weights(const struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	const char *dtype = lm_cell_wrong_weights(row, node);
	char what[100];

	if (dtype == NULL)
		return 0;
	(void)snprintf(what, sizeof(what), ": Loom makes zeros where its weights are %s", dtype);
	return say_cell(l, node, what);
}

/* Loom's attention reads past its queries where they are narrower than what comes out. */
static int
say_narrow(const struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	const struct lm_cell_field *f = row->field, *other;
	char what[100];
	int64_t width, least;

	for (; f < row->field + LM_CELL_FIELDS && f->param != NULL && f->times == NULL; f++)
		;
	if (f == row->field + LM_CELL_FIELDS || f->param == NULL)
		return 0;
	for (other = row->field; strcmp(other->key, f->instead) != 0; other++)
		;
	width = node->param[lm_layer_param(node->op, f->param)].i *
	    node->param[lm_layer_param(node->op, f->times)].i;
	least = node->param[lm_layer_param(node->op, other->param)].i;
	if (width >= least)
		return 0;
	(void)snprintf(what, sizeof(what), ": Loom fails where %s * %s is less than %s, %lld",
	    f->param, f->times, other->param, (long long)least);
	return say_cell(l, node, what);
}

/* ---- shapes ---- */

/* How many axes at the end the layer reads. */
static size_t
axes_read(const struct lm_cell_row *row)
{
	size_t n;

	for (n = 0; n < LM_CELL_AXES && row->reads[n] != NULL; n++)
		;
	return n;
}

static int
say_misread(struct look *l, const struct lm_node *node, size_t axes)
{
	char what[120];

	(void)snprintf(what, sizeof(what),
	    ": Loom takes a %s for each index of the first axis, and there are more or fewer",
	    axes > 1 ? "sample" : "row");
	l->misread++;
	return say_cell(l, node, what);
}

/* Of a batch, or of a length that is known and not 0. */
static int
say_sequence(const struct look *l, const struct lm_node *node, uint64_t samples, uint64_t length)
{
	if (samples > 1)
		return say_cell(l, node,
		    ": Loom lets each sequence of a batch see those before it");
	if (length > LOOM_POSITIONS)
		return say_cell(l, node, ": Loom's attention goes wrong beyond 512 positions");
	return 0;
}

/* Loom knows a sequence by its last axis, which no reshape of ours changes for it. */
static int
say_width(const struct look *l, const struct lm_node *node, uint64_t width)
{
	char what[100];

	if (l->last[node->in[0]] == width)
		return 0;
	(void)snprintf(what, sizeof(what),
	    ": Loom fails where its last axis has %" PRIu64 " values, not %" PRIu64,
	    l->last[node->in[0]], width);
	return say_cell(l, node, what);
}

static int
say_shape(struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	const struct lm_shape *x = &l->trials.first[node->in[0]];
	size_t n = axes_read(row), i;
	uint64_t samples = 1;

	if (row->rows == LM_ROWS_ALL || x->rank < n)
		return 0;
	for (i = 0; i < x->rank - n; i++)
		samples *= x->dim[i];
	if (row->rows == LM_ROWS_LEAK && say_width(l, node, x->dim[x->rank - 1]) < 0)
		return -1;
	if (row->rows == LM_ROWS_LEAK)
		return say_sequence(l, node, samples, lm_trials_extent(&l->trials, node->in[0], 1));
	if (samples != l->first[node->in[0]] && say_misread(l, node, n) < 0)
		return -1;
	if (!(l->flags & LM_FAULTS_NO_LENGTHS) && strcmp(row->reads[0], lm_cell_sequence) == 0 &&
	    lm_trials_extent(&l->trials, node->in[0], n - 1) == 0)
		return say_cell(l, node, ": Loom takes sequences of one length only");
	return 0;
}

/* Loom's axes stay where nothing is a layer, and the last one where its layer keeps it. */
static void
pass_last(struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	const struct lm_shape *y;
	size_t i;

	for (i = 0; i < node->n_out; i++) {
		y = &l->trials.first[node->out[i]];
		l->last[node->out[i]] = y->rank > 0 ? y->dim[y->rank - 1] : 1;
		if (node->n_in > 0 && node->in[0] != LM_ABSENT &&
		    (row != NULL ? row->keeps
				 : lm_cell_neutral(node->op->name) ||
				lm_shape_same(&l->trials.first[node->in[0]], y)))
			l->last[node->out[i]] = l->last[node->in[0]];
	}
}

/* Loom's first axis stays, but where it makes rows of all that is there. */
static void
pass_first(struct look *l, const struct lm_cell_row *row, const struct lm_node *node)
{
	const struct lm_shape *y;
	uint64_t first, count;
	size_t i;

	for (i = 0; i < node->n_out; i++) {
		y = &l->trials.first[node->out[i]];
		first = y->rank > 0 ? y->dim[0] : 1;
		if (node->n_in > 0 && node->in[0] != LM_ABSENT &&
		    (row != NULL || lm_cell_neutral(node->op->name) ||
			lm_shape_same(&l->trials.first[node->in[0]], y)))
			first = l->first[node->in[0]];
		if (row != NULL && row->merges && lm_shape_count(y, &count) == 0 && y->rank > 0 &&
		    y->dim[y->rank - 1] > 0)
			first = count / y->dim[y->rank - 1];
		l->first[node->out[i]] = first;
	}
}

static int
say_all(struct look *l)
{
	const struct lm_cell_row *row;
	const struct lm_node *node;
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < l->m->n_nodes; i++) {
		node = l->m->nodes[i];
		row = lm_cell_by_op(node->op->name);
		if ((l->flags & LM_FAULTS_OWN) && node->cell == NULL) {
			if (!lm_cell_neutral(node->op->name) &&
			    lm_buf_printf(l->lines, l->err, "node %s (%s) is left out\n",
				lm_shown(shown, node->name), node->op->name) < 0)
				return -1;
		} else if (row != NULL) {
			if ((!(l->flags & LM_FAULTS_SHAPES) &&
				(say_slots(l, row, node) < 0 || say_params(l, row, node) < 0 ||
				    say_narrow(l, row, node) < 0 ||
				    say_weights(l, row, node) < 0)) ||
			    (row->skip && (l->flags & LM_FAULTS_OWN) && node->n_in > 1 &&
				say_cell(l, node, " loses its skip") < 0) ||
			    say_shape(l, row, node) < 0)
				return -1;
		}
		pass_first(l, row, node);
		pass_last(l, row, node);
	}
	return 0;
}

/* With lead axes before inputs that may have any. */
static int
look(const struct loom_model *m, unsigned flags, unsigned lead, struct lm_buf *lines,
    size_t *misread, struct loom_error *err)
{
	struct look l = { .m = m, .flags = flags, .lines = lines, .err = err };
	const struct lm_shape *x;
	size_t i;
	int r = -1;

	l.first = lm_arena_alloc(&l.arena, m->n_values, sizeof(*l.first), err);
	l.last = lm_arena_alloc(&l.arena, m->n_values, sizeof(*l.last), err);
	if (l.first == NULL || l.last == NULL ||
	    lm_entity_try(&l.trials, &l.arena, m, lead, err) < 0)
		goto out;
	for (i = 0; i < m->n_inputs; i++) {
		x = &l.trials.first[m->inputs[i].tensor];
		l.first[m->inputs[i].tensor] = x->rank > 0 ? x->dim[0] : 1;
		l.last[m->inputs[i].tensor] = x->rank > 0 ? x->dim[x->rank - 1] : 1;
	}
	r = say_all(&l);
	*misread = l.misread;
out:
	lm_arena_release(&l.arena);
	return r;
}

int
lm_entity_faults(const struct loom_model *m, unsigned flags, struct lm_buf *lines,
    struct loom_error *err)
{
	struct loom_error quiet = { 0 };
	size_t misread = 0;
	struct lm_buf single;
	int r;

	if (look(m, flags, 1, lines, &misread, err) < 0)
		return -1;
	/* A sequence by itself, where that is what the layers read. */
	lm_buf_init(&single, SIZE_MAX / 4);
	misread = 0;
	r = look(m, flags, 0, &single, &misread, &quiet);
	if (r == 0 && misread == 0) {
		lm_buf_clear(lines);
		if (single.len > 0)
			r = lm_buf_add(lines, single.data, single.len, &quiet);
	}
	lm_buf_release(&single);
	if (quiet.code == LOOM_ENOMEM)
		*err = quiet;
	return quiet.code == LOOM_ENOMEM ? -1 : 0;
}

/* ---- the whole ---- */

/* Loom runs layer after layer. */
static int
is_chain(const struct loom_model *m)
{
	size_t value, i;

	if (m->n_inputs != 1 || m->n_outputs != 1)
		return 0;
	value = m->inputs[0].tensor;
	for (i = 0; i < m->n_nodes; i++) {
		if (m->nodes[i]->n_in != 1 || m->nodes[i]->in[0] != value)
			return 0;
		value = m->nodes[i]->out[0];
	}
	return m->outputs[0] == value;
}

static int
say_inputs(const struct loom_model *m, struct lm_buf *lines, struct loom_error *err)
{
	char shown[LM_SHOWN];
	size_t i;

	for (i = 0; i < m->n_inputs; i++)
		if (m->inputs[i].dtype != lm_dtype_get(LM_F32) &&
		    lm_buf_printf(lines, err, "input %s is %s, where Loom takes float32\n",
			lm_shown(shown, m->inputs[i].name), m->inputs[i].dtype->name) < 0)
			return -1;
	return 0;
}

int
lm_entity_bridged(const struct loom_model *m)
{
	const struct lm_entity_document *document = lm_entity_document(m);
	const struct lm_cell_row *row;
	size_t i;

	if (document == NULL || document->bridge)
		return document != NULL;
	for (i = 0; i < m->n_nodes; i++) {
		row = lm_cell_by_op(m->nodes[i]->op->name);
		if (row != NULL && row->side.family != NULL &&
		    lm_slot_wanted(m->nodes[i], row->side.slot))
			return 1;
	}
	return 0;
}

int
lm_entity_differences(const struct loom_model *m, struct lm_buf *lines, struct loom_error *err)
{
	const struct lm_entity_document *document = lm_entity_document(m);
	struct lm_buf faults;
	int r;

	/* Without the section, what is not a layer stands for what Loom does between them. */
	if (document == NULL || !document->bridge)
		return lm_entity_faults(m, LM_FAULTS_NO_LENGTHS, lines, err);
	lm_buf_init(&faults, SIZE_MAX / 4);
	r = lm_entity_faults(m, LM_FAULTS_OWN, &faults, err);
	if (r == 0)
		r = say_inputs(m, lines, err);
	if (r == 0 && faults.len > 0)
		r = lm_buf_add(lines, faults.data, faults.len, err);
	lm_buf_release(&faults);
	if (r == 0 && !is_chain(m))
		r = lm_buf_str(lines,
		    "layers run one after another, not as the nodes are connected\n", err);
	return r;
}
