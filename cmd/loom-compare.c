/* loom-compare: are the tensors of two files the same? */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

enum {
	ATOL = 256,
	RTOL,
	SCALE,
	EQUAL_NAN,
	ALLOW_VACUOUS,
	ALLOW_MISSING,
	ALLOW_EXTRA,
	SKIP,
	REPORT,
	MAP,
	POLICY,
	PERMUTE,
	ONLY,
	IGNORE,
	EXPECT,
	REPORTS = 16,
	NAMES = 4096
};

static const struct cmd_opt options[] = {
	{ ALLOW_EXTRA, "allow-extra", NULL,
	    "a tensor that only A has does not make the answer no" },
	{ ALLOW_MISSING, "allow-missing", NULL,
	    "a tensor that only B has does not make the answer no" },
	{ ALLOW_VACUOUS, "allow-vacuous", NULL,
	    "accept tensors whose greatest |b| is within the tolerance" },
	{ ATOL, "atol", "X", "absolute tolerance (default 1e-5)" },
	{ EQUAL_NAN, "equal-nan", NULL, "two NaNs agree" },
	{ EXPECT, "expect", "FILE",
	    "answer yes if the labels are those in FILE, a report of labels; else show\n"
	    "the difference" },
	{ IGNORE, "ignore", "GLOB", "do not compare tensors whose names fit; may be repeated" },
	{ 'j', "jobs", "N", "threads to use (default 1)" },
	{ MAP, "map", "FILE",
	    "what tensors of A are called in B: a line each, two names or globs" },
	{ CMD_NO_PROGRESS_ROW },
	{ ONLY, "only", "GLOB", "compare tensors whose names fit, no others; may be repeated" },
	{ PERMUTE, "permute", "GLOB=AXES",
	    "axes of A's tensors in B's order, as in 'conv*=0,3,1,2'; may be repeated" },
	{ POLICY, "policy", "FILE",
	    "tolerances of some tensors: lines of GLOB [atol=X] [rtol=X] [scale=none|max]" },
	{ 'q', "quiet", NULL, "no report on standard output: the status tells" },
	{ REPORT, "report", "KIND[=FILE]",
	    "write a report: text, json, ndjson, md, junit or labels (default: text to stdout)" },
	{ RTOL, "rtol", "X", "relative tolerance (default 0)" },
	{ SCALE, "scale", "none|max",
	    "what atol is multiplied by: 1, or the greatest |b| (at least 1; default)" },
	{ SKIP, "skip", "NAME", "do not compare the tensor NAME; may be repeated" },
	{ 0 },
};

struct request {
	struct cmd cmd;
	struct loom_compare_options compare;
	const char *skip[NAMES], *only[NAMES], *ignore[NAMES], *permute[NAMES];
	struct report {
		const char *kind, *path; /* path NULL: standard output */
	} reports[REPORTS];
	size_t n_reports;
	const char *expect;
	int quiet;
};

/* The report KIND[=FILE] asks for; a kind that does not exist ends the program. */
static void
add_report(struct request *r, const char *text)
{
	struct report *report = &r->reports[r->n_reports];
	const char *equals = strchr(text, '=');
	size_t n = equals != NULL ? (size_t)(equals - text) : strlen(text), i;
	const char *kind;

	if (r->n_reports == REPORTS - 1)
		exit(cmd_misuse(&r->cmd, "more than %d reports", REPORTS - 1));
	for (i = 0; (kind = loom_report_kind(i)) != NULL; i++)
		if (strlen(kind) == n && strncmp(kind, text, n) == 0)
			break;
	if (kind == NULL)
		exit(cmd_misuse(&r->cmd,
		    "--report '%.*s': expected text, json, ndjson, md, junit or labels", (int)n,
		    text));
	report->kind = kind;
	report->path = equals != NULL && strcmp(equals, "=-") != 0 ? equals + 1 : NULL;
	if (report->path != NULL && report->path[0] == '\0')
		exit(cmd_misuse(&r->cmd, "--report '%s': the file has no name", text));
	for (i = 0; i < r->n_reports; i++)
		if (report->path == NULL && r->reports[i].path == NULL)
			exit(cmd_misuse(&r->cmd, "two reports cannot both be on standard output"));
		else if (report->path != NULL && r->reports[i].path != NULL &&
		    strcmp(report->path, r->reports[i].path) == 0)
			exit(cmd_misuse(&r->cmd, "two reports cannot both be in %s", report->path));
	r->n_reports++;
}

static void
set_scale(struct request *r, const char *text)
{
	r->compare.scale_max = strcmp(text, "max") == 0;
	if (!r->compare.scale_max && strcmp(text, "none") != 0)
		exit(cmd_misuse(&r->cmd, "--scale '%s': expected none or max", text));
}

static void
add_name(struct request *r, const char **names, size_t *n, const char *name)
{
	if (*n == NAMES)
		exit(cmd_misuse(&r->cmd, "more than %d names", NAMES));
	names[(*n)++] = name;
}

/* What is said of tensors by their names. */
static void
parse_names(struct request *r, int key)
{
	struct loom_compare_options *o = &r->compare;

	if (key == SKIP)
		add_name(r, r->skip, &o->n_skip, optarg);
	else if (key == ONLY)
		add_name(r, r->only, &o->n_only, optarg);
	else if (key == IGNORE)
		add_name(r, r->ignore, &o->n_ignore, optarg);
	else if (key == PERMUTE)
		add_name(r, r->permute, &o->n_permute, optarg);
	else if (key == MAP)
		o->map = optarg;
	else if (key == POLICY)
		o->policy = optarg;
	else if (key == EXPECT)
		r->expect = optarg;
}

/* Standard input can be read once. */
static void
check_inputs(struct request *r, const char *a, const char *b)
{
	const char *paths[] = { a, b, r->compare.map, r->compare.policy, r->expect };
	static const char *const names[] = { "A", "B", "--map", "--policy", "--expect" };
	size_t n = sizeof(names) / sizeof(*names), first = n, i;

	for (i = 0; i < n; i++) {
		if (paths[i] == NULL || strcmp(paths[i], "-") != 0)
			continue;
		if (first < n)
			exit(cmd_misuse(&r->cmd, "%s and %s cannot both be standard input",
			    names[first], names[i]));
		first = i;
	}
}

static void
parse(struct request *r, int argc, char **argv)
{
	struct loom_compare_options *o = &r->compare;
	int key;

	while ((key = cmd_getopt(&r->cmd, argc, argv)) != -1) {
		o->equal_nan |= key == EQUAL_NAN;
		o->allow_vacuous |= key == ALLOW_VACUOUS;
		o->allow_missing |= key == ALLOW_MISSING;
		o->allow_extra |= key == ALLOW_EXTRA;
		r->quiet |= key == 'q';
		if (key == ATOL)
			o->atol = cmd_real(&r->cmd, optarg, 0, 1e300);
		else if (key == RTOL)
			o->rtol = cmd_real(&r->cmd, optarg, 0, 1e300);
		else if (key == 'j')
			o->jobs = (int)cmd_number(&r->cmd, optarg, 1, 1024);
		else if (key == SCALE)
			set_scale(r, optarg);
		else if (key == REPORT)
			add_report(r, optarg);
		else
			parse_names(r, key);
	}
	if (optind + 2 != argc)
		exit(cmd_usage(&r->cmd));
	check_inputs(r, argv[optind], argv[optind + 1]);
}

/* Text goes to standard output unless another report does, or none should. */
static void
settle_reports(struct request *r)
{
	size_t i;

	for (i = 0; i < r->n_reports; i++)
		if (r->reports[i].path == NULL)
			return;
	if (!r->quiet)
		r->reports[r->n_reports++].kind = "text";
}

static int
write_reports(struct request *r, struct loom_comparison *c, struct loom_error *err)
{
	const char *text;
	size_t i, size;

	for (i = 0; i < r->n_reports; i++) {
		text = loom_comparison_report(c, r->reports[i].kind, &size, err);
		if (text == NULL)
			return -1;
		if (loom_file_write(r->reports[i].path, text, size, err) < 0)
			return -1;
	}
	return 0;
}

/* EXIT_YES or EXIT_NO; -1 on failure.  Differences go to standard error: a report may be on output. */
static int
answer(const struct request *r, struct loom_comparison *c, struct loom_error *err)
{
	const char *text;
	size_t size;
	int same;

	if (r->expect == NULL)
		return loom_comparison_same(c) ? EXIT_YES : EXIT_NO;
	same = loom_comparison_expected(c, r->expect, &text, &size, err);
	if (same < 0)
		return -1;
	if (!same) {
		(void)fprintf(stderr, "--- %s\n+++ labels\n", r->expect);
		(void)fwrite(text, 1, size, stderr);
	}
	return same ? EXIT_YES : EXIT_NO;
}

int
main(int argc, char **argv)
{
	static struct request r;
	struct loom_error err = { 0 };
	struct loom_tensors *a = NULL, *b = NULL;
	struct loom_comparison *c = NULL;
	int status = EXIT_NO;

	cmd_start(&r.cmd, "loom-compare", "[OPTIONS] A B",
	    "Say whether the tensors of A are those of B: exit 0 yes, 1 no.", options);
	r.compare = (struct loom_compare_options){ .atol = 1e-5,
		.scale_max = 1,
		.jobs = 1,
		.skip = r.skip,
		.only = r.only,
		.ignore = r.ignore,
		.permute = r.permute,
		.progress = cmd_progress,
		.context = &r.cmd };
	parse(&r, argc, argv);
	settle_reports(&r);

	if (loom_tensors_open(&a, argv[optind], &err) < 0 ||
	    loom_tensors_open(&b, argv[optind + 1], &err) < 0)
		goto out;
	if (loom_compare(&c, a, b, &r.compare, &err) == 0 && write_reports(&r, c, &err) == 0)
		status = answer(&r, c, &err);
out:
	loom_comparison_free(c);
	loom_tensors_free(a);
	loom_tensors_free(b);
	return cmd_finish(&r.cmd, status, &err);
}
