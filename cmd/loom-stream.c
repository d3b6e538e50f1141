/* loom-stream: a layer stream, version 1 or 2, to an .entity checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

enum {
	BEDROCK = 256,
	ROOT,
	MODELS_DIR,
	FIXTURES_DIR,
	FIXTURE_VERSION,
	OUTPUT,
	SKIP_INFER,
	PLAIN,
	LOWER,
	KEEP_DTYPE
};

static const struct cmd_opt options[] = {
	{ BEDROCK, "bedrock", "ID", "version 1: the kind of request, if it does not say" },
	{ 'o', "entity", "OUT", "write the .entity to OUT (default: standard output)" },
	{ FIXTURE_VERSION, "fixture-version", "NAME", "version 1: the fixture to run, NAME.npz" },
	{ FIXTURES_DIR, "fixtures-dir", "DIR", "version 1: where fixtures are" },
	{ KEEP_DTYPE, "keep-dtype", NULL, "store float64 as it is, not as float32" },
	{ LOWER, "lower", NULL, "write only what an unmodified Loom computes, or refuse" },
	{ MODELS_DIR, "models-dir", "DIR",
	    "version 1: write DIR/PLANET/ID/ID.stream.entity, answer in JSON" },
	{ CMD_NO_PROGRESS_ROW },
	{ OUTPUT, "output", "OUT", "version 1: write OUT, answer in JSON; version 2: as -o" },
	{ PLAIN, "plain", NULL, "leave out what plain Loom does not need" },
	{ ROOT, "root", "DIR", "version 1: models and fixtures are in DIR/python/BEDROCK" },
	{ SKIP_INFER, "skip-infer", "=BOOL", "version 1: do not run the network for the answer" },
	{ 0 },
};

static const char synopsis[] =
    "[--keep-dtype] [--lower] [--no-progress] [--plain] [-o OUT] [FILE]\n"
    "[--bedrock ID] [--fixture-version NAME] [--fixtures-dir DIR] "
    "[--models-dir DIR] [--output OUT] [--root DIR] [--skip-infer]";

/* As Go's flags take them; alone it is true. */
static int
truth(struct cmd *cmd, const char *text)
{
	static const char *const words[] = { "0", "f", "F", "false", "FALSE", "False", "1", "t",
		"T", "true", "TRUE", "True" };
	size_t i;

	for (i = 0; text != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0)
			return i >= 6;
	if (text != NULL)
		exit(cmd_misuse(cmd, "--skip-infer=%s: expected true or false", text));
	return 1;
}

static void
take_option(struct cmd *cmd, struct loom_stream_options *o, int key)
{
	switch (key) {
	case BEDROCK:
		o->bedrock = optarg;
		break;
	case 'o':
		o->output = strcmp(optarg, "-") == 0 ? NULL : optarg;
		break;
	case FIXTURE_VERSION:
		o->fixture_version = optarg;
		break;
	case FIXTURES_DIR:
		o->fixtures_dir = optarg;
		break;
	case KEEP_DTYPE:
		o->keep_dtype = 1;
		break;
	case LOWER:
		o->lower = 1;
		break;
	case MODELS_DIR:
		o->models_dir = optarg;
		break;
	case OUTPUT:
		o->output_path = optarg;
		break;
	case PLAIN:
		o->plain = 1;
		break;
	case ROOT:
		o->root = optarg;
		break;
	case SKIP_INFER:
		o->skip_infer = truth(cmd, optarg);
		break;
	}
}

/* A terminal cannot use a checkpoint; whether one comes is known only after the stream's head. */
static void
refuse_terminal(void *cmd)
{
	cmd_binary_out(cmd);
}

/* Its options come from clients of the first implementation, which ignores other arguments. */
static int
as_reference(const struct loom_stream_options *o)
{
	return o->bedrock != NULL || o->fixture_version != NULL || o->fixtures_dir != NULL ||
	    o->models_dir != NULL || o->output_path != NULL || o->root != NULL || o->skip_infer;
}

int
main(int argc, char **argv)
{
	struct cmd cmd;
	struct loom_error err = { 0 };
	struct loom_stream_options o = { 0 };
	struct loom_streamed done;
	const char *from = "-";
	int key, status, failed;

	cmd_start(&cmd, "loom-stream", synopsis,
	    "Turn a layer stream, version 1 (JSON) or 2, into an .entity checkpoint.", options);
	cmd.single_dash = 1;
	while ((key = cmd_getopt(&cmd, argc, argv)) != -1)
		take_option(&cmd, &o, key);
	if (!as_reference(&o) && argc - optind > 1)
		return cmd_usage(&cmd);
	if (!as_reference(&o) && optind < argc)
		from = argv[optind];
	o.binary = refuse_terminal;
	o.progress = cmd_progress;
	o.context = &cmd;
	failed = loom_stream(from, &o, &done, &err) < 0;
	cmd_notes(&cmd, done.notes);
	if (done.response != NULL)
		fputs(done.response, stdout);
	status = cmd_finish(&cmd, done.status, &err);
	/* Clients of version 1 that name a destination know 0 and 1 alone. */
	if (failed && done.answered && status != EXIT_USAGE)
		status = EXIT_NO;
	loom_streamed_release(&done);
	return status;
}
