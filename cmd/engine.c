/* engine: another engine runs a file that is about to appear, and its results are compared with ours. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"

enum { PATHS = 4096 };

struct trial {
	char dir[PATHS], inputs[PATHS + 32], ours[PATHS + 32], theirs[PATHS + 32];
};

/* What a signal that ends the program has to end, too. */
static const struct trial *volatile under_way;
static volatile pid_t engine_pid;

static int
fail(struct loom_error *err, const char *what)
{
	err->code = LOOM_EIO;
	err->sys = errno;
	(void)snprintf(err->text, sizeof(err->text), "%s: %s", what, strerror(errno));
	return -1;
}

static int
make_directory(struct trial *t, struct loom_error *err)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(t->dir, sizeof(t->dir), "%s/loom.XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
	if (mkdtemp(t->dir) == NULL)
		return fail(err, "cannot make a temporary directory");
	(void)snprintf(t->inputs, sizeof(t->inputs), "%s/inputs.safetensors", t->dir);
	(void)snprintf(t->ours, sizeof(t->ours), "%s/ours.safetensors", t->dir);
	(void)snprintf(t->theirs, sizeof(t->theirs), "%s/theirs.safetensors", t->dir);
	return 0;
}

static void
remove_directory(const struct trial *t)
{
	(void)unlink(t->inputs);
	(void)unlink(t->ours);
	(void)unlink(t->theirs);
	(void)rmdir(t->dir);
}

/* $LOOM_PYTHON, or the python3 that is found, with the package planetbridging. */
static int
run_engine(const struct trial *t, const char *engine, const char *path, struct loom_error *err)
{
	const char *python = getenv("LOOM_PYTHON");
	int status = 0, code;
	pid_t child = fork();

	if (child < 0)
		return fail(err, "cannot start the engine");
	if (child == 0) {
		python = python != NULL && python[0] != '\0' ? python : "python3";
		(void)execlp(python, python, "-m", "planetbridging", "run", engine, path,
		    "--inputs", t->inputs, "--outputs", t->theirs, (char *)NULL);
		_exit(127);
	}
	engine_pid = child;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	engine_pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	err->code = code == 2 ? LOOM_EARG : code == 3 ? LOOM_EFORMAT : LOOM_EIO;
	(void)snprintf(err->text, sizeof(err->text),
	    code == 127
		? "%s: no Python to run it with: LOOM_PYTHON names one"
		: "%s did not run the file, as it says above; LOOM_PYTHON may name a Python "
		  "that has it and planetbridging",
	    engine);
	return -1;
}

/* 0: all the same within the tolerance; 1: not. */
static int
compare(const struct trial *t, const struct cmd_engine *engine, struct loom_error *err)
{
	struct loom_compare_options options = { .atol = 1e-5, .scale_max = 1, .jobs = 1 };
	struct loom_comparison *comparison = NULL;
	struct loom_tensors *a = NULL, *b = NULL;
	const char *text;
	size_t size;
	int r = -1;

	if (loom_tensors_open(&a, t->theirs, err) == 0 &&
	    loom_tensors_open(&b, t->ours, err) == 0 &&
	    loom_compare(&comparison, a, b, &options, err) == 0)
		r = loom_comparison_same(comparison) ? 0 : 1;
	if (r == 1 && (text = loom_comparison_report(comparison, "text", &size, err)) != NULL)
		(void)fwrite(text, 1, size, stderr);
	if (r >= 0)
		cmd_warn(engine->cmd, "%s %s", engine->name,
		    r == 0 ? "computes the same within 1e-5"
			   : "computes something else: not written");
	loom_comparison_free(comparison);
	loom_tensors_free(a);
	loom_tensors_free(b);
	return r;
}

int
cmd_engine_verify(void *context, const char *path, const struct loom_tensor *inputs,
    size_t n_inputs, const struct loom_tensor *outputs, size_t n_outputs, struct loom_error *err)
{
	const struct cmd_engine *engine = context;
	struct trial t;
	int r = -1;

	if (make_directory(&t, err) < 0)
		return -1;
	under_way = &t;
	if (loom_tensors_write(t.inputs, "safetensors", inputs, n_inputs, err) == 0 &&
	    loom_tensors_write(t.ours, "safetensors", outputs, n_outputs, err) == 0 &&
	    run_engine(&t, engine->name, path, err) == 0)
		r = compare(&t, engine, err);
	under_way = NULL;
	remove_directory(&t);
	return r;
}

void
cmd_engine_abandon(void)
{
	if (engine_pid > 0)
		(void)kill(engine_pid, SIGTERM);
	if (under_way != NULL)
		remove_directory(under_way);
}
