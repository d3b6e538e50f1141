/* Directories of Hugging Face: shards of any size are one network; scaled rotary frequencies. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/huggingface.h"
#include "model/same.h"
#include "num/rope.h"

#define FROM "fixtures/huggingface/add"

/* ---- shards ---- */

static struct loom_model *
open_model(const char *path)
{
	struct loom_error err = { 0 };
	struct loom_model *m;

	if (loom_model_open(&m, path, &err) < 0) {
		fprintf(stderr, "%s: %s\n", path, err.text);
		assert(0);
	}
	return m;
}

/* The directory, in files of so many bytes at the most, at that path. */
static void
write_shards(const struct loom_model *m, const char *path, uint64_t most)
{
	struct loom_export_options options = { .format = "huggingface", .output = path };
	struct lm_arena arena = { 0 };
	struct loom_error err = { 0 };
	struct lm_buf notes;
	struct lm_export e = { .model = m, .options = &options, .notes = &notes, .arena = &arena };

	lm_buf_init(&notes, 1 << 16);
	assert(lm_place_open(&e.place, path, 1, &err) == 0);
	assert(lm_huggingface_write(&e, most, &err) == 0);
	assert(lm_place_commit(e.place, &err) == 0);
	lm_place_free(e.place);
	lm_buf_release(&notes);
	lm_arena_release(&arena);
}

/* Files called that, counted and removed. */
static int
count_shards(const char *place, int n)
{
	char path[200];
	int found = 0, i;

	for (i = 1; i <= n; i++) {
		(void)snprintf(path, sizeof(path), "%s/model-%05d-of-%05d.safetensors", place, i,
		    n);
		found += unlink(path) == 0;
	}
	return found;
}

static void
remove_rest(const char *place)
{
	static const char *const names[] = { LM_HUGGINGFACE_CONFIG, LM_HUGGINGFACE_WEIGHTS,
		LM_HUGGINGFACE_INDEX };
	char path[200];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", place, names[i]);
		(void)unlink(path);
	}
	assert(rmdir(place) == 0);
}

static void
check_shards(uint64_t most, int files)
{
	char folder[] = "/tmp/loom.XXXXXX", place[64];
	struct loom_model *m = open_model(FROM), *back;
	struct loom_error err = { 0 };
	struct lm_buf why;

	assert(mkdtemp(folder) != NULL);
	(void)snprintf(place, sizeof(place), "%s/out", folder);
	write_shards(m, place, most);
	back = open_model(place);
	lm_buf_init(&why, 1 << 16);
	assert(lm_same_network(m, back, &why, &err) == 1);
	lm_buf_release(&why);
	loom_model_free(back);
	loom_model_free(m);
	assert(count_shards(place, files) == (files > 1 ? files : 0));
	remove_rest(place);
	assert(rmdir(folder) == 0);
}

/* 12 tensors of 5,920 bytes together: 1,024 three times, 864 twice, 256 four times, 32 three times. */
static void
test_shards(void)
{
	check_shards(5920, 1);
	check_shards(5919, 2);
	check_shards(2000, 5);
	check_shards(1, 12);
}

/* ---- scaled frequencies ---- */

/* transformers 5.23.0, _compute_llama3_parameters: head_dim 32, the values of Llama 3.1. */
static const float llama3[] = {
	0x1p+0f,
	0x1.c2ef78p-2f,
	0x1.8d276p-3f,
	0x1.5dc95ap-4f,
	0x1.34119p-5f,
	0x1.0f5386p-6f,
	0x1.ddee9ep-8f,
	0x1.a4ee4p-9f,
	0x1.132ba4p-11f,
	0x1.46831ap-14f,
	0x1.1f91fp-15f,
	0x1.fa8b86p-17f,
	0x1.be2188p-18f,
	0x1.88ec2p-19f,
	0x1.5a0f4ep-20f,
	0x1.30c94ep-21f,
};

static void
read_rope(struct lm_decoder *d, const char *text, struct lm_arena *arena)
{
	struct loom_error err = { 0 };
	json_t *root;

	memset(d, 0, sizeof(*d));
	d->head_dim = 32;
	d->context = 131072;
	assert(lm_json_parse(&root, text, strlen(text), &err) == 0);
	assert(lm_huggingface_read_rope(d, root, arena, &err) == 0);
	json_decref(root);
}

static void
check_llama3(const struct lm_decoder *d, double ulps)
{
	double frequency[16];
	size_t i;

	assert(d->rope_base == 500000);
	lm_rope_frequencies(frequency, 32, d->rope_base);
	for (i = 0; i < 16; i++)
		assert(fabs(frequency[i] / (double)d->factors[i] - (double)llama3[i]) <=
		    ulps * 0x1p-24 * (double)llama3[i]);
}

/* Both ways in which config.json says it, and what it said is found again. */
static void
test_llama3(void)
{
	struct lm_huggingface_rope rope;
	struct lm_arena arena = { 0 };
	struct loom_error err = { 0 };
	struct lm_decoder d;

	read_rope(&d,
	    "{\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":500000.0,\"factor\":8.0,"
	    "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
	    "\"original_max_position_embeddings\":8192}}",
	    &arena);
	check_llama3(&d, 4);
	read_rope(&d,
	    "{\"rope_theta\":500000.0,\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,"
	    "\"low_freq_factor\":1,\"high_freq_factor\":4,"
	    "\"original_max_position_embeddings\":8192}}",
	    &arena);
	check_llama3(&d, 4);
	assert(lm_huggingface_find_rope(&rope, &d, &arena, &err) == 0);
	assert(rope.type == LM_ROPE_LLAMA3 && rope.factor == 8 && rope.low == 1 && rope.high == 4 &&
	    rope.original == 8192);
	((float *)d.factors)[5] *= 1.5f;
	assert(lm_huggingface_find_rope(&rope, &d, &arena, &err) == 0);
	assert(rope.type == LM_ROPE_LISTED);
	d.factors = NULL;
	assert(lm_huggingface_find_rope(&rope, &d, &arena, &err) == 0);
	assert(rope.type == LM_ROPE_DEFAULT);
	lm_arena_release(&arena);
}

int
main(void)
{
	test_shards();
	test_llama3();
	return 0;
}
