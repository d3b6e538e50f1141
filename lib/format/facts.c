/* facts: from files of decoders to the info of a checkpoint, and back. */
#include "format/facts.h"

#include <stdio.h>
#include <string.h>

#include "format/entity_parts.h"

#define CONTEXT "context_length"

enum { MOST_IDS = 64, LONGEST_KEY = 40 };

static const char *const tokens[] = { "bos_token", "eos_token", "pad_token" };

const char *
lm_facts_token_at(size_t i)
{
	return i < sizeof(tokens) / sizeof(*tokens) ? tokens[i] : NULL;
}

static const char *
key_of(char dst[LONGEST_KEY], const char *name)
{
	(void)snprintf(dst, LONGEST_KEY, "%s_id", name);
	return dst;
}

static int
is_id(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) <= INT32_MAX;
}

/* A token's number, or a list of some. */
static int
is_known(const json_t *value)
{
	size_t i, n = json_array_size(value);

	for (i = 0; i < n && n <= MOST_IDS && is_id(json_array_get(value, i)); i++)
		continue;
	return n > 0 ? i == n : is_id(value);
}

json_t *
lm_facts_of(const json_t *object, uint64_t context, struct loom_error *err)
{
	json_t *facts = json_object(), *value;
	char key[LONGEST_KEY];
	size_t i;
	int r = 0;

	if (facts == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for JSON");
	if (facts != NULL && context > 0)
		r = lm_json_set(facts, CONTEXT, json_integer((json_int_t)context), err);
	for (i = 0; facts != NULL && r == 0 && i < sizeof(tokens) / sizeof(*tokens); i++) {
		value = json_object_get(object, key_of(key, tokens[i]));
		if (is_known(value))
			r = lm_json_set(facts, key, json_incref(value), err);
	}
	if (r == 0)
		return facts;
	json_decref(facts);
	return NULL;
}

int
lm_facts_keep(struct loom_model *m, json_t *facts, struct loom_error *err)
{
	json_t *info;

	if (facts == NULL)
		return -1;
	if (json_object_size(facts) == 0) {
		json_decref(facts);
		return 0;
	}
	info = json_object();
	if (lm_json_set(info, LM_FACTS, facts, err) < 0) {
		json_decref(info);
		return -1;
	}
	return lm_entity_info(m, info, err);
}

static json_t *
all_known(const struct loom_model *m)
{
	const struct lm_entity_document *document = lm_entity_document(m);

	return document != NULL ? json_object_get(document->info, LM_FACTS) : NULL;
}

uint64_t
lm_facts_positions(const json_t *facts)
{
	const json_t *value = json_object_get(facts, CONTEXT);

	return is_id(value) ? (uint64_t)json_integer_value(value) : 0;
}

uint64_t
lm_facts_context(const struct loom_model *m)
{
	return lm_facts_positions(all_known(m));
}

json_t *
lm_facts_token(const struct loom_model *m, const char *name)
{
	char key[LONGEST_KEY];
	json_t *value = json_object_get(all_known(m), key_of(key, name));

	return is_known(value) ? value : NULL;
}

json_t *
lm_facts(const struct loom_model *m, struct loom_error *err)
{
	return lm_facts_of(all_known(m), lm_facts_context(m), err);
}
