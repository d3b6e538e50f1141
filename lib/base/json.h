/*
 * json: JSON text to jansson's values, strictly, and typed access to them.
 *
 * The reading is our own: jansson's drops bytes of a token, silently, when its buffer cannot grow.
 * What it makes are jansson's values, for json_decref and the rest.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/err.h"

enum { LM_JSON_DEPTH = 64 };

/*
 * One value, and white space around it, in all n bytes.  Refused: repeated keys, nesting deeper than
 * LM_JSON_DEPTH, control characters and \u0000 in strings, text that is no UTF-8, numbers that no
 * binary64 holds.  An integer that no int64_t holds becomes a real, and so does -0.
 * On failure err->offset is the place within text; a caller that knows where the text stands in its
 * source adds that and names the source with lm_fail_in.
 */
int lm_json_parse(json_t **, const char *text, size_t n, struct loom_error *) LOOM_MUST_CHECK;

/*
 * Typed members of an object.  1: it is there; 0: it is absent or null, and *out is as it was; -1.
 * With need, absence is a failure.  where begins the message: "node net.0: \"in\" is a string, not
 * an array".  What comes out belongs to the object.
 */
int lm_json_string(const json_t *, const char *where, const char *key, int need, const char **out,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_json_integer(const json_t *, const char *where, const char *key, int need, int64_t least,
    int64_t most, int64_t *out, struct loom_error *) LOOM_MUST_CHECK;
int lm_json_real(const json_t *, const char *where, const char *key, int need, double *out,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_json_flag(const json_t *, const char *where, const char *key, int need, int *out,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_json_array(const json_t *, const char *where, const char *key, int need, json_t **out,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_json_object(const json_t *, const char *where, const char *key, int need, json_t **out,
    struct loom_error *) LOOM_MUST_CHECK;

/* "a string", "an integer", "a real number", "null" ... */
const char *lm_json_type(const json_t *);

/*
 * The next key that is not in known (ended by NULL), or NULL.  *state is NULL at first; the object
 * must not change meanwhile.
 */
const char *lm_json_unknown(json_t *, const char *const *known, void **state);
/* Fail if there is one: the message names it and those that are known. */
int lm_json_only(json_t *, const char *where, const char *const *known,
    struct loom_error *) LOOM_MUST_CHECK;

/* Add to an object or an array a value that is new, or NULL because there was no memory. */
int lm_json_set(json_t *object, const char *key, json_t *value,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_json_append(json_t *array, json_t *value, struct loom_error *) LOOM_MUST_CHECK;

#endif
