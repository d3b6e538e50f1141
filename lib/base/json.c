/* json: typed access to jansson's values. */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- the heap, which jansson shares ---- */

static void *
take(size_t size)
{
	struct loom_error err = { 0 };

	return lm_resize(NULL, size, 1, &err);
}

void
loom_set_alloc(loom_realloc_fn *fn, void *context)
{
	lm_set_alloc(fn, context);
	json_set_alloc_funcs(take, lm_free);
}

/* ---- values ---- */

const char *
lm_json_type(const json_t *value)
{
	static const char *const names[] = { [JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a real number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null" };

	return value == NULL ? "absent" : names[json_typeof(value)];
}

/* 1: the member is there; 0: absent or null; -1: it must not be. */
static int
look(const json_t *object, const char *where, const char *key, int need, json_t **out,
    struct loom_error *err)
{
	*out = json_object_get(object, key);
	if (*out != NULL && !json_is_null(*out))
		return 1;
	if (!need)
		return 0;
	return *out == NULL ? lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is missing", where, key)
			    : lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is null", where, key);
}

static int
wrong_type(const json_t *value, const char *where, const char *key, const char *expected,
    struct loom_error *err)
{
	return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is %s, not %s", where, key,
	    lm_json_type(value), expected);
}

int
lm_json_string(const json_t *object, const char *where, const char *key, int need, const char **out,
    struct loom_error *err)
{
	json_t *v;
	int r = look(object, where, key, need, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_string(v))
		return wrong_type(v, where, key, "a string", err);
	*out = json_string_value(v);
	return 1;
}

/* A real that was written as an integer is one that is too large, or -0. */
static int
no_integer(const json_t *v, const char *where, const char *key, struct loom_error *err)
{
	double real = json_real_value(v);

	if (json_is_real(v) && (fabs(real) >= 0x1p63 || (real == 0 && signbit(real))))
		return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is %.17g, which is no 64-bit integer",
		    where, key, real);
	return wrong_type(v, where, key, "an integer", err);
}

int
lm_json_integer(const json_t *object, const char *where, const char *key, int need, int64_t least,
    int64_t most, int64_t *out, struct loom_error *err)
{
	json_t *v;
	json_int_t n;
	int r = look(object, where, key, need, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_integer(v))
		return no_integer(v, where, key, err);
	n = json_integer_value(v);
	*out = n;
	if (n >= least && n <= most)
		return 1;
	if (least == most)
		return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is %lld, not %lld", where, key,
		    (long long)n, (long long)least);
	return lm_fail(err, LOOM_EFORMAT, "%s: \"%s\" is %lld, not %lld..%lld", where, key,
	    (long long)n, (long long)least, (long long)most);
}

int
lm_json_real(const json_t *object, const char *where, const char *key, int need, double *out,
    struct loom_error *err)
{
	json_t *v;
	int r = look(object, where, key, need, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_number(v))
		return wrong_type(v, where, key, "a number", err);
	*out = json_number_value(v);
	return 1;
}

int
lm_json_flag(const json_t *object, const char *where, const char *key, int need, int *out,
    struct loom_error *err)
{
	json_t *v;
	int r = look(object, where, key, need, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_boolean(v))
		return wrong_type(v, where, key, "true or false", err);
	*out = json_is_true(v);
	return 1;
}

int
lm_json_array(const json_t *object, const char *where, const char *key, int need, json_t **out,
    struct loom_error *err)
{
	json_t *v;
	int r = look(object, where, key, need, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_array(v))
		return wrong_type(v, where, key, "an array", err);
	*out = v;
	return 1;
}

int
lm_json_object(const json_t *object, const char *where, const char *key, int need, json_t **out,
    struct loom_error *err)
{
	json_t *v;
	int r = look(object, where, key, need, &v, err);

	if (r <= 0)
		return r;
	if (!json_is_object(v))
		return wrong_type(v, where, key, "an object", err);
	*out = v;
	return 1;
}

static int
is_known(const char *key, const char *const *known)
{
	for (; *known != NULL; known++)
		if (strcmp(key, *known) == 0)
			return 1;
	return 0;
}

const char *
lm_json_unknown(json_t *object, const char *const *known, void **state)
{
	const char *key = NULL;

	for (;;) {
		*state = *state == NULL ? json_object_iter(object)
					: json_object_iter_next(object, *state);
		if (*state == NULL)
			return NULL;
		key = json_object_iter_key(*state);
		if (!is_known(key, known))
			return key;
	}
}

int
lm_json_only(json_t *object, const char *where, const char *const *known, struct loom_error *err)
{
	char shown[LM_SHOWN], list[240] = "";
	void *state = NULL;
	const char *key = lm_json_unknown(object, known, &state);
	size_t used = 0;

	if (key == NULL)
		return 0;
	for (; *known != NULL && used + strlen(*known) + 3 < sizeof(list); known++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
		    used > 0 ? ", " : "", *known);
	return lm_fail(err, LOOM_EFORMAT, "%s: unknown key \"%s\" (known: %s)", where,
	    lm_shown(shown, key), used > 0 ? list : "none");
}

int
lm_json_set(json_t *object, const char *key, json_t *value, struct loom_error *err)
{
	if (value == NULL || json_object_set_new_nocheck(object, key, value) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	return 0;
}

int
lm_json_append(json_t *array, json_t *value, struct loom_error *err)
{
	if (value == NULL || json_array_append_new(array, value) < 0)
		return lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	return 0;
}
