/* The graph's vocabulary: lines of nodes and tensors as streams have them, and the way back. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "format/gotext.h"
#include "format/graph.h"

static json_t *
parse(const char *text)
{
	struct loom_error err = { 0 };
	json_t *value;

	if (lm_json_parse(&value, text, strlen(text), &err) < 0) {
		fprintf(stderr, "%s: %s\n", text, err.text);
		assert(0);
	}
	return value;
}

static struct loom_model *
new_model(void)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	json_t *input = parse("{\"name\":\"x\",\"dtype\":\"float32\",\"shape\":[\"batch\",3]}");

	assert(lm_model_new(&m, "test", &err) == 0);
	assert(lm_graph_read_input(m, input, LM_GRAPH_STREAM, &err) == 0);
	json_decref(input);
	return m;
}

static struct lm_node *
add(struct loom_model *m, const char *text)
{
	struct loom_error err = { 0 };
	struct lm_node *node;
	json_t *json = parse(text);

	if (lm_graph_read_node(m, json, LM_GRAPH_BRIDGE, &node, &err) < 0) {
		fprintf(stderr, "%s: %s\n", text, err.text);
		assert(0);
	}
	json_decref(json);
	return node;
}

static int
says(int result, const struct loom_error *err, enum loom_code code, const char *message)
{
	if (result == -1 && err->code == code && strcmp(err->text, message) == 0)
		return 1;
	fprintf(stderr, "expected: %s\nfound:    %s (code %d)\n", message, err->text, err->code);
	return 0;
}

static void
bad_node(const char *text, enum loom_code code, const char *message)
{
	struct loom_model *m = new_model();
	struct loom_error err = { 0 };
	struct lm_node *node;
	json_t *json = parse(text);

	assert(
	    says(lm_graph_read_node(m, json, LM_GRAPH_STREAM, &node, &err), &err, code, message));
	json_decref(json);
	loom_model_free(m);
}

static void
bad_input(const char *text, enum loom_code code, const char *message)
{
	struct loom_error err = { 0 };
	struct loom_model *m;
	json_t *json = parse(text);

	assert(lm_model_new(&m, "test", &err) == 0);
	assert(says(lm_graph_read_input(m, json, LM_GRAPH_STREAM, &err), &err, code, message));
	json_decref(json);
	loom_model_free(m);
}

#define DENSE \
	"{\"name\":\"d\",\"op\":\"dense\",\"params\":{\"in_features\":3,\"out_features\":2,\"bias\":true}}"

static int
tensors(struct loom_model *m, struct lm_node *node, const char *text, struct lm_travel *travel,
    size_t *n, struct loom_error *err)
{
	json_t *json = parse(text);
	int r = lm_graph_read_tensors(m, node, json, travel, n, err);

	json_decref(json);
	return r;
}

static void
bad_tensors(const char *text, enum loom_code code, const char *message)
{
	struct loom_model *m = new_model();
	struct loom_error err = { 0 };
	struct lm_travel travel[LM_SLOTS];
	size_t n;

	assert(says(tensors(m, add(m, DENSE), text, travel, &n, &err), &err, code, message));
	loom_model_free(m);
}

static void
good_tensors(void)
{
	struct loom_model *m = new_model();
	struct loom_error err = { 0 };
	struct lm_travel t[LM_SLOTS];
	struct lm_node *node = add(m, DENSE), *tied;
	size_t n;

	assert(
	    tensors(m, node,
		"[{\"slot\":\"weight\",\"dtype\":\"float16\",\"shape\":[3,2],\"axes\":[\"i\",\"o\"],"
		"\"source\":\"kernel\"},{\"slot\":\"bias\",\"dtype\":\"float64\",\"shape\":[2],"
		"\"axes\":[\"o\"]}]",
		t, &n, &err) == 0);
	assert(n == 2 && t[0].slot == 0 && t[0].rank == 2 && t[0].shape[0] == 3);
	assert(t[0].axis[0] == 1 && t[0].axis[1] == 0 && t[0].bytes == 12);
	assert(t[1].slot == 1 && t[1].axis[0] == 0 && t[1].bytes == 16);
	assert(node->weight[0].dtype == lm_dtype_get(LM_F16) && node->weight[0].count == 6);
	assert(strcmp(node->weight[0].source, "kernel") == 0 && node->weight[1].source == NULL);
	tied = add(m,
	    "{\"name\":\"t\",\"op\":\"dense\",\"in\":[\"x\"],\"params\":{\"in_features\":3,"
	    "\"out_features\":2,\"bias\":false}}");
	assert(tensors(m, tied, "[{\"slot\":\"weight\",\"same\":\"d.weight\"}]", t, &n, &err) == 0);
	assert(n == 1 && t[0].dtype == NULL && t[0].bytes == 0);
	assert(tied->weight[0].same == &node->weight[0] && tied->weight[0].bytes == 12);
	loom_model_free(m);
}

static void
tensor_faults(void)
{
	bad_tensors("[]", LOOM_EFORMAT, "node d: tensor weight: it is missing");
	bad_tensors("[3]", LOOM_EFORMAT, "node d: a tensor is an integer, not an object");
	bad_tensors("[{\"slot\":\"kernel\"}]", LOOM_EFORMAT,
	    "node d: tensor kernel: dense has no such tensor (it has: weight, bias)");
	bad_tensors("[{\"slot\":\"bias\",\"dtype\":\"float32\",\"shape\":[2],\"axes\":[\"o\"]},"
		    "{\"slot\":\"weight\"}]",
	    LOOM_EFORMAT, "node d: tensor weight: it must stand before tensor bias");
	bad_tensors(
	    "[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[2,3],\"axes\":[\"o\",\"i\"]},"
	    "{\"slot\":\"weight\"}]",
	    LOOM_EFORMAT, "node d: tensor weight: it is given twice");
	bad_tensors("[{\"slot\":\"weight\",\"dtype\":\"f32\"}]", LOOM_EUNSUPPORTED,
	    "node d: tensor weight: unknown dtype \"f32\"");
	bad_tensors("[{\"slot\":\"weight\",\"dtype\":\"int4\"}]", LOOM_EUNSUPPORTED,
	    "node d: tensor weight: dtype int4 needs a scale, which a stream does not carry");
	bad_tensors("[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[2,3]}]", LOOM_EFORMAT,
	    "node d: tensor weight: \"axes\" is missing");
	bad_tensors(
	    "[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[2,3],\"axes\":[\"o\",\"o\"]}]",
	    LOOM_EFORMAT,
	    "node d: tensor weight: \"axes\" must name each of \"o\", \"i\" once, in the order in "
	    "which it travels");
	bad_tensors(
	    "[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[2,3],\"axes\":[\"i\",\"o\"]}]",
	    LOOM_ESHAPE, "node d: tensor weight: expected float32 [3, 2], found float32 [2, 3]");
	bad_tensors(
	    "[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[6],\"axes\":[\"o\",\"i\"]}]",
	    LOOM_ESHAPE, "node d: tensor weight: expected float32 [2, 3], found float32 [6]");
	bad_tensors(
	    "[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[2,-3],\"axes\":[\"o\",\"i\"]}]",
	    LOOM_EFORMAT, "node d: tensor weight: \"shape\" holds an integer that is no extent");
	bad_tensors(
	    "[{\"slot\":\"weight\",\"dtype\":\"float32\",\"shape\":[2,3],\"axes\":[\"o\",\"i\"],"
	    "\"sha256\":\"AB\"}]",
	    LOOM_EFORMAT,
	    "node d: tensor weight: \"sha256\" is not 64 lower-case hexadecimal digits");
	bad_tensors("[{\"slot\":\"weight\",\"same\":\"d.weight\"}]", LOOM_EFORMAT,
	    "node d: tensor weight: \"same\" is \"d.weight\", which is no tensor of a node before it");
	bad_tensors("[{\"slot\":\"weight\",\"same\":\"d.bias\",\"shape\":[1]}]", LOOM_EFORMAT,
	    "node d: tensor weight: unknown key \"shape\" (known: slot, same)");
}

static void
node_faults(void)
{
	bad_node("{\"name\":\"n\",\"op\":\"relu\",\"cell\":\"0\",\"params\":{}}", LOOM_EFORMAT,
	    "node n: unknown key \"cell\" (known: name, op, in, out, params, tensors)");
	bad_node("{\"op\":\"relu\",\"params\":{}}", LOOM_EFORMAT, "node: \"name\" is missing");
	bad_node("[]", LOOM_EFORMAT, "node is an array, not an object");
	bad_node("{\"name\":\"n\",\"op\":\"relu\"}", LOOM_EFORMAT, "node n: \"params\" is missing");
	bad_node("{\"name\":\"n\",\"op\":\"softmax\",\"params\":{\"axis\":1.0}}", LOOM_EFORMAT,
	    "node n: \"axis\" is a real number, not an integer");
	bad_node("{\"name\":\"n\",\"op\":\"leaky_relu\",\"params\":{\"negative_slope\":\"1\"}}",
	    LOOM_EFORMAT, "node n: \"negative_slope\" is a string, not a number");
	bad_node("{\"name\":\"n\",\"op\":\"reshape\",\"params\":{\"shape\":[1.5]}}", LOOM_EFORMAT,
	    "node n: \"shape\" holds a real number, not an integer or an expression");
	bad_node("{\"name\":\"n\",\"op\":\"constant\",\"params\":{\"shape\":[\"b\"]}}",
	    LOOM_EFORMAT, "node n: \"shape\" holds a string, not an integer");
	bad_node(
	    "{\"name\":\"n\",\"op\":\"reshape\",\"params\":{\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
	    "1,1,1]}}",
	    LOOM_EFORMAT, "node n: \"shape\" has 17 entries, more than 16");
	bad_node("{\"name\":\"n\",\"op\":\"relu\",\"params\":{},\"in\":\"x\"}", LOOM_EFORMAT,
	    "node n: \"in\" is a string, not an array");
	bad_node("{\"name\":\"n\",\"op\":\"relu\",\"params\":{},\"out\":[null]}", LOOM_EFORMAT,
	    "node n: \"out\" holds null, not a string");
	bad_node("{\"name\":\"n\",\"op\":\"relu\",\"params\":{},\"out\":[\"x\"]}", LOOM_EFORMAT,
	    "two tensors are called x");
	bad_node("{\"name\":\"n\",\"op\":\"relu\",\"params\":{},\"out\":[\"a\",\"b\"]}",
	    LOOM_EFORMAT, "node n (relu) has 2 outputs, expected 1 to 1");
	bad_input("{\"name\":\"x\",\"dtype\":\"float32\",\"shape\":[2],\"any\":true}", LOOM_EFORMAT,
	    "input x: unknown key \"any\" (known: name, dtype, shape)");
	bad_input("{\"name\":\"x\",\"dtype\":\"int32\",\"shape\":[2]}", LOOM_EUNSUPPORTED,
	    "input x: dtype int32, not float32, int64 or bool");
}

/* What is read and written is the same, reals by their shortest digits. */
static void
round_trip(const char *text)
{
	struct loom_model *m = new_model();
	struct loom_error err = { 0 };
	struct lm_node *node = add(m, text);
	json_t *json = lm_graph_write_node(m, node, node->cell, &err);
	struct lm_buf buf;

	lm_buf_init(&buf, 1 << 16);
	assert(json != NULL && lm_go_json(&buf, json, &err) == 0);
	if (strcmp(buf.data, text) != 0) {
		fprintf(stderr, "expected: %s\nfound:    %s\n", text, buf.data);
		assert(0);
	}
	lm_buf_release(&buf);
	json_decref(json);
	loom_model_free(m);
}

static void
round_trips(void)
{
	round_trip(
	    "{\"name\":\"n\",\"op\":\"leaky_relu\",\"in\":[\"x\"],\"params\":{\"negative_slope\":"
	    "0.1}}");
	round_trip(
	    "{\"name\":\"n\",\"op\":\"leaky_relu\",\"in\":[\"x\"],\"params\":{\"negative_slope\":"
	    "-0}}");
	round_trip(
	    "{\"name\":\"n\",\"op\":\"leaky_relu\",\"in\":[\"x\"],\"params\":{\"negative_slope\":"
	    "100000000000000000000}}");
	round_trip(
	    "{\"name\":\"n\",\"op\":\"leaky_relu\",\"in\":[\"x\"],\"params\":{\"negative_slope\":"
	    "1e-7}}");
	round_trip(
	    "{\"name\":\"a b\",\"op\":\"gelu\",\"cell\":\"7\",\"in\":[\"x\"],\"out\":[\"y\"],"
	    "\"params\":{\"approximate\":\"tanh\"}}");
	round_trip(
	    "{\"name\":\"n\",\"op\":\"reshape\",\"in\":[\"x\"],\"params\":{\"shape\":[\"2*batch\","
	    "0,3]}}");
	round_trip("{\"name\":\"n\",\"op\":\"softmax\",\"in\":[\"x\"],\"params\":{\"axis\":-1}}");
	round_trip("{\"name\":\"n\",\"op\":\"add\",\"in\":[\"x\",\"x\"],\"params\":{}}");
}

int
main(void)
{
	good_tensors();
	tensor_faults();
	node_faults();
	round_trips();
	return 0;
}
