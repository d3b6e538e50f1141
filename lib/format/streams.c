/* streams: layer streams of both versions, told apart by how they begin. */
#include <string.h>

#include "base/mem.h"
#include "format/request_answer.h"
#include "format/stream.h"

static int
is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* Nothing at all came: the program before us in the pipe has most likely failed. */
static int
check_empty(struct lm_source *source, struct loom_error *err)
{
	const unsigned char *p;
	size_t got;

	if (lm_source_peek(source, &p, 1, &got, err) < 0)
		return -1;
	if (got > 0)
		return 0;
	if (strcmp(lm_source_name(source), "<stdin>") == 0)
		return lm_fail(err, LOOM_ETRUNCATED,
		    "standard input is empty; did the program before it fail?");
	(void)lm_fail(err, LOOM_ETRUNCATED, "it is empty");
	return lm_fail_in(err, lm_source_name(source));
}

/* Of the reference's options only its name for the output means something to version 2. */
static int
convert(struct lm_source *source, const struct loom_stream_options *given, struct lm_buf *notes,
    struct loom_error *err)
{
	struct loom_stream_options options = *given;

	if (is_set(given->bedrock) || is_set(given->root) || is_set(given->models_dir) ||
	    is_set(given->fixtures_dir) || is_set(given->fixture_version) || given->skip_infer)
		return lm_fail(err, LOOM_EARG,
		    "this stream is of version 2; the options bedrock, "
		    "root, models-dir, fixtures-dir, fixture-version and skip-infer are for "
		    "version 1 (use -o FILE)");
	if (options.output == NULL && is_set(given->output_path))
		options.output = given->output_path;
	return lm_stream_convert(source, &options, notes, err);
}

/* The text of a buffer, which then is the caller's; NULL where it is empty. */
static char *
taken(struct lm_buf *buf)
{
	char *text = buf->len > 0 ? buf->data : NULL;

	if (text != NULL)
		lm_buf_init(buf, buf->most);
	return text;
}

static int
read_any(struct lm_source *source, const struct loom_stream_options *options,
    struct loom_streamed *out, struct lm_buf *response, struct lm_buf *notes,
    struct loom_error *err)
{
	const struct lm_format_ops *of;

	if (check_empty(source, err) < 0 || lm_format_of(source, &of, err) < 0)
		return -1;
	out->version = of == &lm_format_layer_stream ? 2 : 1;
	if (of == NULL)
		return lm_request_answer(source, options, out, response, notes, err);
	if (out->version == 1)
		return lm_source_fail(source, err, LOOM_EFORMAT, "is %s, not a layer stream",
		    of->about);
	out->answered = 0;
	return convert(source, options, notes, err);
}

int
loom_stream(const char *path, const struct loom_stream_options *options, struct loom_streamed *out,
    struct loom_error *err)
{
	struct lm_source *source = NULL;
	struct lm_buf response, notes;
	int r;

	memset(out, 0, sizeof(*out));
	/* Whoever calls with the reference's destinations waits for its statuses. */
	out->answered = is_set(options->output_path) || is_set(options->models_dir) ||
	    is_set(options->root);
	lm_buf_init(&response, SIZE_MAX / 4);
	lm_buf_init(&notes, SIZE_MAX / 4);
	r = lm_source_open(&source, path, err);
	if (r == 0)
		r = read_any(source, options, out, &response, &notes, err);
	lm_source_free(source);
	out->response = taken(&response);
	out->notes = taken(&notes);
	lm_buf_release(&response);
	lm_buf_release(&notes);
	return r;
}

void
loom_streamed_release(struct loom_streamed *out)
{
	lm_free(out->response);
	lm_free(out->notes);
	memset(out, 0, sizeof(*out));
}
