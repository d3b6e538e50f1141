/*
 * exhaustive [NAME...]: the functions of num/func.h, all or those named, over all 2^32 inputs: correctly
 * rounded, the same bits by every set of kernels that this machine has, and with the sum that
 * fixtures/numerics/sum64.txt has.  `make exhaustive FN=NAME` calls it.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "num/bytes.h"
#include "num/fpenv.h"
#include "num/kernel.h"
#include "reference.h"

enum { STRIP = 4096, SETS = 8, THREADS = 64 };

/* What one thread finds out, or all together. */
struct findings {
	uint64_t sum, wrong, differing, asked; /* of which MPFR was asked */
	uint32_t first;			       /* of those that are wrong or differ */
	double middle;
	float nearest; /* the input whose result is that near a middle */
};

struct part {
	const struct reference *f;
	uint64_t from, to;
	struct findings found;
};

/* NaNs are all alike. */
static uint32_t
shown(float v)
{
	uint32_t u = lm_bits32(v);

	return (u & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : u;
}

static void
note(uint64_t *count, struct findings *found, float x)
{
	if (found->wrong + found->differing == 0)
		found->first = lm_bits32(x);
	++*count;
}

static void
check_rounding(const struct reference *f, const float *x, const float *y, struct findings *found)
{
	double middle;
	int i;

	for (i = 0; i < STRIP; i++) {
		middle = 1;
		if (shown(reference_of(f, x[i], &middle)) != shown(y[i]))
			note(&found->wrong, found, x[i]);
		found->asked += middle != 1;
		if (middle < found->middle) {
			found->middle = middle;
			found->nearest = x[i];
		}
	}
}

static void
check_sets(const struct reference *f, const float *x, const float *y, struct findings *found)
{
	const struct lm_kernels *k;
	lm_map_fn *map;
	float z[STRIP];
	size_t set, i;

	for (set = 0; (k = lm_kernels_at(set)) != NULL; set++) {
		memcpy(&map, (const char *)k->fn + f->map, sizeof map);
		map(z, x, STRIP);
		for (i = 0; i < STRIP; i++)
			if (shown(z[i]) != shown(y[i]))
				note(&found->differing, found, x[i]);
	}
}

static void *
work(void *context)
{
	struct part *p = context;
	float x[STRIP], y[STRIP];
	uint64_t u;
	int i;

	for (u = p->from; u < p->to; u += STRIP) {
		for (i = 0; i < STRIP; i++) {
			x[i] = lm_from_bits32((uint32_t)u + (uint32_t)i);
			y[i] = p->f->ours(x[i]);
			p->found.sum += shown(y[i]) * (2 * (u + (uint64_t)i) + 1);
		}
		check_rounding(p->f, x, y, &p->found);
		check_sets(p->f, x, y, &p->found);
	}
	return NULL;
}

static void
merge(struct findings *all, const struct findings *part)
{
	if (all->wrong + all->differing == 0)
		all->first = part->first;
	all->sum += part->sum;
	all->wrong += part->wrong;
	all->differing += part->differing;
	all->asked += part->asked;
	if (part->middle < all->middle) {
		all->middle = part->middle;
		all->nearest = part->nearest;
	}
}

static struct findings
run(const struct reference *f)
{
	static struct part part[THREADS];
	pthread_t thread[THREADS];
	struct findings all = { .middle = 1 };
	uint64_t strips = ((uint64_t)1 << 32) / STRIP;
	long i, n = sysconf(_SC_NPROCESSORS_ONLN);

	n = n < 1 ? 1 : n > THREADS ? THREADS : n;
	for (i = 0; i < n; i++) {
		part[i] = (struct part){ f, strips * (uint64_t)i / (uint64_t)n * STRIP,
			strips * (uint64_t)(i + 1) / (uint64_t)n * STRIP, { .middle = 1 } };
		if (pthread_create(&thread[i], NULL, work, &part[i]) != 0) {
			perror("exhaustive: pthread_create");
			exit(4);
		}
	}
	for (i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		merge(&all, &part[i].found);
	}
	return all;
}

/* The sum that a line of the fixture has: function, of all inputs, of some. */
static int
known_sum(const char *name, uint64_t *sum)
{
	char path[4096], line[256], word[32];
	const char *fixtures = getenv("FIXTURES");
	FILE *f;
	int found = 0;

	snprintf(path, sizeof path, "%s/numerics/sum64.txt",
	    fixtures != NULL ? fixtures : "fixtures");
	f = fopen(path, "r");
	if (f == NULL) {
		perror(path);
		exit(4);
	}
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = sscanf(line, "%31s %" SCNx64, word, sum) == 2 && strcmp(word, name) == 0;
	fclose(f);
	return found;
}

static int
check(const struct reference *f)
{
	uint64_t expected = 0;
	int known = known_sum(f->name, &expected);
	time_t begun = time(NULL);
	struct findings found = run(f);
	int good = found.wrong + found.differing == 0 && known && found.sum == expected;

	printf("%-9s %s %4.0f s  sum %016" PRIx64 "%s  nearest to a middle 2^%.1f at %08" PRIx32
	       "  %" PRIu64 " by MPFR\n",
	    f->name, good ? "ok    " : "FAILED", difftime(time(NULL), begun), found.sum,
	    !known			? " (no other known)"
		: found.sum == expected ? ""
					: " (another known)",
	    log2(found.middle), lm_bits32(found.nearest), found.asked);
	if (found.wrong + found.differing > 0)
		printf("    %" PRIu64 " not correctly rounded, %" PRIu64
		       " differ from set to set; the first at %08" PRIx32 "\n",
		    found.wrong, found.differing, found.first);
	fflush(stdout);
	return good;
}

int
main(int argc, char **argv)
{
	size_t i;
	int a, good = 1, known;

	for (i = 0; argc < 2 && i < references_count; i++)
		good &= check(&references[i]);
	for (a = 1; a < argc; a++) {
		for (known = 0, i = 0; i < references_count; i++)
			if (strcmp(argv[a], references[i].name) == 0) {
				known = 1;
				good &= check(&references[i]);
			}
		if (!known) {
			fprintf(stderr, "exhaustive: %s: not one of:", argv[a]);
			for (i = 0; i < references_count; i++)
				fprintf(stderr, " %s", references[i].name);
			fprintf(stderr, "\n");
			return 2;
		}
	}
	return !good;
}
