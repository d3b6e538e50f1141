/* request_answer: a version-1 request from its text to a checkpoint and an answer. */
#include "format/request_answer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "format/entity.h"
#include "format/request_kinds.h"
#include "format/stream.h"

struct answering {
	const struct loom_stream_options *options;
	struct lm_request q;
	const struct lm_request_kind *kind;
	/* What holds, of envelope and options. */
	const char *bedrock, *root, *models_dir, *fixtures_dir, *fixture_version, *output_path;
	int skip_infer;
	struct loom_model *model;
	struct lm_samples samples;
	struct lm_request_matrix outputs;
	struct lm_buf path;
	struct lm_buf *notes;
	struct loom_error *err;
};

static int
is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* ---- paths ---- */

/* Drop the last component that a ".." takes back; 0 where there is none to take. */
static int
go_up(struct lm_buf *path, size_t root)
{
	size_t n = path->len, from;

	if (n <= root)
		return root == 1;
	for (from = n; from > root && path->data[from - 1] != '/'; from--)
		;
	if (strcmp(path->data + from, "..") == 0)
		return 0;
	path->len = from > root ? from - 1 : root;
	path->data[path->len] = '\0';
	return 1;
}

/* Append components, as Go's filepath.Join does: ".", ".." and empty ones are resolved by their names. */
static int
join(struct lm_buf *path, const char *more, struct loom_error *err)
{
	size_t n, root;

	if (path->len == 0 && more[0] == '/' && lm_buf_str(path, "/", err) < 0)
		return -1;
	root = path->len > 0 && path->data[0] == '/';
	for (; *more != '\0'; more += n + (more[n] == '/')) {
		n = strcspn(more, "/");
		if (n == 0 || (n == 1 && more[0] == '.'))
			continue;
		if (n == 2 && more[0] == '.' && more[1] == '.' && go_up(path, root))
			continue;
		if (path->len > root && lm_buf_str(path, "/", err) < 0)
			return -1;
		if (lm_buf_add(path, more, n, err) < 0)
			return -1;
	}
	return 0;
}

static int
join_all(struct lm_buf *path, const char *const *parts, struct loom_error *err)
{
	lm_buf_clear(path);
	for (; *parts != NULL; parts++)
		if (join(path, *parts, err) < 0)
			return -1;
	return path->len > 0 ? 0 : lm_buf_str(path, ".", err);
}

static const char *
join_copy(struct answering *a, const char *const *parts)
{
	if (join_all(&a->path, parts, a->err) < 0)
		return NULL;
	return lm_arena_string(&a->q.arena, a->path.data, a->err);
}

/* ---- what holds ---- */

static const char *
either(const struct answering *a, enum lm_field_id id, const char *option)
{
	const char *said = a->q.envelope[id].text;

	return is_set(said) ? said : is_set(option) ? option : NULL;
}

static void
settle_fields(struct answering *a)
{
	const struct loom_stream_options *o = a->options;

	a->bedrock = either(a, LM_REQ_BEDROCK, o->bedrock);
	a->root = either(a, LM_REQ_ROOT, o->root);
	a->models_dir = either(a, LM_REQ_MODELS_DIR, o->models_dir);
	a->fixtures_dir = either(a, LM_REQ_FIXTURES_DIR, o->fixtures_dir);
	a->fixture_version = either(a, LM_REQ_FIXTURE_VERSION, o->fixture_version);
	a->output_path = either(a, LM_REQ_OUTPUT_PATH, o->output_path);
	a->skip_infer = o->skip_infer || a->q.envelope[LM_REQ_SKIP_INFER].integer != 0;
}

static int
has_destination(const struct answering *a)
{
	return a->output_path != NULL || a->models_dir != NULL || a->root != NULL;
}

/* The envelope's id, without the white space around it and in lower case; else the body's. */
static int
settle_bedrock(struct answering *a)
{
	static const char space[] = " \t\n\v\f\r";
	char *id = NULL, *p;

	if (a->bedrock != NULL) {
		id = lm_arena_string(&a->q.arena, a->bedrock + strspn(a->bedrock, space), a->err);
		if (id == NULL)
			return -1;
		for (p = id + strlen(id); p > id && strchr(space, p[-1]) != NULL;)
			*--p = '\0';
		for (p = id; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p - 'A' + 'a');
	}
	a->bedrock = is_set(id) ? id : lm_request_detect(&a->q, a->err);
	if (a->bedrock == NULL)
		return lm_fail(a->err, LOOM_EFORMAT,
		    "\"bedrock\" is required: the request does not say which kind it is");
	return 0;
}

static int
settle_directories(struct answering *a)
{
	const char *const models[] = { a->root, "python", a->bedrock, "models", NULL };
	const char *const fixtures[] = { a->root, "python", a->bedrock, "fixtures", NULL };

	if (a->root == NULL)
		return 0;
	if (a->models_dir == NULL)
		a->models_dir = join_copy(a, models);
	if (a->fixtures_dir == NULL)
		a->fixtures_dir = join_copy(a, fixtures);
	return a->models_dir != NULL && a->fixtures_dir != NULL ? 0 : -1;
}

static int
settle_kind(struct answering *a)
{
	char shown[LM_SHOWN];

	a->kind = lm_request_kind(a->bedrock);
	if (a->kind != NULL)
		return 0;
	return lm_fail(a->err, LOOM_EFORMAT, "unknown bedrock \"%s\"", lm_shown(shown, a->bedrock));
}

/* ---- the destination ---- */

static const char *
text_of(const struct answering *a, enum lm_field_id id)
{
	const char *s = a->q.body->field[id].text;

	return s != NULL ? s : "";
}

/* An id becomes a directory and a file's name: it must not lead elsewhere. */
static int
check_id(const struct answering *a, enum lm_field_id id, const char *key)
{
	const char *s = text_of(a, id);
	char shown[LM_SHOWN];

	if (strchr(s, '/') == NULL && strcmp(s, ".") != 0 && strcmp(s, "..") != 0)
		return 0;
	return lm_fail(a->err, LOOM_EFORMAT,
	    "\"%s\" is \"%s\": it names a directory, so it must not hold \"/\" or be \"..\"", key,
	    lm_shown(shown, s));
}

static int
settle_path(struct answering *a)
{
	const char *planet = text_of(a, LM_REQ_PLANET), *id = text_of(a, LM_REQ_MODEL_ID);
	const char *const parts[] = { a->models_dir, planet, id, id, NULL };

	lm_buf_clear(&a->path);
	if (a->output_path != NULL)
		return lm_buf_str(&a->path, a->output_path, a->err);
	if (check_id(a, LM_REQ_PLANET, "planet") < 0 ||
	    check_id(a, LM_REQ_MODEL_ID, "model_id") < 0)
		return -1;
	if (join_all(&a->path, parts, a->err) < 0 ||
	    (id[0] == '\0' && lm_buf_str(&a->path, "/", a->err) < 0))
		return -1;
	return lm_buf_str(&a->path, ".stream.entity", a->err);
}

/* The directories above path that are not there yet. */
static int
make_directories(struct lm_buf *path, struct loom_error *err)
{
	char *slash, *p = path->data;
	int r = 0;

	while (r == 0 && (slash = strchr(p + 1, '/')) != NULL) {
		*slash = '\0';
		if (mkdir(path->data, 0755) < 0 && errno != EEXIST)
			r = lm_fail_sys(err, errno, "cannot make the directory %s", path->data);
		*slash = '/';
		p = slash;
	}
	return r;
}

static int
write_entity(struct answering *a, const char *path)
{
	struct loom_stream_options options = *a->options;
	struct lm_sink *sink = NULL;
	int r;

	if (path != NULL)
		options.output = path;
	if (lm_stream_sink(&options, &sink, a->err) < 0)
		return -1;
	r = lm_entity_save(a->model, sink, lm_stream_how(&options, LM_ENTITY_PLAIN), a->err);
	if (r == 0)
		r = lm_sink_commit(sink, a->err);
	lm_sink_free(sink);
	return r;
}

/* ---- the run ---- */

/* A fixture is read before the network is looked at, as in the reference. */
static int
load_fixture(struct answering *a)
{
	const char *version = a->fixture_version;

	if (version == NULL)
		version = a->q.body->field[LM_REQ_BODY_FIXTURE_VERSION].text;
	if (a->skip_infer || a->q.envelope[LM_REQ_INPUTS].rows.n > 0 || !is_set(version) ||
	    a->fixtures_dir == NULL)
		return 0;
	if (lm_samples_shape(&a->samples, a->kind, &a->q, a->err) < 0)
		return -1;
	return lm_samples_fixture(&a->samples, a->kind, a->fixtures_dir, version, a->err);
}

static int
no_inputs(const struct answering *a)
{
	return lm_fail(a->err, LOOM_EFORMAT,
	    "inference needs inputs: \"inputs\", or "
	    "\"fixture_version\" and \"fixtures_dir\"; or ask for \"skip_infer\"");
}

/* Only dense requests are written before it turns out that there is nothing to run them on. */
static int
take_inputs(struct answering *a)
{
	if (a->skip_infer || a->samples.n > 0)
		return 0;
	if (a->q.envelope[LM_REQ_INPUTS].rows.n == 0)
		return a->kind->named ? 0 : no_inputs(a);
	if (lm_samples_shape(&a->samples, a->kind, &a->q, a->err) < 0)
		return -1;
	return lm_samples_given(&a->samples, a->kind, &a->q, a->err);
}

/* All samples as one tensor: one of the network's inputs. */
static int
set_input(const struct answering *a, struct loom_run *run, const struct loom_model *model, size_t i)
{
	const struct lm_shape *s = &a->samples.shape[i];
	struct loom_tensor x = { .name = loom_model_input(model, i),
		.dtype = "float32",
		.rank = s->rank + 1,
		.shape = { a->samples.of[i].rows },
		.data = a->samples.of[i].v };
	unsigned k;

	for (k = 0; k < s->rank; k++)
		x.shape[k + 1] = s->dim[k];
	return loom_run_set(run, i, &x, a->err);
}

/* How many numbers of a row are answered; 0: all. */
static size_t
cut(const struct answering *a, const struct loom_tensor *y)
{
	int64_t said = a->q.body->field[LM_REQ_BODY_OUTPUT_DIM].integer;
	uint64_t wide = 1;
	unsigned i;

	for (i = 1; i < y->rank; i++)
		wide *= y->shape[i];
	if (a->kind->padded > 0)
		return (size_t)(said > 0 ? said : a->kind->padded);
	return a->kind->cut_to_output && said > 0 && (uint64_t)said < wide ? (size_t)said : 0;
}

static int
run_model(struct answering *a, const struct loom_model *model)
{
	struct loom_tensor y;
	struct loom_run *run = NULL;
	size_t i;
	int r;

	r = loom_run_new(&run, model, 1, a->err);
	for (i = 0; r == 0 && i < a->samples.n; i++)
		r = set_input(a, run, model, i);
	if (r == 0)
		r = loom_run_forward(run, a->err);
	if (r == 0) {
		y = loom_run_output(run, 0);
		r = lm_matrix_copy(&a->outputs, &y, cut(a, &y), a->err);
	}
	loom_run_free(run);
	return r;
}

/* The network that is run is the one that was written, read anew. */
static int
infer(struct answering *a)
{
	struct loom_model *model = NULL;
	int r;

	if (a->skip_infer)
		return 0;
	if (a->samples.n == 0)
		return no_inputs(a);
	if (a->samples.of[0].rows == 0)
		return 0;
	r = loom_model_open(&model, a->path.data, a->err);
	if (r == 0)
		r = run_model(a, model);
	loom_model_free(model);
	return r;
}

/* ---- all of it ---- */

/* What fails here is answered, where an answer is wanted. */
static int
work(struct answering *a, int answered)
{
	if (settle_bedrock(a) < 0 || settle_directories(a) < 0 || settle_kind(a) < 0 ||
	    lm_request_check(a->kind, &a->q, a->err) < 0)
		return -1;
	if (answered && (load_fixture(a) < 0 || settle_path(a) < 0))
		return -1;
	if (lm_request_build(a->kind, &a->q, &a->model, a->notes, a->err) < 0)
		return -1;
	if (!answered)
		return write_entity(a, NULL);
	if (take_inputs(a) < 0 || make_directories(&a->path, a->err) < 0 ||
	    write_entity(a, a->path.data) < 0)
		return -1;
	return infer(a);
}

static int
say_yes(const struct answering *a, struct loom_streamed *out, struct lm_buf *response)
{
	struct lm_response r = { .entity_path = a->path.data,
		.layer_count = a->q.body->n,
		.weight_bytes = lm_request_weights(a->kind, &a->q, a->model),
		.outputs = &a->outputs };

	out->status = 0;
	if (lm_response_write(response, &r, a->err) == 0)
		return 0;
	lm_buf_clear(response);
	return -1;
}

/* The failure becomes the answer; only a lack of memory stays one. */
static int
say_no(const struct answering *a, struct loom_streamed *out, struct lm_buf *response)
{
	char message[sizeof(a->err->source) + sizeof(a->err->text) + 2];
	struct lm_response r = { .message = message };

	if (a->err->code == LOOM_ENOMEM)
		return -1;
	snprintf(message, sizeof(message), "%s%s%s", a->err->source,
	    a->err->source[0] != '\0' ? ": " : "", a->err->text);
	memset(a->err, 0, sizeof(*a->err));
	out->status = 1;
	return lm_response_write(response, &r, a->err);
}

static int
check_envelope(const struct answering *a)
{
	unsigned char used[LM_REQ_FIELDS] = { 0 };
	size_t i;

	for (i = 0; i < LM_REQ_PAYLOAD; i++)
		used[i] = 1;
	return lm_request_fault(a->q.fault, used, a->err);
}

static int
decode(struct answering *a, struct lm_source *source, struct loom_streamed *out)
{
	const unsigned char *text;
	size_t n;
	int r;

	if (lm_source_all(source, &text, &n, a->err) < 0)
		return -1;
	r = lm_request_decode(&a->q, (const char *)text, n, a->err);
	settle_fields(a);
	out->answered = has_destination(a);
	if (r == 0)
		r = check_envelope(a);
	if (r == 0 && out->answered && a->options->output != NULL)
		return lm_fail(a->err, LOOM_EARG,
		    "the request has a destination of its own "
		    "(output_path, models_dir or root), so -o cannot be given with it");
	return r < 0 ? lm_fail_in(a->err, lm_source_name(source)) : 0;
}

int
lm_request_answer(struct lm_source *source, const struct loom_stream_options *options,
    struct loom_streamed *out, struct lm_buf *response, struct lm_buf *notes,
    struct loom_error *err)
{
	struct answering a = { .options = options, .notes = notes, .err = err };
	int r;

	lm_buf_init(&a.path, 65536);
	r = decode(&a, source, out);
	if (r == 0) {
		r = work(&a, out->answered);
		if (!out->answered && r < 0)
			r = lm_fail_in(err, lm_source_name(source));
		else if (out->answered)
			r = r == 0 ? say_yes(&a, out, response) : say_no(&a, out, response);
	}
	loom_model_free(a.model);
	lm_samples_release(&a.samples);
	lm_matrix_release(&a.outputs);
	lm_buf_release(&a.path);
	lm_request_release(&a.q);
	return r;
}
