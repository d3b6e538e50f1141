/*
 * tensors: a file of named arrays that is open for reading.  A format's index function finds the
 * entries; how their bytes are fetched is one function, so that the walk over values is the same for all.
 */
#ifndef FORMAT_TENSORS_H
#define FORMAT_TENSORS_H

#include "base/mem.h"
#include "base/source.h"
#include "format/format.h"
#include "num/dtype.h"

enum { LM_TENSORS = 1 << 20, LM_TENSOR_NAME = 1024 }; /* as many tensors, as long a name */

struct lm_entry {
	struct loom_tensor tensor; /* data stays NULL */
	const struct lm_dtype *dtype;
	uint64_t count, bytes;
	uint64_t offset;	  /* of the first byte of data, in the source or in its member */
	struct lm_source *source; /* that it is in, of a file in several; NULL: the one of all */
	uint64_t member;	  /* index within an archive */
	int fortran;		  /* stored with the first axis fastest */
	int swap;		  /* stored big-endian */
	uint64_t done;		  /* values handed out so far */
	unsigned char *ordered;	  /* all values in C order, of a Fortran array that is being read */
	void *loaded;		  /* by loom_tensors_load */
};

struct loom_tensors {
	struct lm_arena arena;
	struct lm_source *source;
	const struct lm_format_ops *format;
	struct lm_entry *entries;
	size_t n, room;
	/* The next n bytes of an entry's data; at is how many were fetched before, 0 starts anew. */
	int (*fetch)(struct loom_tensors *, struct lm_entry *, uint64_t at, void *dst, size_t n,
	    struct loom_error *);
	/*
	 * Where the values of an entry lie in the source as they are, in C order and little-endian: 1; 0:
	 * nowhere, they must be loaded; -1.  NULL: at their offsets.
	 */
	int (*place)(struct loom_tensors *, const struct lm_entry *, uint64_t *offset,
	    struct loom_error *);
	/* What we write beside tensors that are a network's weights, or NULL: see topology.h, entity.h. */
	const char *topology, *checkpoint;
	void *state; /* the format's own */
	void (*close)(struct loom_tensors *);
};

/* What loom_tensors_open does with a source that is open; takes it over, also on failure. */
int lm_tensors_open(struct loom_tensors **, struct lm_source *,
    struct loom_error *) LOOM_MUST_CHECK;

/* A new entry with that name, copied; NULL when there is no memory or there are too many. */
struct lm_entry *lm_tensors_add(struct loom_tensors *, const char *name, struct loom_error *);
/* Fill count and bytes from dtype and shape; LOOM_EFORMAT, with what before it, if they overflow. */
int lm_entry_size(struct lm_entry *, const char *what, struct loom_error *) LOOM_MUST_CHECK;
/* No two entries have one name. */
int lm_tensors_unique(struct loom_tensors *, struct loom_error *) LOOM_MUST_CHECK;
/* The fetch of formats whose entries lie in the source at their offsets. */
int lm_tensors_fetch(struct loom_tensors *, struct lm_entry *, uint64_t at, void *dst, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* Nothing must follow what was read. */
int lm_tensors_end(struct lm_source *, struct loom_error *) LOOM_MUST_CHECK;

/* For writers: element type and size in bytes of a tensor that the caller made. */
int lm_tensor_size(const struct loom_tensor *, const struct lm_dtype **, uint64_t *bytes,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- .npy, alone or as a member of an archive ---- */

enum { LM_NPY_HEADER = 10240 }; /* longest header with all before it; NumPy's own limit is 10,000 */

/* Reads n bytes from wherever a header stands, or fails. */
typedef int lm_npy_read(void *from, void *dst, size_t n, struct loom_error *);

/*
 * Read a header and fill dtype, shape, fortran, swap, sizes and offset of the entry.  what stands
 * before each message: "" or "member y.npy: ".
 */
int lm_npy_header(lm_npy_read *, void *from, const char *what, struct lm_entry *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The header of a tensor, as NumPy writes it, into dst; its length in *len. */
int lm_npy_make(const struct loom_tensor *, unsigned char dst[LM_NPY_HEADER], size_t *len,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
