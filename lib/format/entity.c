/* entity: the fixed header, the document that a model keeps, and the format's row. */
#include "format/entity.h"

#include <assert.h>
#include <string.h>

#include "format/entity_parts.h"
#include "format/facts.h"
#include "format/format.h"
#include "num/bytes.h"

enum { VERSION_AT = 8, FLAGS_AT = 10, LENGTH_AT = 12, PIECE = 1 << 20 };

const char lm_entity_magic[8] = "ENTITY\0\0";

/* ---- documents ---- */

static void
free_document(void *p)
{
	struct lm_entity_document *document = p;

	json_decref(document->info);
	lm_free(document->head);
	lm_free(document);
}

struct lm_entity_document *
lm_entity_document(const struct loom_model *model)
{
	return model->document_free == free_document ? model->document : NULL;
}

struct lm_entity_document *
lm_entity_document_new(struct loom_model *model, struct loom_error *err)
{
	struct lm_entity_document *document = lm_alloc(1, sizeof(*document), err);

	if (document != NULL) {
		model->document = document;
		model->document_free = free_document;
	}
	return document;
}

int
lm_entity_info(struct loom_model *model, json_t *info, struct loom_error *err)
{
	struct lm_entity_document *document;

	assert(model->document == NULL);
	document = lm_entity_document_new(model, err);
	if (document == NULL) {
		json_decref(info);
		return -1;
	}
	document->info = info;
	return 0;
}

/* ---- reading ---- */

static int
read_fixed(struct lm_source *source, unsigned char fixed[LM_ENTITY_FIXED], uint64_t *length,
    struct loom_error *err)
{
	unsigned version, flags;

	if (lm_source_read(source, fixed, LM_ENTITY_FIXED, err) < 0)
		return -1;
	version = lm_get_u16(fixed + VERSION_AT);
	flags = lm_get_u16(fixed + FLAGS_AT);
	*length = lm_get_u64(fixed + LENGTH_AT);
	if (memcmp(fixed, lm_entity_magic, sizeof(lm_entity_magic)) != 0)
		return lm_fail(err, LOOM_EFORMAT, "does not begin as a checkpoint does");
	if (version != 1)
		return lm_fail(err, LOOM_EUNSUPPORTED, "checkpoint version %u, supported is 1",
		    version);
	if (flags != 0)
		return lm_fail(err, LOOM_EUNSUPPORTED, "checkpoint flags 0x%04x, supported is 0",
		    flags);
	if (*length > LM_ENTITY_HEADER)
		return lm_fail(err, LOOM_EFORMAT, "a header of %llu bytes, more than %d",
		    (unsigned long long)*length, LM_ENTITY_HEADER);
	return lm_source_claim(source, *length, err);
}

/* Fixed header and JSON into the document, the latter in pieces: on a pipe its length is a claim. */
static int
read_head(struct lm_entity_document *document, struct lm_source *source, struct loom_error *err)
{
	unsigned char fixed[LM_ENTITY_FIXED], *head;
	uint64_t length, n;

	if (read_fixed(source, fixed, &length, err) < 0)
		return -1;
	document->head = lm_alloc(LM_ENTITY_FIXED, 1, err);
	if (document->head == NULL)
		return -1;
	memcpy(document->head, fixed, LM_ENTITY_FIXED);
	document->head_size = LM_ENTITY_FIXED;
	for (; length > 0; length -= n) {
		n = length < PIECE ? length : PIECE;
		head = lm_resize(document->head, document->head_size + (size_t)n, 1, err);
		if (head == NULL)
			return -1;
		document->head = head;
		if (lm_source_read(source, head + document->head_size, (size_t)n, err) < 0)
			return -1;
		document->head_size += (size_t)n;
	}
	return 0;
}

static int
parse_head(json_t **root, const struct lm_entity_document *document, struct loom_error *err)
{
	if (lm_json_parse(root, (const char *)document->head + LM_ENTITY_FIXED,
		document->head_size - LM_ENTITY_FIXED, err) == 0)
		return 0;
	if (err->placed)
		err->offset += LM_ENTITY_FIXED;
	return -1;
}

static int
read_graph(struct lm_entity *entity, struct loom_error *err)
{
	if (lm_entity_read_network(entity, err) < 0 || lm_entity_read_blobs(entity, err) < 0)
		return -1;
	return entity->bridge != NULL ? lm_bridge_read(entity, err)
				      : lm_entity_read_plain(entity, err);
}

/* Of the info, what other formats have a place for. */
static int
keep_facts(struct lm_entity_document *document, const struct lm_entity *entity,
    struct loom_error *err)
{
	json_t *facts = json_object_get(json_object_get(entity->bridge, "info"), LM_FACTS);

	if (facts == NULL)
		return 0;
	document->info = json_object();
	return lm_json_set(document->info, LM_FACTS, json_incref(facts), err);
}

/* The bytes after the header: in memory, or left in the source, which must then be seekable. */
static int
read_payload(struct lm_entity *entity, struct lm_entity_document *document,
    struct lm_source *source, struct loom_error *err)
{
	uint64_t size = 0;

	if (!entity->model->how.windows) {
		if (lm_source_all(source, &document->payload, &document->payload_size, err) < 0)
			return -1;
	} else if (lm_source_size(source, &size)) {
		document->source = source;
		document->start = lm_source_tell(source);
		document->payload_size = (size_t)(size - document->start);
	} else
		return lm_source_fail(source, err, LOOM_EARG, "is a pipe, not a file");
	entity->payload = document->payload;
	entity->payload_size = document->payload_size;
	entity->source = document->source;
	entity->start = document->start;
	return 0;
}

static int
read_entity(struct loom_model *model, struct lm_source *source, struct loom_error *err)
{
	struct lm_entity_document *document = lm_entity_document_new(model, err);
	struct lm_entity entity = { .model = model };
	int r = -1;

	if (document == NULL || read_head(document, source, err) < 0 ||
	    parse_head(&entity.root, document, err) < 0 ||
	    read_payload(&entity, document, source, err) < 0)
		goto out;
	r = read_graph(&entity, err);
	document->bridge = entity.bridge != NULL;
	if (r == 0)
		r = keep_facts(document, &entity, err);
out:
	json_decref(entity.root);
	return r < 0 ? lm_fail_in(err, lm_source_name(source)) : 0;
}

/* ---- the row ---- */

/* A file that was cut within the magic is this format's to refuse. */
static int
sniff(const unsigned char *head, size_t len)
{
	size_t n = len < sizeof(lm_entity_magic) ? len : sizeof(lm_entity_magic);

	if (n == 0 || memcmp(head, lm_entity_magic, n) != 0)
		return 0;
	return n < sizeof(lm_entity_magic) ? 50 : 100;
}

static int
write_entity(const struct loom_model *model, struct lm_sink *sink, struct loom_error *err)
{
	return lm_entity_save(model, sink, 0, err);
}

const struct lm_format_ops lm_format_entity = {
	.name = "entity",
	.about = "a checkpoint of Loom",
	.holds = LM_HOLDS_MODEL,
	.can = LM_READ | LM_WRITE | LM_PIPE,
	.sniff = sniff,
	.read = read_entity,
	.write = write_entity,
};
