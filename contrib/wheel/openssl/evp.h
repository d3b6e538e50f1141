/* openssl/evp.h: what lib/base/hash.c uses of libcrypto, for programs that have to bring all they need. */
#ifndef LOOM_WHEEL_EVP_H
#define LOOM_WHEEL_EVP_H

#include <stddef.h>

#define EVP_MAX_MD_SIZE 64

typedef struct evp_md EVP_MD;
typedef struct evp_md_ctx EVP_MD_CTX;

const EVP_MD *EVP_sha256(void);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *context);
int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *type, void *engine);
int EVP_DigestUpdate(EVP_MD_CTX *context, const void *p, size_t n);
int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *digest, unsigned *n);

#endif
