/*
 * cmd.h: what the programs share: options, messages, progress, signals, the way out.
 *
 * A program calls cmd_start, loops over cmd_getopt, works, and returns cmd_finish's value.
 */
#ifndef CMD_H
#define CMD_H

#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "loom.h"

enum { EXIT_YES, EXIT_NO, EXIT_USAGE, EXIT_DATA, EXIT_MACHINE };

enum { CMD_OPTIONS = 40 };

/* A row of a program's option table, which ends with { 0 }. */
struct cmd_opt {
	int letter;	  /* what cmd_getopt returns; 256 and above have no short form */
	const char *name; /* the long form, without dashes */
	const char *
	    arg; /* what its value is called in --help; NULL: takes none; "=X": --name or --name=X */
	const char *help; /* one line; "\n" breaks a longer one */
};

/* A row, { CMD_NO_PROGRESS_ROW }, for programs whose work may take long; cmd_getopt acts on it. */
enum { CMD_NO_PROGRESS = 1000 };
#define CMD_NO_PROGRESS_ROW CMD_NO_PROGRESS, "no-progress", NULL, "never show progress"

/* The fields are cmd.c's; a program may set single_dash between cmd_start and cmd_getopt. */
struct cmd {
	const char *name, *synopsis, *purpose;
	const struct cmd_opt *options;
	int single_dash; /* long options may also start with one dash */
	int last;	 /* the option that cmd_getopt returned last */
	struct option longs[CMD_OPTIONS + 4];
	char shorts[2 * CMD_OPTIONS + 8];
	struct {
		int off, shown;
		struct timespec begun, drawn;
	} progress;
};

/*
 * synopsis: what follows the name in a usage line, "\n" between two forms; purpose: one sentence for
 * --help.  Call it first: it also settles signals and descriptors 0 to 2.
 */
void cmd_start(struct cmd *, const char *name, const char *synopsis, const char *purpose,
    const struct cmd_opt *options);

/*
 * The letter of the next option, its value in optarg; -1 after the last, with optind at the first
 * operand.  --help, --version and --completion end the program with status 0, a bad option with
 * EXIT_USAGE.
 */
int cmd_getopt(struct cmd *, int argc, char **argv);

/* The value of the current option as a number; one that is none or out of range is EXIT_USAGE. */
long cmd_number(struct cmd *, const char *text, long least, long most);
double cmd_real(struct cmd *, const char *text, double least, double most);

/* Print the synopsis, or what is wrong with the command line; both return EXIT_USAGE. */
int cmd_usage(struct cmd *);
int cmd_misuse(struct cmd *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line on standard error, headed by the program's name. */
void cmd_warn(struct cmd *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for each line of text, which is cut up; text may be NULL. */
void cmd_notes(struct cmd *, char *text);

/* An engine of `python3 -m planetbridging run` that looks at exported files: see loom_export_options. */
struct cmd_engine {
	struct cmd *cmd;
	const char *name;
};
int cmd_engine_verify(void *engine, const char *path, const struct loom_tensor *inputs,
    size_t n_inputs, const struct loom_tensor *outputs, size_t n_outputs, struct loom_error *);
/* For signal handlers that end the program: ends the engine and removes what it was given. */
void cmd_engine_abandon(void);

/* Ends the program with EXIT_USAGE if standard output, about to get binary data, is a terminal. */
void cmd_binary_out(struct cmd *);

/*
 * Show done of total bytes (total 0: unknown) on standard error, if that is a terminal and the first
 * call was more than a second ago.  context is the struct cmd: it can be given as a callback.
 */
void cmd_progress(void *context, uint64_t done, uint64_t total);

/* Print the script for that shell from the program's options and the common ones; a status. */
int cmd_completion(struct cmd *, const char *shell, const struct cmd_opt *common);

/*
 * The way out once work has begun: close standard output, print the error if there is one, and choose
 * the status: the given one if all went well.
 */
int cmd_finish(struct cmd *, int status, struct loom_error *);

#endif
