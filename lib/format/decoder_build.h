/*
 * decoder_build: the graph of a decoder, for reading one and for telling whether a network is one.
 */
#ifndef FORMAT_DECODER_BUILD_H
#define FORMAT_DECODER_BUILD_H

#include "format/decoder.h"

struct lm_decoder_graph {
	struct loom_model *model;
	const struct lm_decoder *d;
	const char *input, *batch, *sequence; /* what the input and its axes are called */
	lm_decoder_find *find;		      /* or NULL */
	void *context;
	struct lm_decoder_place *places; /* to be filled, layers times LM_ROLES; or NULL */
	/* at hand */
	size_t layer;
	const char *stream; /* the value that blocks add to */
	const struct lm_weight *factors;
};

int lm_decoder_graph(struct lm_decoder_graph *, struct loom_error *) LOOM_MUST_CHECK;

/* The parameter of that name; the choice of that name. */
union lm_value *lm_decoder_param(struct lm_node *, const char *key);
void lm_decoder_choose(struct lm_node *, const char *key, const char *choice);

#endif
