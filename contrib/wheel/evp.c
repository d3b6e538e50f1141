/* evp: SHA-256 (FIPS 180-4) under the names by which libcrypto offers it. */
#include <openssl/evp.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, WORDS = 8, ROUNDS = 64, DIGEST = 32 };

struct evp_md {
	int unused;
};

struct evp_md_ctx {
	uint32_t state[WORDS];
	uint64_t total; /* bytes so far */
	unsigned char block[BLOCK];
};

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t constant[ROUNDS] = {
	0x428a2f98,
	0x71374491,
	0xb5c0fbcf,
	0xe9b5dba5,
	0x3956c25b,
	0x59f111f1,
	0x923f82a4,
	0xab1c5ed5,
	0xd807aa98,
	0x12835b01,
	0x243185be,
	0x550c7dc3,
	0x72be5d74,
	0x80deb1fe,
	0x9bdc06a7,
	0xc19bf174,
	0xe49b69c1,
	0xefbe4786,
	0x0fc19dc6,
	0x240ca1cc,
	0x2de92c6f,
	0x4a7484aa,
	0x5cb0a9dc,
	0x76f988da,
	0x983e5152,
	0xa831c66d,
	0xb00327c8,
	0xbf597fc7,
	0xc6e00bf3,
	0xd5a79147,
	0x06ca6351,
	0x14292967,
	0x27b70a85,
	0x2e1b2138,
	0x4d2c6dfc,
	0x53380d13,
	0x650a7354,
	0x766a0abb,
	0x81c2c92e,
	0x92722c85,
	0xa2bfe8a1,
	0xa81a664b,
	0xc24b8b70,
	0xc76c51a3,
	0xd192e819,
	0xd6990624,
	0xf40e3585,
	0x106aa070,
	0x19a4c116,
	0x1e376c08,
	0x2748774c,
	0x34b0bcb5,
	0x391c0cb3,
	0x4ed8aa4a,
	0x5b9cca4f,
	0x682e6ff3,
	0x748f82ee,
	0x78a5636f,
	0x84c87814,
	0x8cc70208,
	0x90befffa,
	0xa4506ceb,
	0xbef9a3f7,
	0xc67178f2,
};

/* The same of the square roots of the first 8 primes. */
static const uint32_t start[WORDS] = {
	0x6a09e667,
	0xbb67ae85,
	0x3c6ef372,
	0xa54ff53a,
	0x510e527f,
	0x9b05688c,
	0x1f83d9ab,
	0x5be0cd19,
};

static uint32_t
turn(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static uint32_t
word_at(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
schedule(uint32_t w[ROUNDS], const unsigned char *p)
{
	int i;

	for (i = 0; i < 16; i++)
		w[i] = word_at(p + 4 * i);
	for (; i < ROUNDS; i++)
		w[i] = (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
		    (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
}

/* One round; the eight words move by one place each time, which is done by naming them so. */
static inline void
turn_once(uint32_t s[WORDS], unsigned i, uint32_t given)
{
	uint32_t a = s[(0 - i) & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7];
	uint32_t e = s[(4 - i) & 7], f = s[(5 - i) & 7], g = s[(6 - i) & 7];
	uint32_t first = s[(7 - i) & 7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
	    ((e & f) ^ (~e & g)) + given;

	s[(3 - i) & 7] += first;
	s[(7 - i) & 7] = first + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +
	    ((a & b) ^ (a & c) ^ (b & c));
}

static void
digest_block(uint32_t state[WORDS], const unsigned char *p)
{
	uint32_t w[ROUNDS], s[WORDS];
	unsigned i, k;

	schedule(w, p);
	memcpy(s, state, sizeof(s));
	for (i = 0; i < ROUNDS; i += 8)
#pragma GCC unroll 8
		for (k = 0; k < 8; k++)
			turn_once(s, k, constant[i + k] + w[i + k]);
	for (i = 0; i < WORDS; i++)
		state[i] += s[i];
}

const EVP_MD *
EVP_sha256(void)
{
	static const EVP_MD sha256;

	return &sha256;
}

EVP_MD_CTX *
EVP_MD_CTX_new(void)
{
	return calloc(1, sizeof(EVP_MD_CTX));
}

void
EVP_MD_CTX_free(EVP_MD_CTX *context)
{
	free(context);
}

int
EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *type, void *engine)
{
	(void)type;
	(void)engine;
	memcpy(context->state, start, sizeof(start));
	context->total = 0;
	return 1;
}

int
EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t held = context->total % BLOCK, part;

	context->total += n;
	if (held > 0) {
		part = n < BLOCK - held ? n : BLOCK - held;
		memcpy(context->block + held, p, part);
		if (held + part < BLOCK)
			return 1;
		digest_block(context->state, context->block);
		p += part;
		n -= part;
	}
	for (; n >= BLOCK; p += BLOCK, n -= BLOCK)
		digest_block(context->state, p);
	if (n > 0)
		memcpy(context->block, p, n);
	return 1;
}

int
EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *digest, unsigned *n)
{
	static const unsigned char padding[BLOCK] = { 0x80 };
	uint64_t bits = 8 * context->total;
	size_t held = context->total % BLOCK;
	unsigned char length[8];
	int i;

	for (i = 0; i < 8; i++)
		length[i] = (unsigned char)(bits >> (56 - 8 * i));
	(void)EVP_DigestUpdate(context, padding, held < 56 ? 56 - held : 120 - held);
	(void)EVP_DigestUpdate(context, length, sizeof(length));
	for (i = 0; i < DIGEST; i++)
		digest[i] = (unsigned char)(context->state[i / 4] >> (24 - 8 * (i % 4)));
	*n = DIGEST;
	return 1;
}
