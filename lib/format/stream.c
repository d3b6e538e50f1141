/* stream: the lines of a version-2 stream, and the way from it to a checkpoint. */
#include "format/stream.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

static int
sniff(const unsigned char *head, size_t len)
{
	static const char opening[] = "{\"loom_stream\"";

	return len >= sizeof(opening) - 1 && memcmp(head, opening, sizeof(opening) - 1) == 0 ? 100
											     : 0;
}

const struct lm_format_ops lm_format_layer_stream = {
	.name = "layer-stream",
	.about = "a layer stream, for loom-stream",
	.holds = LM_HOLDS_MODEL,
	.can = LM_PIPE,
	.sniff = sniff,
};

/* ---- lines ---- */

/* Put something before the failure's text, and say where it was. */
static int
fail_line(struct lm_stream *s, const char *what, struct loom_error *err)
{
	char text[sizeof(err->text)];

	if (err->source[0] != '\0' || err->code == LOOM_ENOMEM)
		return -1;
	(void)snprintf(text, sizeof(text), "%s%s%.400s", what, what[0] != '\0' ? ": " : "",
	    err->text);
	memcpy(err->text, text, sizeof(text));
	if (err->placed)
		err->offset += s->line_at;
	return lm_fail_in(err, lm_source_name(s->source));
}

static int
was_cut(struct lm_stream *s, const char *place, const char *what, struct loom_error *err)
{
	memset(err, 0, sizeof(*err));
	return lm_source_fail(s->source, err, LOOM_ETRUNCATED, "ends %s %s: the stream was cut",
	    place, what);
}

/* The next line, one JSON object, for the caller to json_decref. */
static int
read_line(struct lm_stream *s, const char *what, json_t **out, struct loom_error *err)
{
	int r;

	*out = NULL;
	s->line_at = lm_source_tell(s->source);
	r = lm_source_line(s->source, &s->line, LM_STREAM_LINE - 1, err);
	if (r < 0)
		return err->code == LOOM_ETRUNCATED ? was_cut(s, "within", what, err) : -1;
	if (r == 0)
		return was_cut(s, "before", what, err);
	if (lm_json_parse(out, s->line.data, s->line.len, err) < 0)
		return fail_line(s, what, err);
	if (json_is_object(*out))
		return 0;
	(void)lm_fail(err, LOOM_EFORMAT, "%s, not an object", lm_json_type(*out));
	return fail_line(s, what, err);
}

/* ---- the head ---- */

static int
check_versions(json_t *head, struct loom_error *err)
{
	json_t *versions = NULL, *item;
	const char *key;
	char shown[LM_SHOWN];

	if (lm_json_object(head, "head", "versions", 0, &versions, err) < 0)
		return -1;
	json_object_foreach(versions, key, item)
		if (!json_is_string(item))
			return lm_fail(err, LOOM_EFORMAT,
			    "head: \"versions\": %s is %s, not a string", lm_shown(shown, key),
			    lm_json_type(item));
	return 0;
}

static int
check_mode(json_t *head, struct loom_error *err)
{
	const char *mode = NULL;
	char shown[LM_SHOWN];

	if (lm_json_string(head, "head", "mode", 1, &mode, err) < 0)
		return -1;
	if (strcmp(mode, "eval") == 0)
		return 0;
	if (strcmp(mode, "train") == 0)
		return lm_fail(err, LOOM_EUNSUPPORTED,
		    "head: \"mode\" is \"train\": put the model into eval mode before it is emitted");
	return lm_fail(err, LOOM_EFORMAT, "head: \"mode\" is \"%s\", expected \"eval\"",
	    lm_shown(shown, mode));
}

static int
check_version(json_t *head, struct loom_error *err)
{
	int64_t version = 0;

	if (lm_json_integer(head, "head", "loom_stream", 1, INT64_MIN, INT64_MAX, &version, err) <
	    0)
		return -1;
	if (version == 2)
		return 0;
	return lm_fail(err, LOOM_EUNSUPPORTED,
	    "head: version %" PRId64 " of layer streams is unknown: this program reads version 2, "
	    "and version 1 requests",
	    version);
}

static int
name_model(struct lm_stream *s, struct loom_error *err)
{
	const char *planet = NULL, *title = NULL;

	if (lm_json_string(s->head, "head", "planet", 1, &planet, err) < 0 ||
	    lm_json_string(s->head, "head", "model", 0, &title, err) < 0)
		return -1;
	s->model->planet = lm_arena_string(&s->model->arena, planet, err);
	if (title != NULL)
		s->model->title = lm_arena_string(&s->model->arena, title, err);
	return err->code == LOOM_OK ? 0 : -1;
}

/* What the checkpoint tells beside the network: how it was made. */
static int
keep_info(struct lm_stream *s, struct loom_error *err)
{
	static const char *const kept[] = { "versions", "mode", "numerics", NULL };
	json_t *info = json_object(), *value;
	size_t i;

	if (info == NULL)
		return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	for (i = 0; kept[i] != NULL; i++) {
		value = json_object_get(s->head, kept[i]);
		if (value != NULL && lm_json_set(info, kept[i], json_incref(value), err) < 0) {
			json_decref(info);
			return -1;
		}
	}
	return lm_entity_info(s->model, info, err);
}

static int
check_numerics(json_t *head, struct loom_error *err)
{
	json_t *numerics = json_object_get(head, "numerics");

	if (numerics == NULL || json_is_string(numerics) || json_is_integer(numerics))
		return 0;
	return lm_fail(err, LOOM_EFORMAT, "head: \"numerics\" is %s, not a string or an integer",
	    lm_json_type(numerics));
}

static int
use_head(struct lm_stream *s, struct loom_error *err)
{
	static const char *const keys[] = { "loom_stream", "planet", "versions", "model", "mode",
		"nodes", "bytes", "inputs", "outputs", "numerics", NULL };
	json_t *inputs = NULL, *outputs = NULL, *item;
	size_t i;

	if (check_version(s->head, err) < 0 || lm_json_only(s->head, "head", keys, err) < 0 ||
	    name_model(s, err) < 0 || check_versions(s->head, err) < 0 ||
	    check_mode(s->head, err) < 0 || check_numerics(s->head, err) < 0)
		return -1;
	if (lm_json_integer(s->head, "head", "nodes", 1, 0, LM_STREAM_NODES, &s->nodes, err) < 0 ||
	    lm_json_integer(s->head, "head", "bytes", 1, 0, INT64_MAX, &s->bytes, err) < 0 ||
	    lm_json_array(s->head, "head", "inputs", 1, &inputs, err) < 0 ||
	    lm_json_array(s->head, "head", "outputs", 1, &outputs, err) < 0)
		return -1;
	json_array_foreach(inputs, i, item)
		if (lm_graph_read_input(s->model, item, LM_GRAPH_STREAM, err) < 0)
			return -1;
	return keep_info(s, err);
}

/* ---- the nodes ---- */

static int
add_moved(struct lm_stream *s, struct lm_node *node, const struct lm_travel *travel,
    struct loom_error *err)
{
	size_t room = s->room + s->room / 2 + 16;
	struct lm_moved *moved;

	if (s->n_moved == s->room) {
		moved = lm_resize(s->moved, room, sizeof(*moved), err);
		if (moved == NULL)
			return -1;
		s->moved = moved;
		s->room = room;
	}
	s->moved[s->n_moved].node = node;
	s->moved[s->n_moved++].travel = *travel;
	return 0;
}

static int
use_node(struct lm_stream *s, json_t *line, struct loom_error *err)
{
	struct lm_travel travel[LM_SLOTS];
	struct lm_node *node;
	json_t *tensors = NULL;
	size_t n, i;

	if (lm_graph_read_node(s->model, line, LM_GRAPH_STREAM, &node, err) < 0 ||
	    lm_json_array(line, "node", "tensors", 0, &tensors, err) < 0 ||
	    lm_graph_read_tensors(s->model, node, tensors, travel, &n, err) < 0)
		return -1;
	for (i = 0; i < n; i++)
		if (travel[i].dtype != NULL && add_moved(s, node, &travel[i], err) < 0)
			return -1;
	return 0;
}

static int
read_nodes(struct lm_stream *s, struct loom_error *err)
{
	char what[80];
	json_t *line;
	int64_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->nodes; i++) {
		snprintf(what, sizeof(what), "node line %" PRId64 " of %" PRId64, i + 1, s->nodes);
		r = read_line(s, what, &line, err);
		snprintf(what, sizeof(what), "line %" PRId64, i + 2);
		if (r == 0 && use_node(s, line, err) < 0)
			r = fail_line(s, what, err);
		json_decref(line);
	}
	return r;
}

/* What the lines say together, before the first byte: outputs, shapes that meet, the sum of bytes. */
static int
check_whole(struct lm_stream *s, struct loom_error *err)
{
	uint64_t sum = 0;
	size_t i;

	if (lm_graph_read_outputs(s->model, json_object_get(s->head, "outputs"), err) < 0 ||
	    lm_model_check(s->model, err) < 0)
		return -1;
	for (i = 0; i < s->n_moved; i++) {
		if (s->moved[i].travel.bytes > INT64_MAX - sum)
			return lm_fail(err, LOOM_EFORMAT,
			    "the tensors have more than %" PRId64 " bytes", INT64_MAX);
		sum += s->moved[i].travel.bytes;
	}
	if (sum == (uint64_t)s->bytes)
		return 0;
	return lm_fail(err, LOOM_EFORMAT,
	    "head: \"bytes\" is %" PRId64 ", but the tensors of the nodes have %" PRIu64, s->bytes,
	    sum);
}

int
lm_stream_narrows(const struct lm_stream *s, const struct lm_dtype *dtype)
{
	return dtype == lm_dtype_get(LM_F64) && !s->options->keep_dtype;
}

/* Weights are stored as float32 where they travel as float64; tied ones alike. */
static int
settle_dtypes(struct lm_stream *s, struct loom_error *err)
{
	struct lm_weight *w;
	size_t i, k;

	for (i = 0; i < s->model->n_nodes; i++)
		for (k = 0; k < LM_SLOTS; k++) {
			w = &s->model->nodes[i]->weight[k];
			if (w->dtype == NULL || !lm_stream_narrows(s, w->dtype))
				continue;
			w->dtype = lm_dtype_get(LM_F32);
			if (lm_dtype_bytes(w->dtype, w->count, &w->bytes) < 0)
				return lm_fail(err, LOOM_EFORMAT, "a tensor is too large");
		}
	return 0;
}

/* ---- the end ---- */

static int
use_end(struct lm_stream *s, json_t *line, struct loom_error *err)
{
	static const char *const keys[] = { "end", "bytes", NULL };
	int64_t bytes = 0;
	int end = 0;

	if (lm_json_only(line, "end line", keys, err) < 0 ||
	    lm_json_flag(line, "end line", "end", 1, &end, err) < 0 ||
	    lm_json_integer(line, "end line", "bytes", 1, 0, INT64_MAX, &bytes, err) < 0)
		return -1;
	if (!end)
		return lm_fail(err, LOOM_EFORMAT, "end line: \"end\" is false");
	if (bytes != s->bytes)
		return lm_fail(err, LOOM_EFORMAT,
		    "end line: \"bytes\" is %" PRId64 ", but the head's is %" PRId64, bytes,
		    s->bytes);
	return 0;
}

static int
read_end(struct lm_stream *s, struct loom_error *err)
{
	const unsigned char *p;
	json_t *line;
	size_t got;
	int r;

	if (lm_source_peek(s->source, &p, 1, &got, err) < 0)
		return -1;
	if (got > 0 && *p != '{')
		return lm_source_fail(s->source, err, LOOM_EFORMAT,
		    "expected the end line after %" PRId64
		    " bytes of tensors, found the byte 0x%02x",
		    s->bytes, *p);
	r = read_line(s, "the end line", &line, err);
	if (r == 0 && use_end(s, line, err) < 0)
		r = fail_line(s, "", err);
	json_decref(line);
	if (r < 0 || lm_source_peek(s->source, &p, 1, &got, err) < 0)
		return -1;
	if (got > 0)
		return lm_source_fail(s->source, err, LOOM_EFORMAT,
		    "more bytes after the end line");
	return 0;
}

/* ---- all of it ---- */

static int
read_lines(struct lm_stream *s, struct loom_error *err)
{
	if (read_line(s, "the head", &s->head, err) < 0)
		return -1;
	if (use_head(s, err) < 0)
		return fail_line(s, "", err);
	if (read_nodes(s, err) < 0)
		return -1;
	if (check_whole(s, err) < 0 || settle_dtypes(s, err) < 0)
		return lm_fail_in(err, lm_source_name(s->source));
	return lm_source_claim(s->source, (uint64_t)s->bytes, err);
}

int
lm_stream_sink(const struct loom_stream_options *options, struct lm_sink **sink,
    struct loom_error *err)
{
	if (options->output == NULL && options->binary != NULL)
		options->binary(options->context);
	return lm_sink_open(sink, options->output, err);
}

enum lm_entity_how
lm_stream_how(const struct loom_stream_options *options, enum lm_entity_how usual)
{
	if (options->lower)
		return LM_ENTITY_LOWERED;
	return options->plain ? LM_ENTITY_PLAIN : usual;
}

static int
write_all(struct lm_stream *s, struct loom_error *err)
{
	struct lm_sink *sink = NULL;
	int r;

	if (lm_stream_sink(s->options, &sink, err) < 0)
		return -1;
	r = lm_entity_begin(&s->writer, s->model, sink, lm_stream_how(s->options, LM_ENTITY_FULL),
	    err);
	if (r == 0)
		r = lm_stream_copy(s, err);
	if (r == 0)
		r = read_end(s, err);
	if (r == 0)
		r = lm_entity_end(s->writer, err);
	if (r == 0)
		r = lm_sink_commit(sink, err);
	lm_entity_free(s->writer);
	lm_sink_free(sink);
	return r < 0 && err->code == LOOM_EUNSUPPORTED ? lm_fail_in(err, lm_source_name(s->source))
						       : r;
}

static int
note_loss(const struct lm_stream *s, struct lm_buf *notes, struct loom_error *err)
{
	if (s->narrowed == 0)
		return 0;
	return lm_buf_printf(notes, err,
	    "%" PRIu64 " %s of float64 stored as float32, largest relative error %.3g "
	    "(--keep-dtype keeps float64)\n",
	    s->narrowed, s->narrowed == 1 ? "tensor" : "tensors", s->loss);
}

int
lm_stream_convert(struct lm_source *source, const struct loom_stream_options *options,
    struct lm_buf *notes, struct loom_error *err)
{
	struct lm_stream s = { .source = source, .options = options };
	int r;

	lm_buf_init(&s.line, LM_STREAM_LINE);
	r = lm_model_new(&s.model, lm_source_name(source), err);
	if (r == 0)
		r = read_lines(&s, err);
	if (r == 0)
		r = write_all(&s, err);
	if (r == 0)
		r = note_loss(&s, notes, err);
	json_decref(s.head);
	loom_model_free(s.model);
	lm_free(s.moved);
	lm_buf_release(&s.line);
	return r;
}
