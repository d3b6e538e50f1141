/* cmd: options, messages, progress, signals, and the one way out. */
#include "cmd.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- messages ---- */

/* File names may hold anything; a message is one line all the same. */
static void
put_line(const char *text)
{
	for (; *text != '\0'; text++)
		putc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text, stderr);
	putc('\n', stderr);
}

static void
clear_progress(struct cmd *cmd)
{
	if (cmd->progress.shown)
		fputs("\r\033[K", stderr);
	cmd->progress.shown = 0;
}

static void say(struct cmd *, const char *format, va_list) __attribute__((format(printf, 2, 0)));

static void
say(struct cmd *cmd, const char *format, va_list values)
{
	char text[2048];

	vsnprintf(text, sizeof(text), format, values);
	clear_progress(cmd);
	fprintf(stderr, "%s: ", cmd->name);
	put_line(text);
}

void
cmd_warn(struct cmd *cmd, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say(cmd, format, values);
	va_end(values);
}

static int
hint(const struct cmd *cmd)
{
	fprintf(stderr, "Try '%s --help'.\n", cmd->name);
	return EXIT_USAGE;
}

int
cmd_misuse(struct cmd *cmd, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	say(cmd, format, values);
	va_end(values);
	return hint(cmd);
}

/* One line for each form of the synopsis. */
static void
put_usage(const struct cmd *cmd, FILE *to)
{
	const char *line = cmd->synopsis, *head = "usage:";
	size_t length;

	for (;; line += length + 1, head = "      ") {
		length = strcspn(line, "\n");
		fprintf(to, "%s %s%s%.*s\n", head, cmd->name, length ? " " : "", (int)length, line);
		if (line[length] == '\0')
			return;
	}
}

int
cmd_usage(struct cmd *cmd)
{
	put_usage(cmd, stderr);
	return hint(cmd);
}

/* ---- signals ---- */

static void
on_signal(int number)
{
	cmd_engine_abandon();
	loom_abandon();
	signal(number, SIG_DFL);
	raise(number);
}

/* A signal that ends the program leaves no half-written file behind. */
static void
catch_signals(void)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU };
	struct sigaction now, ours = { .sa_handler = on_signal };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaction(ends[i], &ours, NULL);
}

static int
io_error(struct loom_error *err, const char *source, int sys)
{
	if (err->code != LOOM_OK)
		return -1;
	err->code = LOOM_EIO;
	err->sys = sys;
	snprintf(err->source, sizeof(err->source), "%s", source);
	snprintf(err->text, sizeof(err->text), "%s", strerror(sys));
	return -1;
}

/* ---- start, options ---- */

/*
 * A program started with a standard descriptor closed would get that number for the next file it
 * opens.  A descriptor opened the wrong way round keeps the place, and its use fails as it should.
 */
static void
hold_descriptors(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static int
takes(const char *arg)
{
	return arg == NULL ? no_argument : arg[0] == '=' ? optional_argument : required_argument;
}

static void
add_option(struct cmd *cmd, size_t i, int letter, const char *name, const char *arg)
{
	char *s = cmd->shorts + strlen(cmd->shorts);

	cmd->longs[i] = (struct option){ name, takes(arg), NULL, letter };
	if (letter < 256)
		(void)snprintf(s, 4, "%c%.*s", letter, takes(arg), "::");
}

enum { COMPLETION = 1001 };

/* What every program has, behind its own. */
static const struct cmd_opt common[] = {
	{ COMPLETION, "completion", "bash|zsh",
	    "print a script by which that shell completes options, and exit" },
	{ 'h', "help", NULL, "print this and exit" },
	{ 'V', "version", NULL, "print the version and exit" },
	{ 0 },
};

void
cmd_start(struct cmd *cmd, const char *name, const char *synopsis, const char *purpose,
    const struct cmd_opt *options)
{
	size_t i, j;

	memset(cmd, 0, sizeof(*cmd));
	cmd->name = name;
	cmd->synopsis = synopsis;
	cmd->purpose = purpose;
	cmd->options = options;
	memcpy(cmd->shorts, "+:", 3);
	for (i = 0; options[i].name != NULL; i++) {
		assert(i < CMD_OPTIONS);
		add_option(cmd, i, options[i].letter, options[i].name, options[i].arg);
	}
	for (j = 0; common[j].name != NULL; j++)
		add_option(cmd, i + j, common[j].letter, common[j].name, common[j].arg);
	opterr = 0;
	/* A line is one write: programs of a pipeline say theirs at the same time. */
	(void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	hold_descriptors();
	signal(SIGPIPE, SIG_DFL);
	/* The write that would exceed a limit fails instead, as on a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	catch_signals();
}

enum { FORM = 80 };

/* "--output FILE", "--skip-infer[=BOOL]"; returns the length. */
static int
long_form(char dst[FORM], const struct cmd_opt *o)
{
	if (takes(o->arg) == optional_argument)
		return snprintf(dst, FORM, "--%s[%s]", o->name, o->arg);
	return snprintf(dst, FORM, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

/* The lines of one option: its two forms, then its help, whose further lines are indented alike. */
static void
put_option(const struct cmd_opt *o, int width)
{
	const char *help = o->help, *end;
	char form[FORM];

	(void)long_form(form, o);
	if (o->letter < 256)
		printf("  -%c, %-*s", o->letter, width, form);
	else
		printf("      %-*s", width, form);
	while ((end = strchr(help, '\n')) != NULL) {
		printf("  %.*s\n      %*s", (int)(end - help), help, width, "");
		help = end + 1;
	}
	printf("  %s\n", help);
}

static int
print_help(const struct cmd *cmd)
{
	const struct cmd_opt *o;
	int width = long_form((char[FORM]){ 0 }, common), n;
	char form[FORM];

	for (o = cmd->options; o->name != NULL; o++) {
		n = long_form(form, o);
		width = n > width ? n : width;
	}
	put_usage(cmd, stdout);
	printf("%s\n\n", cmd->purpose);
	for (o = cmd->options; o->name != NULL; o++)
		put_option(o, width);
	for (o = common; o->name != NULL; o++)
		put_option(o, width);
	return 0;
}

/* What getopt_long refused; for a long option only argv still knows the text. */
static int
bad_option(struct cmd *cmd, int found, char **argv)
{
	const char *text = argv[optind - 1];
	char letter[3] = { '-', (char)optopt, '\0' };
	int is_long = cmd->single_dash || strncmp(text, "--", 2) == 0;

	if (found == ':')
		return cmd_misuse(cmd, "%s needs a value", is_long ? text : letter);
	if (optopt >= 256 || (optopt != ':' && optopt != 0 && strchr(cmd->shorts, optopt)))
		return cmd_misuse(cmd, "%s: this option takes no value", text);
	if (optopt != 0)
		return cmd_misuse(cmd, "%s: no such option", letter);
	return cmd_misuse(cmd, "%s: no such option, or more than one starts so", text);
}

int
cmd_getopt(struct cmd *cmd, int argc, char **argv)
{
	struct loom_error none = { 0 };
	int key = CMD_NO_PROGRESS;

	while (key == CMD_NO_PROGRESS) {
		key = cmd->single_dash ? getopt_long_only(argc, argv, cmd->shorts, cmd->longs, NULL)
				       : getopt_long(argc, argv, cmd->shorts + 1, cmd->longs, NULL);
		cmd->progress.off |= key == CMD_NO_PROGRESS;
	}
	switch (key) {
	case 'h':
		exit(cmd_finish(cmd, print_help(cmd), &none));
	case 'V':
		printf("%s %s\n", cmd->name, LOOM_VERSION);
		exit(cmd_finish(cmd, EXIT_YES, &none));
	case COMPLETION:
		exit(cmd_finish(cmd, cmd_completion(cmd, optarg, common), &none));
	case '?':
	case ':':
		exit(bad_option(cmd, key, argv));
	}
	cmd->last = key;
	return key;
}

static const char *
last_name(const struct cmd *cmd)
{
	const struct cmd_opt *o;

	for (o = cmd->options; o->name != NULL; o++)
		if (o->letter == cmd->last)
			return o->name;
	return "value";
}

long
cmd_number(struct cmd *cmd, const char *text, long least, long most)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (isspace((unsigned char)*text) || end == text || *end != '\0' || errno != 0 ||
	    n < least || n > most)
		exit(cmd_misuse(cmd, "--%s '%s': expected a whole number from %ld to %ld",
		    last_name(cmd), text, least, most));
	return n;
}

double
cmd_real(struct cmd *cmd, const char *text, double least, double most)
{
	char *end;
	double x = strtod(text, &end);

	if (isspace((unsigned char)*text) || end == text || *end != '\0' ||
	    !(x >= least && x <= most))
		exit(cmd_misuse(cmd, "--%s '%s': expected a number from %g to %g", last_name(cmd),
		    text, least, most));
	return x;
}

void
cmd_notes(struct cmd *cmd, char *text)
{
	char *end;

	for (; text != NULL && (end = strchr(text, '\n')) != NULL; text = end + 1) {
		*end = '\0';
		cmd_warn(cmd, "%s", text);
	}
}

void
cmd_binary_out(struct cmd *cmd)
{
	if (isatty(STDOUT_FILENO))
		exit(cmd_misuse(cmd,
		    "standard output is a terminal and the result is binary: "
		    "send it to a file or a pipe"));
}

/* ---- progress ---- */

static double
seconds_since(const struct timespec *then, const struct timespec *now)
{
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

static void
draw(const struct cmd *cmd, uint64_t done, uint64_t total, double seconds)
{
	double rate = (double)done / seconds;

	fprintf(stderr, "\r\033[K%s: %.1f MB", cmd->name, (double)done / 1e6);
	if (total > 0)
		fprintf(stderr, " of %.1f MB", (double)total / 1e6);
	fprintf(stderr, ", %.1f MB/s", rate / 1e6);
	if (total > done && done > 0)
		fprintf(stderr, ", %.0f s left", (double)(total - done) / rate);
	fflush(stderr);
}

void
cmd_progress(void *context, uint64_t done, uint64_t total)
{
	struct cmd *cmd = context;
	struct timespec now;

	if (cmd->progress.off || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return;
	if (cmd->progress.begun.tv_sec == 0) {
		cmd->progress.begun = cmd->progress.drawn = now;
		cmd->progress.off = !isatty(STDERR_FILENO);
		return;
	}
	if (seconds_since(&cmd->progress.begun, &now) < 1 ||
	    (cmd->progress.shown && seconds_since(&cmd->progress.drawn, &now) < 0.2))
		return;
	cmd->progress.drawn = now;
	cmd->progress.shown = 1;
	draw(cmd, done, total, seconds_since(&cmd->progress.begun, &now));
}

/* ---- the end ---- */

static int
status_of(const struct loom_error *err)
{
	switch (err->code) {
	case LOOM_ENOMEM:
	case LOOM_EIO:
	case LOOM_EMACHINE:
		return EXIT_MACHINE;
	case LOOM_EARG:
		return EXIT_USAGE;
	default:
		return EXIT_DATA;
	}
}

static void
report(struct cmd *cmd, const struct loom_error *err)
{
	char place[32] = "";

	if (err->placed)
		snprintf(place, sizeof(place), "byte %llu: ", (unsigned long long)err->offset);
	cmd_warn(cmd, "%s%s%s%s", err->source, err->source[0] ? ": " : "", place, err->text);
}

int
cmd_finish(struct cmd *cmd, int status, struct loom_error *err)
{
	clear_progress(cmd);
	errno = 0;
	if ((fflush(stdout) != 0) | ferror(stdout) | (fclose(stdout) != 0))
		(void)io_error(err, "standard output", errno ? errno : EIO);
	if (err->code == LOOM_OK)
		return status;
	report(cmd, err);
	return status_of(err);
}
