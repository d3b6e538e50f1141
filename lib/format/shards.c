/* shards: tensors in several .safetensors files, and the index that names them. */
#include "format/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "format/flat.h"

enum { FILES = 1000, PIECE = 1 << 16 };

/* ---- files ---- */

/* Through whatever links there are: the user said so. */
static int
open_linked(int directory, const char *name, struct lm_source **out, struct loom_error *err)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return lm_fail(err, LOOM_EFORMAT, "file %s cannot be opened: %s", name,
		    strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return lm_fail(err, LOOM_EFORMAT, "file %s is not a regular file", name);
	}
	return lm_source_descriptor(out, fd, name, err);
}

/*
 * Links of a cache lead out of the directory, to a store that many share; they are followed only for
 * the files of a directory that the user named.
 */
int
lm_shards_open(struct lm_external *files, const char *name, struct lm_source **out,
    struct loom_error *err)
{
	if (!files->owner->how.symlinks || files->directory < 0)
		return lm_external_file(files, "", name, out, err);
	if (open_linked(files->directory, name, out, err) < 0)
		return -1;
	return lm_model_add_file(files->owner, *out, err);
}

int
lm_shards_text(struct lm_source *s, size_t most, struct lm_buf *text, struct loom_error *err)
{
	size_t got = 1;

	while (got > 0) {
		if (lm_buf_reserve(text, PIECE, err) < 0 ||
		    lm_source_some(s, text->data + text->len, PIECE, &got, err) < 0)
			return -1;
		text->len += got;
		if (text->len > most)
			return lm_fail(err, LOOM_EUNSUPPORTED, "it is longer than %zu bytes", most);
	}
	return 0;
}

/* ---- one file ---- */

/* Its tensors, in a list that does not own the source. */
static int
index_file(struct loom_tensors *t, struct lm_source *source, struct loom_error *err)
{
	t->source = source;
	t->fetch = lm_tensors_fetch;
	if (lm_source_seek(source, 0, err) < 0)
		return -1; /* it may have been read as something else */
	t->format = lm_format_sniff(source, LM_HOLDS_TENSORS, err);
	if (t->format == NULL)
		return -1;
	if (strcmp(t->format->name, "safetensors") != 0)
		return lm_fail(err, LOOM_EFORMAT, "is %s, not a .safetensors file",
		    t->format->about);
	return t->format->index(t, err);
}

static int
copy_entry(struct loom_tensors *to, const struct lm_entry *from, struct lm_source *source,
    struct loom_error *err)
{
	struct lm_entry *e = lm_tensors_add(to, from->tensor.name, err);

	if (e == NULL)
		return -1;
	e->tensor.dtype = from->tensor.dtype;
	e->tensor.rank = from->tensor.rank;
	memcpy(e->tensor.shape, from->tensor.shape, sizeof(e->tensor.shape));
	e->dtype = from->dtype;
	e->count = from->count;
	e->bytes = from->bytes;
	e->offset = from->offset;
	e->source = source;
	return 0;
}

/* The first text of that kind. */
static int
keep(struct loom_tensors *t, const char **to, const char *from, struct loom_error *err)
{
	if (from == NULL || *to != NULL)
		return 0;
	*to = lm_arena_string(&t->arena, from, err);
	return *to != NULL ? 0 : -1;
}

/* Is the tensor to be in that file? */
typedef int lm_shards_belongs(void *context, const char *tensor, const char *file,
    struct loom_error *);

static int
copy_all(struct loom_tensors *to, const struct loom_tensors *from, const char *file,
    lm_shards_belongs *belongs, void *context, struct loom_error *err)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		if ((belongs != NULL &&
			belongs(context, from->entries[i].tensor.name, file, err) < 0) ||
		    copy_entry(to, &from->entries[i], from->source, err) < 0)
			return -1;
	if (keep(to, &to->topology, from->topology, err) < 0)
		return -1;
	return keep(to, &to->checkpoint, from->checkpoint, err);
}

static int
read_file(struct loom_tensors *to, struct lm_external *files, const char *name,
    lm_shards_belongs *belongs, void *context, struct loom_error *err)
{
	struct loom_error inner = { 0 };
	struct loom_tensors *t;
	struct lm_source *source;
	char shown[LM_SHOWN];
	int r;

	if (lm_shards_open(files, name, &source, err) < 0)
		return -1;
	t = lm_alloc(1, sizeof(*t), err);
	if (t == NULL)
		return -1;
	r = index_file(t, source, &inner);
	if (r < 0)
		(void)lm_fail(err, inner.code, "%s: %s", lm_shown(shown, name), inner.text);
	else
		r = copy_all(to, t, name, belongs, context, err);
	t->source = NULL; /* the model's */
	loom_tensors_free(t);
	return r;
}

static struct loom_tensors *
new_list(struct loom_error *err)
{
	struct loom_tensors *t = lm_alloc(1, sizeof(*t), err);

	if (t != NULL) {
		t->format = lm_format_find("safetensors");
		t->fetch = lm_tensors_fetch;
	}
	return t;
}

int
lm_shards_one(struct loom_tensors **out, struct lm_external *files, const char *name,
    struct loom_error *err)
{
	*out = new_list(err);
	if (*out != NULL && read_file(*out, files, name, NULL, NULL, err) == 0)
		return 0;
	loom_tensors_free(*out);
	*out = NULL;
	return -1;
}

/* ---- an index ---- */

struct index {
	const char *name; /* of the index */
	struct lm_arena *arena;
	json_t *map;	       /* file by tensor */
	struct lm_names names; /* of files */
	const char *files[FILES];
	size_t n;
};

/* A name without directories, as the files of such an index have it. */
static int
check_name(const struct index *x, const char *tensor, const json_t *value, struct loom_error *err)
{
	const char *file = json_string_value(value);
	char a[LM_SHOWN], b[LM_SHOWN];

	if (file == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s: the file of tensor %s is %s, not a string",
		    x->name, lm_shown(a, tensor), lm_json_type(value));
	if (file[0] == '\0' || file[0] == '.' || strpbrk(file, "/\\") != NULL)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s: the file of tensor %s is \"%s\", expected a name without directories "
		    "that begins with no dot",
		    x->name, lm_shown(a, tensor), lm_shown(b, file));
	return 0;
}

static int
list_files(struct index *x, struct loom_error *err)
{
	const char *tensor, *file;
	json_t *value;

	json_object_foreach(x->map, tensor, value) {
		if (check_name(x, tensor, value, err) < 0)
			return -1;
		file = json_string_value(value);
		if (lm_names_find(&x->names, file) != LM_NO_NAME)
			continue;
		if (x->n == FILES)
			return lm_fail(err, LOOM_EUNSUPPORTED, "%s: names more than %d files",
			    x->name, FILES);
		if (lm_names_add(&x->names, x->arena, file, x->n, err) < 0)
			return -1;
		x->files[x->n++] = file;
	}
	return 0;
}

static int
belongs(void *context, const char *tensor, const char *file, struct loom_error *err)
{
	const struct index *x = context;
	const char *mapped = json_string_value(json_object_get(x->map, tensor));
	char a[LM_SHOWN], b[LM_SHOWN], c[LM_SHOWN];

	if (mapped == NULL)
		return lm_fail(err, LOOM_EFORMAT, "%s: tensor %s is not in the index",
		    lm_shown(b, file), lm_shown(a, tensor));
	if (strcmp(mapped, file) != 0)
		return lm_fail(err, LOOM_EFORMAT,
		    "%s: tensor %s is there, but the index has it in %s", lm_shown(b, file),
		    lm_shown(a, tensor), lm_shown(c, mapped));
	return 0;
}

/* Each tensor of a shard is in the index, in that shard and once: as many as that are all. */
static int
all_there(const struct index *x, const struct loom_tensors *t, struct loom_error *err)
{
	struct lm_names names = { 0 };
	const char *tensor;
	char a[LM_SHOWN], b[LM_SHOWN];
	json_t *value;
	size_t i;

	if (t->n == json_object_size(x->map))
		return 0;
	for (i = 0; i < t->n; i++)
		if (lm_names_add(&names, x->arena, t->entries[i].tensor.name, i, err) < 0)
			return -1;
	json_object_foreach(x->map, tensor, value)
		if (lm_names_find(&names, tensor) == LM_NO_NAME)
			return lm_fail(err, LOOM_EFORMAT, "%s: tensor %s is not in %s", x->name,
			    lm_shown(a, tensor), lm_shown(b, json_string_value(value)));
	return 0;
}

static int
read_index(struct index *x, struct loom_tensors *t, struct lm_external *files, json_t *root,
    struct loom_error *err)
{
	size_t i;

	if (!json_is_object(root))
		return lm_fail(err, LOOM_EFORMAT, "%s: is %s, not an object", x->name,
		    lm_json_type(root));
	if (lm_json_object(root, x->name, "weight_map", 1, &x->map, err) < 0 ||
	    list_files(x, err) < 0)
		return -1;
	for (i = 0; i < x->n; i++)
		if (read_file(t, files, x->files[i], belongs, x, err) < 0)
			return -1;
	return all_there(x, t, err);
}

static int
parse_index(struct loom_tensors *t, struct lm_external *files, const char *name,
    const struct lm_buf *text, struct loom_error *err)
{
	struct lm_arena arena = { 0 };
	struct index x = { .name = name, .arena = &arena };
	struct loom_error inner = { 0 };
	json_t *root;
	int r;

	if (lm_json_parse(&root, text->data, text->len, &inner) < 0)
		return lm_fail(err, inner.code, "%s: byte %llu: %s", name,
		    (unsigned long long)inner.offset, inner.text);
	r = read_index(&x, t, files, root, err);
	json_decref(root);
	lm_arena_release(&arena);
	return r;
}

int
lm_shards_all(struct loom_tensors **out, struct lm_external *files, const char *name,
    const struct lm_buf *text, struct loom_error *err)
{
	*out = new_list(err);
	if (*out != NULL && parse_index(*out, files, name, text, err) == 0)
		return 0;
	loom_tensors_free(*out);
	*out = NULL;
	return -1;
}

/* ---- an index as a file ---- */

static int
sniff(const unsigned char *head, size_t len)
{
	static const char key[] = "\"weight_map\"";
	size_t i = 0;

	while (i < len && (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t'))
		i++;
	if (i == len || head[i] != '{')
		return 0;
	for (; i + sizeof(key) - 1 <= len; i++)
		if (memcmp(head + i, key, sizeof(key) - 1) == 0)
			return 90;
	return 0;
}

static int
read_shards(struct loom_model *m, struct lm_external *files, struct lm_source *source,
    struct loom_error *err)
{
	struct loom_tensors *t = NULL;
	struct lm_buf text;
	int r;

	lm_buf_init(&text, (size_t)LM_SHARDS_INDEX + (2 * PIECE));
	r = lm_shards_text(source, LM_SHARDS_INDEX, &text, err);
	if (r == 0)
		r = lm_shards_all(&t, files, "index", &text, err);
	if (r == 0)
		r = lm_flat_fill(m, t, err);
	loom_tensors_free(t);
	lm_buf_release(&text);
	return r;
}

static int
read_model(struct loom_model *m, struct lm_source *source, struct loom_error *err)
{
	struct lm_external files;
	int r;

	lm_external_start(&files, m, source);
	r = read_shards(m, &files, source, err);
	lm_external_stop(&files);
	return r;
}

const struct lm_format_ops lm_format_shards = {
	.name = "shards",
	.about = "an index of .safetensors files",
	.holds = LM_HOLDS_MODEL,
	.can = LM_READ,
	.takes = LM_TAKES_TEMPLATE | LM_TAKES_DATA_DIR | LM_TAKES_LINKED,
	.sniff = sniff,
	.read = read_model,
};
