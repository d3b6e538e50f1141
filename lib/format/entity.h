/*
 * entity: Loom's checkpoint and its bridge section (entity(5)).
 *
 * Byte for byte what Loom writes where a network needs nothing of ours; else the graph stands under
 * the header's key "bridge", and blobs that Loom does not know under bridge.* paths.
 */
#ifndef FORMAT_ENTITY_H
#define FORMAT_ENTITY_H

#include "base/buf.h"
#include "base/json.h"
#include "base/sink.h"
#include "model/model.h"

/*
 * What is known beside the network (versions of the planet, the mode): members of the bridge
 * section's info, for a model that was not read from a checkpoint.  The reference is taken over,
 * whether this fails or not.
 */
int lm_entity_info(struct loom_model *, json_t *info, struct loom_error *) LOOM_MUST_CHECK;

enum lm_entity_how {
	LM_ENTITY_FULL,
	/* Without the info, and without the graph where plain Loom and bias blobs can express the
	 * network; the names are lost then. */
	LM_ENTITY_PLAIN,
	/* As layers of plain Loom alone, which an unmodified Loom computes; or refused. */
	LM_ENTITY_LOWERED
};

/*
 * Writing in one pass.  begin needs the weights described (lm_node_put), not their data, and writes
 * all that stands before them.
 */
struct lm_entity_writer;
int lm_entity_begin(struct lm_entity_writer **, const struct loom_model *, struct lm_sink *,
    enum lm_entity_how, struct loom_error *) LOOM_MUST_CHECK;
/* The next bytes of a weight; weights come in the order of nodes and slots, tied ones not at all. */
int lm_entity_weight(struct lm_entity_writer *, const struct lm_node *, size_t slot, const void *,
    size_t n, struct loom_error *) LOOM_MUST_CHECK;
/* Every weight must be complete.  The sink is the caller's to commit. */
int lm_entity_end(struct lm_entity_writer *, struct loom_error *) LOOM_MUST_CHECK;
void lm_entity_free(struct lm_entity_writer *);

/* All of a model: as it was read if it was, else by the calls above. */
int lm_entity_save(const struct loom_model *, struct lm_sink *, enum lm_entity_how,
    struct loom_error *) LOOM_MUST_CHECK;

/*
 * The JSON of the header: as it was read, or as it would be written.  For files of other kinds, which keep
 * it beside the network.
 */
int lm_entity_text(const struct loom_model *, struct lm_buf *, struct loom_error *) LOOM_MUST_CHECK;
/*
 * Write the checkpoint with this header and the weights of a network that was read from elsewhere: 1; 0,
 * with the reason in why and nothing written, where the header is not of the same network; -1.
 */
int lm_entity_restore(const struct loom_model *, const char *text, size_t size, struct lm_sink *,
    struct lm_buf *why, struct loom_error *) LOOM_MUST_CHECK;

/* Something that Loom has no place for stands in the checkpoint that the model was read from. */
int lm_entity_bridged(const struct loom_model *);
/*
 * What an unmodified Loom would get wrong about a model that was read from a checkpoint, a line each;
 * nothing for plain Loom.
 */
int lm_entity_differences(const struct loom_model *, struct lm_buf *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
