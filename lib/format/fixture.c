/* fixture: the inputs that a version-1 request names by a version: x_test of an .npz. */
#include <string.h>

#include "base/mem.h"
#include "format/request.h"
#include "num/dtype.h"

static int
find_x_test(const struct loom_tensors *set, struct loom_tensor *found, size_t *index,
    struct loom_error *err)
{
	size_t i;

	for (i = 0; i < loom_tensors_count(set); i++) {
		*found = loom_tensors_at(set, i);
		*index = i;
		if (strcmp(found->name, "x_test") == 0)
			return 0;
	}
	return lm_fail(err, LOOM_EFORMAT, "it has no x_test.npy");
}

static int
check(const struct loom_tensor *t, size_t cols, struct loom_error *err)
{
	const struct lm_dtype *dtype = lm_dtype_find(t->dtype);
	char text[400];

	if (dtype == NULL || dtype->kind == LM_CODED || dtype->bits < 8)
		return lm_fail(err, LOOM_EUNSUPPORTED, "x_test is %s, which has no plain values",
		    loom_tensor_describe(t, text, sizeof(text)));
	if (t->rank != 2)
		return lm_fail(err, LOOM_ESHAPE, "x_test is %s, expected two axes",
		    loom_tensor_describe(t, text, sizeof(text)));
	if (t->shape[1] < cols)
		return lm_fail(err, LOOM_ESHAPE, "x_test is %s, but \"input_dim\" is %zu",
		    loom_tensor_describe(t, text, sizeof(text)), cols);
	return 0;
}

/* Rows are read one by one: of each the first cols values are kept, as binary32. */
static int
read_rows(struct loom_tensors *set, size_t index, const struct loom_tensor *t, struct lm_matrix *m,
    struct loom_error *err)
{
	const struct lm_dtype *dtype = lm_dtype_find(t->dtype);
	size_t width, i;
	unsigned char *row = NULL;
	int r = 0;

	if (lm_mul((size_t)t->shape[1], dtype->bits / 8, &width) < 0)
		return lm_fail(err, LOOM_ENOMEM, "x_test is too wide");
	row = lm_alloc(width, 1, err);
	m->v = lm_alloc(m->rows, m->cols * sizeof(*m->v), err);
	if (row == NULL || m->v == NULL)
		r = -1;
	for (i = 0; r == 0 && i < m->rows; i++) {
		r = loom_tensors_read(set, index, row, (size_t)t->shape[1], err);
		if (r == 0)
			dtype->to_f32(m->v + i * m->cols, row, 0, m->cols, 1);
	}
	lm_free(row);
	return r;
}

static int
read_set(struct loom_tensors *set, struct lm_matrix *m, struct loom_error *err)
{
	struct loom_tensor t;
	size_t index = 0;

	if (find_x_test(set, &t, &index, err) < 0 || check(&t, m->cols, err) < 0)
		return -1;
	m->rows = (size_t)t.shape[0];
	return read_rows(set, index, &t, m, err);
}

int
lm_fixture_read(struct lm_matrix *m, const char *dir, const char *version, size_t cols,
    struct loom_error *err)
{
	struct loom_tensors *set = NULL;
	struct lm_buf path;
	int r;

	memset(m, 0, sizeof(*m));
	m->cols = cols;
	lm_buf_init(&path, 65536);
	r = lm_buf_printf(&path, err, "%s/%s.npz", dir, version);
	if (r == 0)
		r = loom_tensors_open(&set, path.data, err);
	if (r == 0 && read_set(set, m, err) < 0)
		r = lm_fail_in(err, path.data);
	loom_tensors_free(set);
	lm_buf_release(&path);
	return r;
}
