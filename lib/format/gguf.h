/*
 * gguf: a GGUF file in memory: values by key, and tensors that lie in the file, or in several that
 * belong together; and the same on its way out.
 */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include "base/json.h"
#include "format/decoder.h"
#include "format/format.h"
#include "format/outgoing.h"

enum { LM_GGUF_RANK = 4, LM_GGUF_NAME = 63, LM_GGUF_ALIGN = 32 };

enum lm_gguf_type {
	LM_GGUF_U8,
	LM_GGUF_I8,
	LM_GGUF_U16,
	LM_GGUF_I16,
	LM_GGUF_U32,
	LM_GGUF_I32,
	LM_GGUF_F32,
	LM_GGUF_BOOL,
	LM_GGUF_STRING,
	LM_GGUF_ARRAY,
	LM_GGUF_U64,
	LM_GGUF_I64,
	LM_GGUF_F64,
	LM_GGUF_TYPES
};

struct lm_gguf_value {
	const char *key;
	unsigned type;
	int64_t i;	  /* integers and bools; u64 beyond 63 bits is negative */
	double real;	  /* floats */
	const char *text; /* strings, followed by a NUL */
	uint64_t n;	  /* bytes of a string, elements of an array */
};

struct lm_gguf_tensor {
	const char *name;
	const struct lm_dtype *dtype;
	const struct lm_quant *quant;
	struct lm_shape shape; /* the slowest axis first, as everywhere but in the file */
	uint64_t bytes;
	struct lm_source *source;
	uint64_t offset;
	int used;
};

struct lm_gguf {
	struct lm_arena *arena;
	size_t n_values, n_tensors;
	struct lm_gguf_value *values;
	struct lm_gguf_tensor *tensors;
	struct lm_names keys, names;
};

/* A whole file, checked; the source is seekable.  Tensors are added to those that are there. */
int lm_gguf_parse(struct lm_gguf *, struct lm_source *, struct loom_error *) LOOM_MUST_CHECK;
/* The other parts of a file that is the first of several; the model then owns them. */
int lm_gguf_parse_splits(struct lm_gguf *, struct loom_model *,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- values ---- */

const struct lm_gguf_value *lm_gguf_find(const struct lm_gguf *, const char *key); /* or NULL */
/*
 * 1: it is there; 0: it is not, and *out is as it was; with need that is a failure, as another type
 * is.
 */
int lm_gguf_natural(const struct lm_gguf *, const char *key, int need, uint64_t *out,
    struct loom_error *) LOOM_MUST_CHECK;
/* Of a binary32 number the binary64 one that its shortest decimal text means: 1e-05 is 0.00001. */
int lm_gguf_real(const struct lm_gguf *, const char *key, int need, double *out,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_text(const struct lm_gguf *, const char *key, int need, const char **out,
    struct loom_error *) LOOM_MUST_CHECK;
const char *lm_gguf_type_name(unsigned type);

struct lm_gguf_tensor *lm_gguf_tensor(const struct lm_gguf *, const char *name); /* or NULL */
/* All of it, which must have that shape; it counts as used. */
int lm_gguf_view(struct lm_gguf_tensor *, const struct lm_shape *, struct lm_view *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Fail if a tensor was not used: what cannot have it. */
int lm_gguf_all_used(const struct lm_gguf *, const char *what, struct loom_error *) LOOM_MUST_CHECK;

/* ---- networks from files ---- */

int lm_gguf_read_decoder(struct loom_model *, struct lm_gguf *, const char *architecture,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_read_plain(struct loom_model *, struct lm_gguf *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- writing ---- */

struct lm_gguf_outgoing {
	struct lm_outgoing t;
	const struct lm_dtype *from; /* what it was, where it is told what that costs */
};

struct lm_gguf_writing {
	struct lm_export *e;
	struct lm_buf values; /* as they stand in the file */
	json_t *said;	      /* of special tokens: their names in config.json and their numbers */
	uint64_t n_values;
	const struct lm_dtype *dtype; /* what matrices become; NULL: what they are */
	const struct lm_quant *quant;
	size_t n_tensors;
	struct lm_gguf_outgoing *tensors;
};

int lm_gguf_put_u32(struct lm_gguf_writing *, const char *key, uint64_t,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_put_f32(struct lm_gguf_writing *, const char *key, double,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_put_bool(struct lm_gguf_writing *, const char *key, int,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_put_text(struct lm_gguf_writing *, const char *key, const char *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The start of an array; the elements are then put behind it. */
int lm_gguf_put_array(struct lm_gguf_writing *, const char *key, enum lm_gguf_type, uint64_t n,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_put_element_text(struct lm_gguf_writing *, const char *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_put_element_i32(struct lm_gguf_writing *, int32_t, struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_put_element_u64(struct lm_gguf_writing *, uint64_t,
    struct loom_error *) LOOM_MUST_CHECK;

/* The architecture, and what the network is called, if it is called anything. */
int lm_gguf_put_general(struct lm_gguf_writing *, const char *architecture,
    struct loom_error *) LOOM_MUST_CHECK;
/* Room for so many tensors. */
int lm_gguf_put_room(struct lm_gguf_writing *, size_t n, struct loom_error *) LOOM_MUST_CHECK;
/*
 * The next tensor: all of a slot, of that shape, whose order may then be changed.  Vectors become
 * float32 with plain 0; matrices what was asked for.
 */
struct lm_strand *lm_gguf_put_slot(struct lm_gguf_writing *, const char *name,
    const struct lm_node *, size_t slot, const struct lm_shape *, struct loom_error *);
/* Of the file's type, the commonest of its matrices. */
int lm_gguf_put_file_type(struct lm_gguf_writing *, struct loom_error *) LOOM_MUST_CHECK;
/* The whole file. */
int lm_gguf_write(struct lm_gguf_writing *, struct loom_error *) LOOM_MUST_CHECK;

int lm_gguf_export_decoder(struct lm_gguf_writing *, const struct lm_decoder *,
    struct loom_error *) LOOM_MUST_CHECK;
int lm_gguf_export_plain(struct lm_gguf_writing *, struct loom_error *) LOOM_MUST_CHECK;
/*
 * The tokenizer that the options name, for so many tokens.  *context: the positions that a
 * config.json beside it says the network was made for; 0: none does.
 */
int lm_gguf_put_tokens(struct lm_gguf_writing *, uint64_t vocab, uint64_t *context,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
