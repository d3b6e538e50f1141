/* loom-infer: run a model on tensors. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

enum { OPT_SELFTEST = 256 };

static const struct cmd_opt options[] = {
	{ 'c', "chunk", "N",
	    "take the sequence N positions at a time, keeping what attention needs of\n"
	    "those before; changes no bit of the result" },
	{ 'f', "format", "NAME",
	    "write npy, npz, safetensors or raw\n"
	    "(default: npy for one output, safetensors for several)" },
	{ 'F', "feed", "TAPS",
	    "nodes read the tensors in TAPS instead of the values of these names" },
	{ 'H', "hash", NULL, "print the SHA-256 of each output instead of its values" },
	{ 'j', "jobs", "N", "threads to use (default 1); changes no bit of the result" },
	{ 'm', "model", "FILE", "checkpoint to run; - is standard input, then INPUT is a file" },
	{ 'o', "output", "FILE", "write there, whole or not at all (default: standard output)" },
	{ 'r', "raw", "f32", "write the bare little-endian values: the same as -f raw" },
	{ OPT_SELFTEST, "selftest", NULL,
	    "compute built-in cases with every kernel set of this machine, compare, and\n"
	    "print the hash that is the same on every machine; -v: of each case" },
	{ 't', "taps", "FILE", "also write every node's output there (.safetensors)" },
	{ 'v', "verbose", NULL, "say on standard error how many sums each stage decided" },
	{ 0 },
};

struct infer {
	const char *model, *input, *output, *format, *taps, *feed;
	int jobs, hash, verbose, selftest;
	uint64_t chunk; /* 0: sequences whole */
	struct loom_model *net;
	struct loom_run *run;
	struct loom_tensors *file, *fed;
};

static int
missing(const struct infer *in, const char *name, struct loom_error *err)
{
	size_t k, used, n = loom_tensors_count(in->file);

	err->code = LOOM_ESHAPE;
	(void)snprintf(err->source, sizeof(err->source), "%.200s", in->input);
	used = (size_t)snprintf(err->text, sizeof(err->text),
	    "no tensor is called %.80s, which the model wants; it has ", name);
	for (k = 0; k < n && used < sizeof(err->text); k++)
		used += (size_t)snprintf(err->text + used, sizeof(err->text) - used, "%s%s",
		    k > 0 ? ", " : "", loom_tensors_at(in->file, k).name);
	if (n == 0)
		(void)snprintf(err->text + used, sizeof(err->text) - used, "none");
	return -1;
}

/* The tensor in the file for input i: the only one for the only one, else the one of its name. */
static int
give(struct infer *in, size_t i, struct loom_error *err)
{
	size_t k, n = loom_tensors_count(in->file);
	const char *name = loom_model_input(in->net, i);
	struct loom_tensor t;

	for (k = 0; k < n; k++) {
		t = loom_tensors_at(in->file, k);
		if (strcmp(t.name, name) == 0 || (n == 1 && loom_model_inputs(in->net) == 1))
			break;
	}
	if (k == n)
		return missing(in, name, err);
	if (loom_tensors_load(in->file, k, &t, err) < 0)
		return -1;
	return loom_run_set(in->run, i, &t, err);
}

/* Everything in the file is fed, so that a name the network does not have is noticed. */
static int
feed(struct infer *in, struct loom_error *err)
{
	struct loom_tensor t;
	size_t k;

	if (loom_tensors_open(&in->fed, in->feed, err) < 0)
		return -1;
	for (k = 0; k < loom_tensors_count(in->fed); k++) {
		if (loom_tensors_load(in->fed, k, &t, err) < 0)
			return -1;
		if (loom_run_feed(in->run, &t, err) < 0) {
			if (err->source[0] == '\0')
				(void)snprintf(err->source, sizeof(err->source), "%.200s",
				    in->feed);
			return -1;
		}
	}
	return 0;
}

static int
compute(struct infer *in, struct loom_error *err)
{
	size_t i;

	/* Before anything takes its time. */
	if (in->format != NULL && loom_tensors_writes(in->format, err) < 0)
		return -1;
	if (loom_model_open(&in->net, in->model, err) < 0 ||
	    loom_run_new(&in->run, in->net, in->jobs, err) < 0)
		return -1;
	if (loom_model_inputs(in->net) > 0 && loom_tensors_open(&in->file, in->input, err) < 0)
		return -1;
	loom_run_from(in->run, strcmp(in->input, "-") != 0 ? in->input : "<stdin>");
	if (in->taps != NULL)
		loom_run_keep(in->run);
	for (i = 0; i < loom_model_inputs(in->net); i++)
		if (give(in, i, err) < 0)
			return -1;
	if (in->feed != NULL && feed(in, err) < 0)
		return -1;
	return in->chunk > 0 ? loom_run_in_pieces(in->run, in->chunk, err)
			     : loom_run_forward(in->run, err);
}

static int
print_hashes(const struct loom_tensor *t, size_t n, struct loom_error *err)
{
	char hex[65], what[256];
	size_t i;

	for (i = 0; i < n; i++) {
		if (loom_tensor_hash(&t[i], hex, err) < 0)
			return -1;
		printf("%s  %s  numerics %d  %s\n", hex,
		    loom_tensor_describe(&t[i], what, sizeof(what)), LOOM_NUMERICS, t[i].name);
	}
	return 0;
}

static int
write_taps(const struct infer *in, struct loom_error *err)
{
	size_t i, n = loom_run_taps(in->run);
	struct loom_tensor *t = calloc(n > 0 ? n : 1, sizeof(*t));
	int r = -1;

	if (t == NULL) {
		err->code = LOOM_ENOMEM;
		return -1;
	}
	for (i = 0; i < n; i++)
		t[i] = loom_run_tap(in->run, i);
	r = loom_tensors_write(strcmp(in->taps, "-") != 0 ? in->taps : NULL, "safetensors", t, n,
	    err);
	free(t);
	return r;
}

static int
write_outputs(const struct infer *in, struct loom_error *err)
{
	size_t i, n = loom_model_outputs(in->net);
	struct loom_tensor *t = calloc(n > 0 ? n : 1, sizeof(*t));
	const char *format = in->format;
	int r;

	if (t == NULL) {
		err->code = LOOM_ENOMEM;
		return -1;
	}
	for (i = 0; i < n; i++)
		t[i] = loom_run_output(in->run, i);
	if (format == NULL)
		format = n == 1 ? "npy" : "safetensors";
	r = in->hash ? print_hashes(t, n, err) : loom_tensors_write(in->output, format, t, n, err);
	free(t);
	return r;
}

static void
tell_stages(struct cmd *cmd, const struct infer *in)
{
	uint64_t s[3];

	loom_run_stages(in->run, s);
	cmd_warn(cmd,
	    "sums of products: %ju decided by the binary64 sum, %ju by the second stage, "
	    "%ju by the accumulator",
	    (uintmax_t)s[0], (uintmax_t)s[1], (uintmax_t)s[2]);
}

static void
tell_case(void *context, const char *name, uint64_t hash)
{
	cmd_warn(context, "%016jx %s", (uintmax_t)hash, name);
}

static int
selftest(struct cmd *cmd, const struct infer *in)
{
	struct loom_selftest test = { .each = in->verbose ? tell_case : NULL, .context = cmd };
	struct loom_error err = { 0 };

	if (loom_selftest(&test, &err) == 0)
		printf("%s %s numerics %d sets %s hash %016jx\n", cmd->name, LOOM_VERSION,
		    LOOM_NUMERICS, test.sets, (uintmax_t)test.hash);
	return cmd_finish(cmd, EXIT_YES, &err);
}

/* Whether nothing else was asked for that a run needs or changes. */
static int
alone(const struct infer *in)
{
	return in->model == NULL && in->output == NULL && in->format == NULL && in->taps == NULL &&
	    in->feed == NULL && !in->hash && in->jobs == 1 && in->chunk == 0;
}

static int
set_option(struct cmd *cmd, struct infer *in, int key)
{
	switch (key) {
	case 'c':
		in->chunk = (uint64_t)cmd_number(cmd, optarg, 1, LONG_MAX);
		break;
	case 'f':
		in->format = optarg;
		break;
	case 'F':
		in->feed = optarg;
		break;
	case 'H':
		in->hash = 1;
		break;
	case 'j':
		in->jobs = (int)cmd_number(cmd, optarg, 1, 1024);
		break;
	case 'm':
		in->model = optarg;
		break;
	case 'o':
		in->output = strcmp(optarg, "-") != 0 ? optarg : NULL;
		break;
	case 'r':
		if (strcmp(optarg, "f32") != 0)
			return cmd_misuse(cmd, "--raw %s: only f32 is known", optarg);
		in->format = "raw";
		break;
	case OPT_SELFTEST:
		in->selftest = 1;
		break;
	case 't':
		in->taps = optarg;
		break;
	case 'v':
		in->verbose = 1;
		break;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct infer in = { .input = "-", .jobs = 1 };
	struct loom_error err = { 0 };
	struct cmd cmd;
	int key, bad = 0;

	cmd_start(&cmd, "loom-infer",
	    "-m MODEL [-Hv] [-c N] [-F TAPS] [-f FORMAT] [-j JOBS] [-o OUTPUT] [-r f32] [-t TAPS] "
	    "[INPUT]\n--selftest [-v]",
	    "Run a network on a tensor; the same bits on every machine.", options);
	while ((key = cmd_getopt(&cmd, argc, argv)) != -1)
		bad |= set_option(&cmd, &in, key);
	if (bad != 0)
		return EXIT_USAGE;
	if (in.selftest && alone(&in) && argc == optind)
		return selftest(&cmd, &in);
	if (in.selftest || in.model == NULL || argc - optind > 1)
		return cmd_usage(&cmd);
	if (optind < argc)
		in.input = argv[optind];
	if (strcmp(in.model, "-") == 0 && strcmp(in.input, "-") == 0)
		return cmd_misuse(&cmd, "the model comes from standard input: name an INPUT file");
	if (in.feed != NULL && strcmp(in.feed, "-") == 0 &&
	    (strcmp(in.model, "-") == 0 || strcmp(in.input, "-") == 0))
		return cmd_misuse(&cmd,
		    "--feed -: the %s comes from standard input: name a file for one of them",
		    strcmp(in.model, "-") == 0 ? "model" : "INPUT");
	if (in.chunk > 0 && (in.taps != NULL || in.feed != NULL))
		return cmd_misuse(&cmd,
		    "--chunk goes with neither --taps nor --feed, which are of whole sequences");
	if (in.taps != NULL && strcmp(in.taps, in.output != NULL ? in.output : "-") == 0)
		return cmd_misuse(&cmd, "taps and outputs cannot both go to %s", in.taps);
	if (in.output == NULL && !in.hash)
		cmd_binary_out(&cmd);
	if (compute(&in, &err) == 0 && (in.taps == NULL || write_taps(&in, &err) == 0) &&
	    write_outputs(&in, &err) == 0 && in.verbose)
		tell_stages(&cmd, &in);
	loom_tensors_free(in.file);
	loom_tensors_free(in.fed);
	loom_run_free(in.run);
	loom_model_free(in.net);
	return cmd_finish(&cmd, EXIT_YES, &err);
}
