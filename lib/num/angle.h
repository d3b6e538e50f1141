/*
 * angle: exp, log, sine and cosine in binary64, for rotary position embeddings and nothing else.
 * They are not correctly rounded: the order of operations is what defines their bits.
 */
#ifndef NUM_ANGLE_H
#define NUM_ANGLE_H

double lm_exp64(double x);				  /* |x| <= 700 */
double lm_log64(double x);				  /* x > 0 and normal */
void lm_sincos64(double a, double *sine, double *cosine); /* |a| < 2^24 */

#endif
