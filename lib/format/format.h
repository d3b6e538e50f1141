/*
 * format: what a file format is, and the table of those we have.  A format is told by its bytes,
 * never by a file's name.
 */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include "base/place.h"
#include "base/sink.h"
#include "model/model.h"

enum { LM_READ = 1, LM_WRITE = 2, LM_PIPE = 4, LM_EXPORT = 8 };
/* What a user may say about a file: of struct loom_open_options, then of loom_export_options. */
enum {
	LM_TAKES_OUTPUTS = 1,
	LM_TAKES_TEMPLATE = 2,
	LM_TAKES_DATA_DIR = 4,
	LM_TAKES_SUBDIRS = 8,
	LM_TAKES_SYMLINKS = 16,
	LM_TAKES_HARDLINKS = 32,
	LM_TAKES_LINKED = LM_TAKES_SUBDIRS | LM_TAKES_SYMLINKS | LM_TAKES_HARDLINKS,
	LM_TAKES_DTYPE = 64,
	LM_TAKES_OPSET = 128,
	LM_TAKES_TOKENIZER = 256
};
enum lm_holds { LM_HOLDS_MODEL = 1, LM_HOLDS_TENSORS = 2 }; /* bits: a format may hold either */
enum { LM_SNIFF = 512 }; /* bytes that a sniffer is shown, if there are so many */

struct loom_tensors;

/* A network on its way into files for another engine. */
struct lm_export {
	const struct loom_model *model;
	const struct loom_export_options *options;
	struct lm_place *place; /* where the files appear together, if all goes well */
	struct lm_buf *notes;	/* lines for standard error: what is lost, a tensor each */
	struct lm_arena *arena;
};

struct lm_format_ops {
	const char *name;
	const char *about;
	unsigned holds; /* of enum lm_holds */
	unsigned can;
	unsigned takes;					     /* LM_TAKES_ */
	int (*sniff)(const unsigned char *head, size_t len); /* 0 no .. 100 certain */
	/* models: the graph, with weights pointing into the source, which the model then owns */
	int (*read)(struct loom_model *, struct lm_source *, struct loom_error *);
	int (*write)(const struct loom_model *, struct lm_sink *, struct loom_error *);
	/* a directory: does it look like one of these?  its graph; weights point into model->files */
	int (*sniff_directory)(const char *path);
	int (*read_directory)(struct loom_model *, const char *path, struct loom_error *);
	/* for another engine: LM_EXPORT; the result is a directory */
	int directory;
	int (*export)(struct lm_export *, struct loom_error *);
	/* what was written, as a network; NULL: as any file is opened */
	int (*read_back)(const struct lm_export *, struct loom_model **, struct loom_error *);
	/* tensors: see format/tensors.h */
	int (*index)(struct loom_tensors *, struct loom_error *);
	int (*write_tensors)(struct lm_sink *, const struct loom_tensor *, size_t n,
	    struct loom_error *);
};

const struct lm_format_ops *lm_format_at(size_t i); /* NULL: past the end */
const struct lm_format_ops *lm_format_find(const char *name);
/* Fail, and name the formats that take it, if something was said that this one does not take. */
int lm_format_takes(const struct lm_format_ops *, unsigned said,
    struct loom_error *) LOOM_MUST_CHECK;
/* The format of a directory; NULL: none of ours. */
const struct lm_format_ops *lm_format_directory(const char *path);
/* The format whose bytes these are, of any kind, without consuming any; NULL: none of ours. */
int lm_format_of(struct lm_source *, const struct lm_format_ops **,
    struct loom_error *) LOOM_MUST_CHECK;
/*
 * The format of what the source holds, without consuming any of it; holds: which kinds will do.  NULL when
 * no reader of these knows it: the message names the formats that are read, or how the network gets out of
 * a file of another engine that is known.
 */
const struct lm_format_ops *lm_format_sniff(struct lm_source *, unsigned holds,
    struct loom_error *);

/* What loom_model_open does with a source that is open; takes it over, also on failure. */
int lm_checkpoint_open(struct loom_model **, struct lm_source *, const struct loom_open_options *,
    struct loom_error *) LOOM_MUST_CHECK;

#endif
