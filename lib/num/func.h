/*
 * func: functions from binary32 to binary32.  The first eight are correctly rounded for every
 * input; a NaN gives a NaN of any sign and payload.
 */
#ifndef NUM_FUNC_H
#define NUM_FUNC_H

float lm_exp(float x);
float lm_tanh(float x);
float lm_sigmoid(float x);
float lm_silu(float x); /* x / (1 + e^-x) */
float lm_erf(float x);
float lm_gelu_erf(float x);  /* x (1 + erf(x/sqrt 2)) / 2 */
float lm_gelu_tanh(float x); /* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
float lm_rsqrt(float x);

float lm_relu(float x);			    /* NaN stays NaN, -0 becomes +0 */
float lm_relu2(float x);		    /* relu(x)^2 */
float lm_leaky_relu(float x, double slope); /* x < 0 ? x*slope : x, rounded twice */

#endif
