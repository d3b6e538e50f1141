/* entity-dump: show what is in a checkpoint or a file of tensors. */
#include "cmd.h"

static const struct cmd_opt options[] = {
	{ 'c', "check", NULL, "say whether it is sound and why not; status 1 if it is not" },
	{ 'H', "header", NULL, "do not read values: no statistics, no digests" },
	{ 'j', "json", NULL, "print one JSON object instead of lines" },
	{ 0 },
};

int
main(int argc, char **argv)
{
	struct loom_error err = { 0 };
	struct cmd cmd;
	unsigned flags = 0;
	int key, sound, status = EXIT_YES;

	cmd_start(&cmd, "entity-dump", "[--check | --header] [--json] [FILE]",
	    "Show what is in a checkpoint or a file of tensors, in lines made for diff.", options);
	while ((key = cmd_getopt(&cmd, argc, argv)) != -1)
		flags |= key == 'c' ? LOOM_DUMP_CHECK
		    : key == 'H'    ? LOOM_DUMP_HEADER
				    : LOOM_DUMP_JSON;
	if (argc - optind > 1)
		return cmd_usage(&cmd);
	if ((flags & LOOM_DUMP_CHECK) != 0 && (flags & LOOM_DUMP_HEADER) != 0)
		return cmd_misuse(&cmd, "--check reads the values: not with --header");
	if (loom_dump(stdout, optind < argc ? argv[optind] : "-", flags, &sound, &err) == 0 &&
	    (flags & LOOM_DUMP_CHECK) != 0 && !sound)
		status = EXIT_NO;
	return cmd_finish(&cmd, status, &err);
}
