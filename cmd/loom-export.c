/* loom-export: a network leaves for another engine, if what was written is the same network. */
#include <string.h>

#include "cmd.h"

enum { OPSET = 256, VERIFY_WITH };

static const char synopsis[] = "-f FORMAT [-o OUT] [options] [MODEL]";

static const struct cmd_opt options[] = {
	{ 'd', "dtype", "NAME",
	    "narrower weights: f16, bf16, and in gguf q8_0, q5_1, q5_0, q4_1, q4_0;\n"
	    "says what each tensor loses" },
	{ 'f', "format", "FORMAT", "what to write: see loom-list formats" },
	{ 'j', "jobs", "N", "threads that check what was written (default 1)" },
	{ 'o', "output", "OUT",
	    "the file or directory that appears, whole or not at all\n"
	    "(default: standard output)" },
	{ OPSET, "opset", "N", "of onnx: 17 to 23 (default 17)" },
	{ 'T', "tokenizer", "FILE",
	    "a tokenizer.json, or the directory it is in, for gguf and huggingface" },
	{ VERIFY_WITH, "verify-with", "ENGINE",
	    "before OUT appears, let ENGINE run it, too: onnxruntime, openvino,\n"
	    "llama.cpp, torch ... (python3 -m planetbridging run)" },
	{ 0 },
};

struct export
{
	struct cmd cmd;
	struct loom_export_options options;
	struct cmd_engine engine;
};

static void
take_option(struct export *e, int key)
{
	switch (key) {
	case 'd':
		e->options.dtype = optarg;
		break;
	case 'f':
		e->options.format = optarg;
		break;
	case 'j':
		e->options.jobs = (int)cmd_number(&e->cmd, optarg, 1, 1024);
		break;
	case 'o':
		e->options.output = strcmp(optarg, "-") == 0 ? NULL : optarg;
		break;
	case OPSET:
		e->options.opset = (int)cmd_number(&e->cmd, optarg, 17, 23);
		break;
	case 'T':
		e->options.tokenizer = optarg;
		break;
	case VERIFY_WITH:
		e->engine.name = optarg;
		e->options.verify = cmd_engine_verify;
		e->options.context = &e->engine;
		break;
	}
}

int
main(int argc, char **argv)
{
	struct export e = { 0 };
	struct loom_error err = { 0 };
	struct loom_exported done;
	int key, status = EXIT_NO;

	cmd_start(&e.cmd, "loom-export", synopsis,
	    "Write a network for another engine, if the file reads back as the same network.",
	    options);
	while ((key = cmd_getopt(&e.cmd, argc, argv)) != -1)
		take_option(&e, key);
	if (argc - optind > 1)
		return cmd_usage(&e.cmd);
	if (e.options.format == NULL)
		return cmd_misuse(&e.cmd, "-f FORMAT is missing: see loom-list formats");
	if (e.options.output == NULL)
		cmd_binary_out(&e.cmd);
	e.engine.cmd = &e.cmd;
	if (loom_export(optind < argc ? argv[optind] : "-", &e.options, &done, &err) == 0 &&
	    done.same)
		status = EXIT_YES;
	cmd_notes(&e.cmd, done.notes);
	loom_exported_release(&done);
	return cmd_finish(&e.cmd, status, &err);
}
