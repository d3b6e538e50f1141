/* A program that does what cmd.bats asks for, so that cmd/cmd.c is tested without a model. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../cmd/cmd.h"

enum { CODE = 256, BINARY, REAL, WORK };

static const struct cmd_opt options[] = {
	{ BINARY, "binary", NULL, "write a binary result" },
	{ CODE, "code", "N", "fail with this code of loom.h" },
	{ 'n', "number", "N", "print a number from -3 to 12" },
	{ 'o', "output", "FILE", "write there instead of standard output" },
	{ REAL, "real", "X", "print a number from 0 to 1,\nwhich need not be whole" },
	{ 's', "status", "N", "end with this status" },
	{ WORK, "work", NULL, "work for 1.5 seconds" },
	{ CMD_NO_PROGRESS_ROW },
	{ 0 },
};

static void
work(struct cmd *cmd)
{
	struct timespec pause = { 0, 100000000 };
	uint64_t i;

	for (i = 0; i < 15; i++) {
		cmd_progress(cmd, i * 1000000, 20000000);
		nanosleep(&pause, NULL);
	}
}

static void
act(struct cmd *cmd, int key, struct loom_error *err)
{
	switch (key) {
	case BINARY:
		cmd_binary_out(cmd);
		break;
	case CODE:
		err->code = (enum loom_code)cmd_number(cmd, optarg, 0, 8);
		snprintf(err->text, sizeof(err->text), "asked to fail");
		break;
	case 'n':
		printf("%ld\n", cmd_number(cmd, optarg, -3, 12));
		break;
	case REAL:
		printf("%.17g\n", cmd_real(cmd, optarg, 0, 1));
		break;
	case WORK:
		work(cmd);
		break;
	}
}

int
main(int argc, char **argv)
{
	struct loom_error err = { 0 };
	const char *path = NULL;
	struct cmd cmd;
	int key, status = 0;

	cmd_start(&cmd, "probe", "[-o FILE] [NAME [BYTE]]\n--work", "Try what programs share.",
	    options);
	cmd.single_dash = getenv("SINGLE_DASH") != NULL;
	while ((key = cmd_getopt(&cmd, argc, argv)) != -1) {
		if (key == 'o')
			path = optarg;
		if (key == 's')
			status = (int)cmd_number(&cmd, optarg, 0, 4);
		act(&cmd, key, &err);
	}
	if (optind < argc)
		snprintf(err.source, sizeof(err.source), "%s", argv[optind]);
	err.placed = optind + 1 < argc;
	err.offset = err.placed ? strtoull(argv[optind + 1], NULL, 10) : 0;
	fflush(stdout);
	if (err.code == LOOM_OK && status <= EXIT_NO &&
	    loom_file_write(path, "result\n", 7, &err) < 0)
		status = EXIT_MACHINE;
	return cmd_finish(&cmd, status, &err);
}
