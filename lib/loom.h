/*
 * loom.h: the public interface of libloom.
 *
 * Calls that can fail return 0 or -1 and take a struct loom_error last, never NULL; it must be zeroed
 * before its first use and keeps the first failure.  Nothing here prints (but loom_dump and loom_list,
 * which are given a FILE), exits or changes global state.  A model that is open is read-only and may
 * be shared by threads; every other object belongs to one caller at a time.
 */
#ifndef LOOM_H
#define LOOM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define LOOM_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LOOM_MUST_CHECK
#endif

/* ---- errors ---- */

enum loom_code {
	LOOM_OK,
	LOOM_ENOMEM,	 /* no memory */
	LOOM_EIO,	 /* opening, reading or writing failed: see sys */
	LOOM_EMACHINE,	 /* this machine's arithmetic is unsuitable */
	LOOM_ETRUNCATED, /* the data end early */
	LOOM_EFORMAT,	 /* the data are malformed */
	LOOM_EUNSUPPORTED /* well-formed, but not something we can carry */,
	LOOM_ESHAPE, /* sizes or dtypes that do not fit each other */
	LOOM_EARG    /* the caller asked for something that does not exist */
};

struct loom_error {
	enum loom_code code;
	int sys;	  /* errno, with LOOM_EIO */
	int placed;	  /* offset is known */
	uint64_t offset;  /* bytes into source */
	char source[256]; /* a file's name (its tail), "<stdin>", or a layer */
	char text[512];	  /* one line, no newline, no final dot */
};

/*
 * The heap.  fn behaves as realloc(p, size), with size 0 as free(p).  Set it before all else;
 * NULL puts the C library's back.
 */
typedef void *loom_realloc_fn(void *context, void *p, size_t size);
void loom_set_alloc(loom_realloc_fn *fn, void *context);

/* ---- this machine ---- */

struct loom_selftest {
	void (*each)(void *context, const char *name,
	    uint64_t hash); /* told of every case; or NULL */
	void *context;
	char sets[128]; /* what ran: "scalar,sse2,avx2" */
	uint64_t hash;	/* of all results */
};

/*
 * Sums, functions and every operation on built-in cases, with each set of kernels that this machine
 * has, or with the one that LOOM_ISA names.  LOOM_EMACHINE if two sets differ, or if the hash is not
 * the one that every machine has; the struct is filled as far as things went.
 */
int loom_selftest(struct loom_selftest *, struct loom_error *) LOOM_MUST_CHECK;

/* ---- files ---- */

/*
 * Write n bytes to path (NULL: standard output).  A file appears whole or not at all, replaces an old
 * one by a rename, and keeps its mode; devices and pipes are written directly.
 */
int loom_file_write(const char *path, const void *, size_t n, struct loom_error *) LOOM_MUST_CHECK;
/* Remove what is half written.  For signal handlers that end the process: nothing else may follow. */
void loom_abandon(void);

/* ---- tensors ---- */

#define LOOM_RANK 16

/* A view: owns nothing.  Values are little-endian, C order, without padding. */
struct loom_tensor {
	const char *name;
	const char *dtype; /* Loom's canonical name: "float32" */
	unsigned rank;
	uint64_t shape[LOOM_RANK];
	const void *data; /* NULL where only the description is known */
};

/* SHA-256 of the values' bytes, as 64 hexadecimal digits. */
int loom_tensor_hash(const struct loom_tensor *, char hex[65], struct loom_error *) LOOM_MUST_CHECK;

/* "float32 [2, 3]" into dst; returns dst. */
char *loom_tensor_describe(const struct loom_tensor *, char *dst, size_t size);

/*
 * A file of tensors: .npy, .npz, .safetensors, told apart by their bytes; "-" is standard input.
 * A single .npy on a pipe is streamed; other kinds on a pipe are spooled to a temporary file.
 * The only tensor of an .npy is called "array".
 */
struct loom_tensors;
int loom_tensors_open(struct loom_tensors **, const char *path,
    struct loom_error *) LOOM_MUST_CHECK;
void loom_tensors_free(struct loom_tensors *);
const char *loom_tensors_format(const struct loom_tensors *);
size_t loom_tensors_count(const struct loom_tensors *);
/* Tensor i without its data, in the file's order. */
struct loom_tensor loom_tensors_at(const struct loom_tensors *, size_t i);
/*
 * The next n values of tensor i in C order, as stored (little-endian); a tensor is read from its
 * start to its end, and on a pipe in the file's order.
 */
int loom_tensors_read(struct loom_tensors *, size_t i, void *dst, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;
/* After it was read to its end, reading starts anew, but on a pipe only if this was called first. */
int loom_tensors_rewindable(struct loom_tensors *, struct loom_error *) LOOM_MUST_CHECK;
/* Read a pipe to its end, whatever was read before: a file that was cut short is noticed by all. */
int loom_tensors_finish(struct loom_tensors *, struct loom_error *) LOOM_MUST_CHECK;
/* All of tensor i; its data live until loom_tensors_free. */
int loom_tensors_load(struct loom_tensors *, size_t i, struct loom_tensor *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Fail, and name those that are, if that is no format in which tensors are written. */
int loom_tensors_writes(const char *format, struct loom_error *) LOOM_MUST_CHECK;
/*
 * Write n tensors as "npy" (n = 1), "npz", "safetensors" or "raw" (the bare values, one after
 * another) to path, by a temporary name and a rename; NULL is standard output.
 */
int loom_tensors_write(const char *path, const char *format, const struct loom_tensor *, size_t n,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- comparing ---- */

enum loom_label { LOOM_EXACT, LOOM_PASS, LOOM_DIFF, LOOM_MISSING, LOOM_EXTRA, LOOM_SKIPPED };

struct loom_compare_options {
	double atol, rtol; /* values agree if |a-b| <= atol*S + rtol*|b| ... */
	int scale_max;	   /* ... where S is max(1, max|b|), or 1 without this and for integers */
	int equal_nan;	   /* two NaNs agree */
	int allow_vacuous, allow_missing, allow_extra; /* these do not make the answer no */
	const char *const *skip;		       /* names of tensors not to compare */
	size_t n_skip;
	const char *const *only, *const *ignore; /* globs: compare these alone, these not */
	size_t n_only, n_ignore;
	const char *map;	    /* a file: what tensors of a are called in b, or NULL */
	const char *policy;	    /* a file: tolerances of tensors by glob, or NULL */
	const char *const *permute; /* "GLOB=0,3,1,2": axes of a's tensors in b's order */
	size_t n_permute;
	int jobs; /* threads; no result depends on it */
	void (*progress)(void *context, uint64_t done, uint64_t total); /* in bytes; or NULL */
	void *context;
};

/*
 * Compare the tensors of a with those of b that have the same names; where each has only one, these.
 * b is what is right: it is what "missing" and the tolerance refer to.
 */
struct loom_comparison;
int loom_compare(struct loom_comparison **, struct loom_tensors *a, struct loom_tensors *b,
    const struct loom_compare_options *, struct loom_error *) LOOM_MUST_CHECK;
void loom_comparison_free(struct loom_comparison *);
/* 1 if something was compared and nothing speaks against their being the same. */
int loom_comparison_same(const struct loom_comparison *);
/* The kinds of report, NULL past the last. */
const char *loom_report_kind(size_t i);
/* The report as text of *size bytes, which lives until the next call; NULL on failure. */
const char *loom_comparison_report(struct loom_comparison *, const char *kind, size_t *size,
    struct loom_error *);
/*
 * Are the labels those of the file at path, a report of labels?  1 yes, 0 no, -1 failure; *text has
 * the lines that differ, "-" before the file's and "+" before ours, and lives until the next report.
 */
int loom_comparison_expected(struct loom_comparison *, const char *path, const char **text,
    size_t *size, struct loom_error *) LOOM_MUST_CHECK;

/* ---- models ---- */

struct loom_model;
/* Any checkpoint we read, told by its bytes; "-" is standard input. */
int loom_model_open(struct loom_model **, const char *path, struct loom_error *) LOOM_MUST_CHECK;

/* How to open a file that may hold a network of another engine.  Zeroed but for what is wanted. */
struct loom_open_options {
	const char *like; /* a network; the file holds weights for it.  NULL: the file says all */
	const char *data_dir;	    /* where what a file refers to lies; NULL: beside the file */
	const char *const *outputs; /* end the graph at these values */
	size_t n_outputs;
	int subdirs, symlinks, hardlinks; /* what a file refers to may be reached by them */
	uint64_t most_memory;		  /* bytes that a file may make us take; 0: 8 GiB */
	int windows; /* read weights when they are needed, and do not map the file */
	int blind;   /* take nothing from what we ourselves wrote beside the network */
};
int loom_model_open_with(struct loom_model **, const char *path, const struct loom_open_options *,
    struct loom_error *) LOOM_MUST_CHECK;
/* The same from memory, which must outlive the model; name stands in messages. */
int loom_model_open_memory(struct loom_model **, const void *, size_t size, const char *name,
    struct loom_error *) LOOM_MUST_CHECK;
/* Write an .entity to path (NULL: standard output). */
int loom_model_save(const struct loom_model *, const char *path,
    struct loom_error *) LOOM_MUST_CHECK;
void loom_model_free(struct loom_model *);
size_t loom_model_inputs(const struct loom_model *);
size_t loom_model_outputs(const struct loom_model *);
const char *loom_model_input(const struct loom_model *, size_t i);
const char *loom_model_output(const struct loom_model *, size_t i);

/* ---- other engines' files ---- */

/* Zeroed but for what is wanted; strings are borrowed. */
struct loom_export_options {
	const char *format;    /* "onnx", "safetensors", "gguf" ...: see loom_list */
	const char *output;    /* the file or directory that appears; NULL: standard output */
	const char *dtype;     /* narrower weights: "f16", "bf16", "q8_0" ...; NULL: as they are */
	const char *tokenizer; /* a tokenizer.json, or the directory it is in */
	int opset;	       /* of ONNX; 0: 17 */
	int jobs;	       /* threads that check what was written; 0: 1 */
	/*
	 * Told of the file before it appears, with made-up inputs and what the network makes of them: 0
	 * lets it appear, 1 does not, -1 is a failure.  Or NULL.
	 */
	int (*verify)(void *context, const char *path, const struct loom_tensor *inputs,
	    size_t n_inputs, const struct loom_tensor *outputs, size_t n_outputs,
	    struct loom_error *);
	void *context;
};

struct loom_exported {
	int same;    /* it read back as the same network; 0: nothing appeared */
	char *notes; /* lines for standard error, or NULL */
};

/*
 * Write a model for another engine.  Before it appears it is read back, without what we wrote beside the
 * network, and must be the same network, node for node and weight for weight, and give the same bits.
 * The result is to be released, after a failure too.
 */
int loom_export(const char *model, const struct loom_export_options *, struct loom_exported *,
    struct loom_error *) LOOM_MUST_CHECK;
void loom_exported_release(struct loom_exported *);

/*
 * Read a file of any format that holds a network and write its .entity to output (NULL: standard
 * output).  *notes: lines for standard error, or NULL; to be given to loom_text_free.
 */
int loom_import(const char *path, const char *output, const struct loom_open_options *,
    char **notes, struct loom_error *) LOOM_MUST_CHECK;
void loom_text_free(char *);

/* ---- runs ---- */

/* Of the arithmetic: one model, one input and one version have one bit pattern. */
#define LOOM_NUMERICS 2

struct loom_run;
/* jobs threads; results never depend on it. */
int loom_run_new(struct loom_run **, const struct loom_model *, int jobs,
    struct loom_error *) LOOM_MUST_CHECK;
void loom_run_free(struct loom_run *);
/* Keep every node's output for loom_run_tap; changes no result. */
void loom_run_keep(struct loom_run *);
/* Borrow input i until the next forward returns.  Any dtype; converted by value or refused. */
int loom_run_set(struct loom_run *, size_t i, const struct loom_tensor *,
    struct loom_error *) LOOM_MUST_CHECK;
/* Failures of what the inputs are name this as their source, not the model; borrowed. */
void loom_run_from(struct loom_run *, const char *source);
/*
 * From now on nodes read t instead of the value that is called t->name, an input or what a node
 * makes; results and taps still show what was computed.  So with another side's values each node
 * shows its own error alone.  Any dtype, converted as inputs are; the shape must be that of the value,
 * which forward checks.  Borrowed until the next forward returns; t->data NULL ends it.
 */
int loom_run_feed(struct loom_run *, const struct loom_tensor *,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * From now on each forward takes the next positions of sequences, at most so many in all: the run
 * keeps the keys and values of those before, so that results are those of the whole sequence, bit by
 * bit.  Positions lie along the last axis but one of an input, the last of one of integers or flags.  A
 * network where anything but causal attention looks at several positions is refused, by forward.
 */
int loom_run_cache(struct loom_run *, uint64_t positions, struct loom_error *) LOOM_MUST_CHECK;
/* The next positions are the first of new sequences. */
void loom_run_forget(struct loom_run *);
/* Plan if the shapes are new, then compute. */
int loom_run_forward(struct loom_run *, struct loom_error *) LOOM_MUST_CHECK;
/* The same by a cache: the inputs, which are set whole, so many positions at a time; whole outputs. */
int loom_run_in_pieces(struct loom_run *, uint64_t piece, struct loom_error *) LOOM_MUST_CHECK;
/* Views of results, valid until the next forward. */
struct loom_tensor loom_run_output(const struct loom_run *, size_t i);
size_t loom_run_taps(const struct loom_run *);
struct loom_tensor loom_run_tap(const struct loom_run *, size_t i);
/* Sums of products decided by the binary64 sum, by the second stage, by the accumulator. */
void loom_run_stages(const struct loom_run *, uint64_t stages[3]);
/* How many times shapes were planned. */
uint64_t loom_run_plans(const struct loom_run *);

/* ---- tables ---- */

/* Print the "layers", "formats" or "dtypes" that there are, as text or as one JSON array. */
int loom_list(FILE *, const char *what, int json, struct loom_error *) LOOM_MUST_CHECK;

/* ---- showing what is inside ---- */

enum {
	LOOM_DUMP_JSON = 1,  /* one JSON object instead of lines */
	LOOM_DUMP_CHECK = 2, /* whether it is sound and why not, instead of what is in it */
	LOOM_DUMP_HEADER = 4 /* nothing that takes reading values: *sound says nothing of them */
};

/*
 * Print what is in a checkpoint or a file of tensors ("-": standard input).  *sound is 0 where
 * something was found that should not be: NaN, infinities, stray bytes.
 */
int loom_dump(FILE *, const char *path, unsigned flags, int *sound,
    struct loom_error *) LOOM_MUST_CHECK;

/* ---- streams ---- */

/* What to make of a layer stream.  Zeroed but for what is wanted; strings are borrowed. */
struct loom_stream_options {
	const char *output; /* where the .entity goes; NULL: standard output */
	int plain;	    /* leave out what plain Loom does not need */
	int lower;	    /* layers of plain Loom alone, which an unmodified Loom computes */
	int keep_dtype;	    /* do not turn float64 into float32 */
	/* Before an .entity goes to standard output; and as bytes arrive. */
	void (*binary)(void *context);
	void (*progress)(void *context, uint64_t done, uint64_t total);
	void *context;
	/* Version 1 alone: what holds where the request leaves its own field blank. */
	const char *bedrock, *root, *models_dir, *fixtures_dir, *fixture_version, *output_path;
	int skip_infer;
};

struct loom_streamed {
	int version;	/* 1 or 2 */
	int answered;	/* a version-1 request with a destination, in the reference's manners: */
	int status;	/* its exit status, 0 or 1 */
	char *response; /* JSON for standard output, or NULL */
	char *notes;	/* lines for standard error, or NULL */
};

/*
 * Read a layer stream of version 1 or 2 from path ("-": standard input) and write its .entity.  The
 * result is filled as far as things went, and to be released, after a failure too.
 */
int loom_stream(const char *path, const struct loom_stream_options *, struct loom_streamed *,
    struct loom_error *) LOOM_MUST_CHECK;
void loom_streamed_release(struct loom_streamed *);

#endif
