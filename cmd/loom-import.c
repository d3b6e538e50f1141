/* loom-import: a file of another engine becomes a checkpoint. */
#include <string.h>

#include "cmd.h"

enum { SUBDIRS = 256, SYMLINKS, HARDLINKS, MOST_OUTPUTS = 64 };

static const char synopsis[] = "[-o OUT] [options] [FILE]";

static const struct cmd_opt options[] = {
	{ 'd', "data-dir", "DIR", "where files that FILE refers to lie (default: beside it)" },
	{ 'm', "max-memory", "MIB", "what FILE may make this program take (default: 8192)" },
	{ 'o', "output", "OUT", "write there, whole or not at all (default: standard output)" },
	{ 'O', "outputs", "NAME",
	    "end the network at this value, and leave out what only others need;\n"
	    "may be repeated" },
	{ 't', "template", "MODEL", "FILE holds weights alone, and they are for this network" },
	{ SUBDIRS, "allow-subdirs", NULL, "FILE may refer to files in directories below" },
	{ SYMLINKS, "follow-symlinks", NULL, "and through symbolic links" },
	{ HARDLINKS, "allow-hardlinks", NULL, "and to files that have several names" },
	{ 0 },
};

struct import {
	struct cmd cmd;
	struct loom_open_options how;
	const char *output, *names[MOST_OUTPUTS];
};

static void
take_option(struct import *in, int key)
{
	switch (key) {
	case 'd':
		in->how.data_dir = optarg;
		break;
	case 'm':
		in->how.most_memory = (uint64_t)cmd_number(&in->cmd, optarg, 1, 1L << 40) << 20;
		break;
	case 'o':
		in->output = strcmp(optarg, "-") == 0 ? NULL : optarg;
		break;
	case 'O':
		if (in->how.n_outputs < MOST_OUTPUTS)
			in->names[in->how.n_outputs++] = optarg;
		break;
	case 't':
		in->how.like = optarg;
		break;
	case SUBDIRS:
		in->how.subdirs = 1;
		break;
	case SYMLINKS:
		in->how.symlinks = 1;
		break;
	case HARDLINKS:
		in->how.hardlinks = 1;
		break;
	}
}

int
main(int argc, char **argv)
{
	struct import in = { 0 };
	struct loom_error err = { 0 };
	char *notes;
	int key, failed;

	cmd_start(&in.cmd, "loom-import", synopsis,
	    "Write the network in FILE, which another engine's tools made, as an .entity checkpoint.",
	    options);
	while ((key = cmd_getopt(&in.cmd, argc, argv)) != -1)
		take_option(&in, key);
	if (argc - optind > 1)
		return cmd_usage(&in.cmd);
	if (in.output == NULL)
		cmd_binary_out(&in.cmd);
	in.how.outputs = in.names;
	failed = loom_import(optind < argc ? argv[optind] : "-", in.output, &in.how, &notes, &err);
	cmd_notes(&in.cmd, notes);
	loom_text_free(notes);
	return cmd_finish(&in.cmd, failed ? EXIT_NO : EXIT_YES, &err);
}
