/*
 * forward [-j N] MODEL [INPUT]: a contestant (turns.h) that computes a network through the public
 * interface; the inputs are the tensors in INPUT, by name, or the only one for the only one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loom.h"
#include "turns.h"

struct forward {
	struct loom_model *model;
	struct loom_tensors *file;
	struct loom_run *run;
	struct loom_error err;
};

static int
failed(const struct loom_error *err)
{
	fprintf(stderr, "forward: %s%s%s\n", err->source, err->source[0] != '\0' ? ": " : "",
	    err->text);
	return -1;
}

static int
call(void *context)
{
	struct forward *f = context;

	return loom_run_forward(f->run, &f->err) < 0 ? failed(&f->err) : 0;
}

static const void *
result(void *context, size_t *bytes)
{
	const struct forward *f = context;
	struct loom_tensor t = loom_run_output(f->run, 0);
	unsigned i;

	*bytes = strcmp(t.dtype, "int64") == 0 ? 8 : 4;
	for (i = 0; i < t.rank; i++)
		*bytes *= (size_t)t.shape[i];
	return t.data;
}

static void
tell(void *context)
{
	const struct forward *f = context;
	uint64_t stages[3];

	loom_run_stages(f->run, stages);
	printf("%ju %ju %ju", (uintmax_t)stages[0], (uintmax_t)stages[1], (uintmax_t)stages[2]);
}

/* The tensor for input i, or -1 with LOOM_ESHAPE. */
static int
give(struct forward *f, size_t i)
{
	size_t k, n = loom_tensors_count(f->file);
	const char *name = loom_model_input(f->model, i);
	struct loom_tensor t;

	for (k = 0; k < n; k++)
		if ((n == 1 && loom_model_inputs(f->model) == 1) ||
		    strcmp(loom_tensors_at(f->file, k).name, name) == 0)
			break;
	if (k == n) {
		f->err.code = LOOM_ESHAPE;
		(void)snprintf(f->err.text, sizeof(f->err.text), "no tensor for %.80s", name);
		return -1;
	}
	if (loom_tensors_load(f->file, k, &t, &f->err) < 0)
		return -1;
	return loom_run_set(f->run, i, &t, &f->err);
}

static int
prepare(struct forward *f, int jobs, const char *model, const char *input)
{
	size_t i;

	if (loom_model_open(&f->model, model, &f->err) < 0 ||
	    loom_run_new(&f->run, f->model, jobs, &f->err) < 0 ||
	    loom_tensors_open(&f->file, input, &f->err) < 0)
		return -1;
	for (i = 0; i < loom_model_inputs(f->model); i++)
		if (give(f, i) < 0)
			return -1;
	return 0;
}

int
main(int argc, char **argv)
{
	struct forward f = { 0 };
	struct contestant c = { .context = &f, .call = call, .result = result, .tell = tell };
	int key, jobs = 1, status = 3;

	while ((key = getopt(argc, argv, "j:")) != -1) {
		if (key != 'j')
			return 2;
		jobs = (int)strtol(optarg, NULL, 10);
	}
	if (argc - optind != 2 || jobs < 1) {
		fprintf(stderr, "usage: forward [-j N] MODEL INPUT\n");
		return 2;
	}
	if (prepare(&f, jobs, argv[optind], argv[optind + 1]) < 0)
		(void)failed(&f.err);
	else
		status = turns_obey(&c, "");
	loom_run_free(f.run);
	loom_tensors_free(f.file);
	loom_model_free(f.model);
	return status;
}
