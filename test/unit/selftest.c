/*
 * selftest: it passes on every set of this machine, and prints what loom-infer --selftest prints;
 * every operation is tried; and a set that is wrong in one place is found out, whichever place it is.
 */
#include "layer/layer.h"
#include "layer/selftest.h"
#include "num/proof.h"
#include "vectors.h"

enum { OPERATIONS = 256 };

/* ---- all is well ---- */

struct seen {
	size_t cases;
	char tried[OPERATIONS];
};

/* Cases of operations are called "conv2 of ...". */
static void
see(void *context, const char *name, uint64_t hash)
{
	struct seen *seen = context;
	const struct lm_layer_ops *op;
	size_t i;

	(void)hash;
	seen->cases++;
	for (i = 0; (op = lm_layer_at(i)) != NULL; i++)
		if (strncmp(name, op->name, strlen(op->name)) == 0 &&
		    strncmp(name + strlen(op->name), " of ", 4) == 0)
			seen->tried[i] = 1;
}

static void
check_passes(void)
{
	struct seen seen = { 0 };
	struct loom_selftest test = { .each = see, .context = &seen };
	struct loom_error err = { 0 };
	size_t i;

	if (loom_selftest(&test, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	/* The arithmetic of rotary is attention's, which is tried; unit/rotary.c holds them side by side. */
	for (i = 0; lm_layer_at(i) != NULL; i++)
		if (!seen.tried[i] && strcmp(lm_layer_at(i)->name, "rotary") != 0) {
			fprintf(stderr, "lib/layer/trials.def has no %s\n", lm_layer_at(i)->name);
			exit(1);
		}
	printf("selftest: %zu cases, %zu operations\n", seen.cases, i);
	printf("loom-infer %s numerics %d sets %s hash %016llx\n", LOOM_VERSION, LOOM_NUMERICS,
	    test.sets, (unsigned long long)test.hash);
}

/* ---- a set that is wrong ---- */

static void
wrong_product(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1, void *room,
    struct lm_counts *counts)
{
	lm_kernels_scalar.product(p, m0, m1, n0, n1, room, counts);
	if (p->y != NULL && m1 - m0 == 17)
		p->y[16 * p->y_step + n1 - 1] = lm_from_bits32(
		    lm_bits32(p->y[16 * p->y_step + n1 - 1]) ^ 1);
}

static void
wrong_map(float *y, const float *x, size_t n)
{
	lm_functions_scalar.exp(y, x, n);
	if (n > 4000)
		y[4000] = lm_from_bits32(lm_bits32(y[4000]) ^ 1);
}

static double
wrong_lanes(const double *x, size_t n)
{
	double p[8] = { 0 };
	size_t i, h;

	for (i = 0; i < n; i++)
		p[i % 8] += x[i];
	for (h = 4; h > 0; h /= 2)
		for (i = 0; i < h; i++)
			p[i] += p[i + h];
	return p[0];
}

static void
expect_found(const struct lm_kernels *wrong, const char *text)
{
	const struct lm_kernels *sets[2] = { &lm_kernels_scalar, wrong };
	struct loom_error err = { 0 };
	uint64_t hash;

	assert(lm_selftest(sets, 2, NULL, NULL, &hash, &err) < 0 && err.code == LOOM_EMACHINE);
	if (strncmp(err.text, text, strlen(text)) == 0)
		return;
	fprintf(stderr, "\"%s\", not \"%s...\"\n", err.text, text);
	exit(1);
}

static void
check_wrong_sets(void)
{
	struct lm_functions fn = lm_functions_scalar;
	struct lm_kernels set = lm_kernels_scalar;

	set.name = "planted";
	set.fn = &fn;
	set.product = wrong_product;
	expect_found(&set,
	    "set planted: product 17x31x600 of normal and normal numbers, rows: found ");
	set.product = lm_kernels_scalar.product;
	fn.exp = wrong_map;
	expect_found(&set, "set planted: exp: found ");
	fn.exp = lm_functions_scalar.exp;
	fn.lane16 = wrong_lanes;
	expect_found(&set, "set planted: row of 64 spread numbers: found ");
}

/* Sums in binary64 without a proof. */
static void
plain_product(const struct lm_product *p, size_t m0, size_t m1, size_t n0, size_t n1, void *room,
    struct lm_counts *counts)
{
	size_t r, c, i;
	double sum;

	(void)room;
	(void)counts;
	for (r = m0; r < m1; r++)
		for (c = n0; c < n1; c++) {
			for (sum = 0, i = 0; i < p->w->k; i++)
				sum += (double)p->x[r * p->x_step + i] *
				    p->w->rows[c * p->w->step + i];
			sum *= p->scale != NULL ? p->scale[r * p->scale_step] : 1;
			sum += p->bias != NULL ? p->bias[c] : 0;
			sum += p->row_bias != NULL ? p->row_bias[r] : 0;
			if (p->wide != NULL)
				p->wide[r * p->y_step + c] = lm_round32(sum);
			else
				p->y[r * p->y_step + c] = (float)sum;
		}
}

/* A set alone is held against sums that are known: 2^100 + 1 - 2^100 is not 0. */
static void
check_wrong_alone(void)
{
	struct lm_kernels set = lm_kernels_scalar;
	const struct lm_kernels *sets[1] = { &set };
	struct loom_error err = { 0 };
	uint64_t hash;

	set.product = plain_product;
	assert(lm_selftest(sets, 1, NULL, NULL, &hash, &err) < 0);
	assert(strcmp(err.text,
		   "set scalar: sum 5 of 3 terms, rows: found 00000000, expected 3f800000") == 0);
}

int
main(void)
{
	check_passes();
	if (getenv("LOOM_EMULATED") == NULL) /* nothing more to learn there */
		check_wrong_sets();
	check_wrong_alone();
	return 0;
}
