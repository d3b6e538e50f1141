/*
 * func: functions from binary32 to binary32.  The first fifteen, and pow, are correctly rounded for
 * every input; a NaN gives a NaN of any sign and payload.
 */
#ifndef NUM_FUNC_H
#define NUM_FUNC_H

float lm_exp(float x);
float lm_tanh(float x);
float lm_sigmoid(float x);
float lm_silu(float x); /* x / (1 + e^-x) */
float lm_mish(float x); /* x tanh(log(1 + e^x)) */
float lm_erf(float x);
float lm_gelu_erf(float x);  /* x (1 + erf(x/sqrt 2)) / 2 */
float lm_gelu_tanh(float x); /* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
float lm_rsqrt(float x);
float lm_log(float x);
float lm_log1p(float x); /* log(1 + x) */
float lm_expm1(float x); /* e^x - 1 */
float lm_sin(float x);
float lm_cos(float x);
float lm_softplus(float x); /* log(1 + e^x) */

float lm_pow(float x, float y); /* special values as IEEE 754's pow */

float lm_relu(float x);			    /* NaN stays NaN, -0 becomes +0 */
float lm_relu2(float x);		    /* relu(x)^2 */
float lm_relu6(float x);		    /* minimum(relu(x), 6) */
float lm_leaky_relu(float x, double slope); /* x < 0 ? x*slope : x, rounded twice */

/* In binary64, rounded at the end; expm1 is the function above. */
float lm_hard_sigmoid(float x);	     /* clip(x + 3, 0, 6) / 6 */
float lm_hard_swish(float x);	     /* x clip(x + 3, 0, 6) / 6 */
float lm_elu(float x, double alpha); /* x > 0 ? x : alpha expm1(x) */
float lm_selu(float x);		     /* x > 0 ? s x : (s a) expm1(x), s = 1.05..., a = 1.67... */

#endif
