/* hash: SHA-256, by libcrypto. */
#include "base/hash.h"

#include <openssl/evp.h>

#include "base/mem.h"

struct lm_hash {
	EVP_MD_CTX *context;
};

static int
begin(struct lm_hash *h, struct loom_error *err)
{
	if (EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1)
		return lm_fail(err, LOOM_EMACHINE, "libcrypto has no SHA-256");
	return 0;
}

int
lm_hash_new(struct lm_hash **out, struct loom_error *err)
{
	struct lm_hash *h = lm_alloc(1, sizeof(*h), err);

	*out = NULL;
	if (h == NULL)
		return -1;
	h->context = EVP_MD_CTX_new();
	if (h->context == NULL)
		(void)lm_fail(err, LOOM_ENOMEM, "no memory for a digest");
	if (h->context == NULL || begin(h, err) < 0) {
		lm_hash_free(h);
		return -1;
	}
	*out = h;
	return 0;
}

void
lm_hash_free(struct lm_hash *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->context);
	lm_free(h);
}

int
lm_hash_add(struct lm_hash *h, const void *p, size_t n, struct loom_error *err)
{
	if (n > 0 && EVP_DigestUpdate(h->context, p, n) != 1)
		return lm_fail(err, LOOM_EMACHINE, "libcrypto cannot digest");
	return 0;
}

int
lm_hash_end(struct lm_hash *h, char hex[LM_HEX], struct loom_error *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned i, n;

	if (EVP_DigestFinal_ex(h->context, digest, &n) != 1)
		return lm_fail(err, LOOM_EMACHINE, "libcrypto cannot digest");
	for (i = 0; i < 32; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
	return begin(h, err);
}

int
lm_hash_of(const void *p, size_t n, char hex[LM_HEX], struct loom_error *err)
{
	struct lm_hash *h;
	int r;

	if (lm_hash_new(&h, err) < 0)
		return -1;
	r = lm_hash_add(h, p, n, err);
	if (r == 0)
		r = lm_hash_end(h, hex, err);
	lm_hash_free(h);
	return r;
}
