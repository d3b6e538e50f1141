/*
 * Contestants (turns.h) that are not ours:
 *
 *	vendor openblas M N K X W	sgemm, for one row sgemv
 *	vendor onednn M N K X W		dnnl_sgemm
 *	vendor read M N K X W		reads W and no more: what memory allows
 *
 * X and W are files of bare binary32, m rows of k and n rows of k values; the result is m rows of n.
 * A library gets W as it is or turned, whichever it multiplies faster.  Threads are by the libraries'
 * own environment variables.
 */
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "turns.h"

/* A line of the caches; the compiler makes of it what the machine has. */
typedef uint64_t wide __attribute__((vector_size(64)));

struct product {
	size_t m, n, k;
	float *x, *w, *y;
	int turned; /* w is k rows of n */
	wide sum;
};

static int
failed(const char *what)
{
	fprintf(stderr, "vendor: %s\n", what);
	return -1;
}

static void *
room(size_t count)
{
	void *p = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);

	if (p == NULL) {
		(void)failed("no memory");
		exit(4);
	}
	return p;
}

static float *
values(const char *path, size_t count)
{
	float *v = room(count);
	FILE *file = fopen(path, "rb");

	if (file == NULL || fread(v, sizeof(*v), count, file) != count) {
		fprintf(stderr, "vendor: %s: fewer than %zu values\n", path, count);
		exit(3);
	}
	(void)fclose(file);
	return v;
}

static int
openblas(void *context)
{
	struct product *p = context;
	int m = (int)p->m, n = (int)p->n, k = (int)p->k;

	if (m > 1)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, p->turned ? CblasNoTrans : CblasTrans, m,
		    n, k, 1, p->x, k, p->w, p->turned ? n : k, 0, p->y, n);
	else if (p->turned)
		cblas_sgemv(CblasRowMajor, CblasTrans, k, n, 1, p->w, n, p->x, 1, 0, p->y, 1);
	else
		cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, p->w, k, p->x, 1, 0, p->y, 1);
	return 0;
}

static int
onednn(void *context)
{
	struct product *p = context;
	dnnl_dim_t m = (dnnl_dim_t)p->m, n = (dnnl_dim_t)p->n, k = (dnnl_dim_t)p->k;

	if (dnnl_sgemm('N', p->turned ? 'N' : 'T', m, n, k, 1, p->x, k, p->w, p->turned ? n : k, 0,
		p->y, n) != dnnl_success)
		return failed("dnnl_sgemm failed");
	return 0;
}

/* Eight sums, so that no addition waits for another; they are kept, so that nothing is left out. */
static int
reading(void *context)
{
	struct product *p = context;
	const wide *w = (const wide *)p->w, *end = w + p->n * p->k * sizeof(float) / sizeof(*w);
	wide sum[8] = { 0 };
	size_t i;

	for (; end - w >= 8; w += 8)
		for (i = 0; i < 8; i++)
			sum[i] += w[i];
	for (i = 0; i < 8; i++)
		p->sum += sum[i];
	memcpy(p->y, &p->sum, sizeof(float));
	return 0;
}

static const void *
result(void *context, size_t *bytes)
{
	const struct product *p = context;

	*bytes = p->m * p->n * sizeof(float);
	return p->y;
}

/* The least of five, or of as many as a tenth of a second allows. */
static double
seconds_of(int (*call)(void *), struct product *p)
{
	struct timespec a, b;
	double least = 1e9, all = 0, spent;
	int i;

	for (i = 0; i < 5 && all < 0.1; i++, all += spent) {
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		if (call(p) < 0)
			exit(3);
		(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		spent = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
		least = spent < least ? spent : least;
	}
	return least;
}

static void
turn_if_faster(int (*call)(void *), struct product *p)
{
	double straight = seconds_of(call, p);
	float *as_it_is = p->w, *turned = room(p->n * p->k);
	size_t i, j;

	for (i = 0; i < p->n; i++)
		for (j = 0; j < p->k; j++)
			turned[j * p->n + i] = as_it_is[i * p->k + j];
	p->w = turned;
	p->turned = 1;
	if (seconds_of(call, p) >= straight) {
		p->w = as_it_is;
		p->turned = 0;
	}
	free(p->turned ? as_it_is : turned);
}

static const char *
isa(void)
{
	switch (dnnl_get_effective_cpu_isa()) {
	case dnnl_cpu_isa_sse41:
		return "sse4.1";
	case dnnl_cpu_isa_avx:
		return "avx";
	case dnnl_cpu_isa_avx2:
		return "avx2";
	case dnnl_cpu_isa_avx2_vnni:
		return "avx2_vnni";
	case dnnl_cpu_isa_avx512_core:
		return "avx512_core";
	case dnnl_cpu_isa_avx512_core_vnni:
		return "avx512_core_vnni";
	case dnnl_cpu_isa_avx512_core_bf16:
		return "avx512_core_bf16";
	case dnnl_cpu_isa_avx512_core_amx:
		return "avx512_core_amx";
	default:
		return "other kernels";
	}
}

static void
describe(char *about, size_t size, const char *who, const struct product *p)
{
	const dnnl_version_t *v = dnnl_version();
	const char *how = p->turned ? "weights turned" : "weights as they are";

	if (strcmp(who, "openblas") == 0)
		(void)snprintf(about, size, "%s %s; %s", openblas_get_config(),
		    openblas_get_corename(), how);
	else if (strcmp(who, "onednn") == 0)
		(void)snprintf(about, size, "oneDNN %d.%d.%d %s; %s", v->major, v->minor, v->patch,
		    isa(), how);
	else
		(void)snprintf(about, size, "a loop that reads");
}

int
main(int argc, char **argv)
{
	struct product p = { 0 };
	struct contestant c = { .context = &p, .result = result };
	char about[512];

	if (argc != 7) {
		fprintf(stderr, "usage: vendor openblas|onednn|read M N K X W\n");
		return 2;
	}
	p.m = strtoul(argv[2], NULL, 10);
	p.n = strtoul(argv[3], NULL, 10);
	p.k = strtoul(argv[4], NULL, 10);
	p.x = values(argv[5], p.m * p.k);
	p.w = values(argv[6], p.n * p.k);
	p.y = room(p.m * p.n);
	c.call = strcmp(argv[1], "openblas") == 0 ? openblas
	    : strcmp(argv[1], "onednn") == 0	  ? onednn
						  : reading;
	if (c.call != reading)
		turn_if_faster(c.call, &p);
	describe(about, sizeof(about), argv[1], &p);
	return turns_obey(&c, about);
}
