/* loom-list: print the tables of operations, formats and dtypes. */
#include "cmd.h"

static const struct cmd_opt options[] = {
	{ 'j', "json", NULL, "print JSON instead of columns" },
	{ 0 },
};

int
main(int argc, char **argv)
{
	struct loom_error err = { 0 };
	struct cmd cmd;
	int key, json = 0;

	cmd_start(&cmd, "loom-list", "[--json] layers|formats|dtypes",
	    "Print what this library knows: operations, file formats, element types.", options);
	while ((key = cmd_getopt(&cmd, argc, argv)) != -1)
		json |= key == 'j';
	if (optind + 1 != argc)
		return cmd_usage(&cmd);
	key = loom_list(stdout, argv[optind], json, &err);
	return cmd_finish(&cmd, key < 0 ? EXIT_DATA : EXIT_YES, &err);
}
