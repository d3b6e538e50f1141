/*
 * onnx_lengths: samples of several lengths in a batch around LSTM, GRU and RNN.  ONNX has zeros behind a
 * sample's end, and OpenVINO's CPU plugin goes on there whatever sequence_lens says.  So what is right is
 * picked out of the sequence: only the last memory of an lstm hangs on sequence_lens.
 */
#ifndef FORMAT_ONNX_LENGTHS_H
#define FORMAT_ONNX_LENGTHS_H

#include "onnx/onnx_to.h"

struct lm_onnx_lengths {
	struct lm_onnx_writing *w;
	const struct lm_node *n;
	struct loom_error *err;
	const char *given;   /* int64 [sample] */
	const char *some;    /* the same, at least 1 */
	const char *stepped; /* bool [sample, 1]: is it any step long? */
};

/* Of a sequence of that rank. */
int lm_onnx_lengths_begin(struct lm_onnx_lengths *, int rank) LOOM_MUST_CHECK;
/* The input sequence_lens. */
const char *lm_onnx_lengths_narrow(const struct lm_onnx_lengths *);
/* A sequence [time, sample, ...], each sample of which goes back from its own end. */
const char *lm_onnx_lengths_turned(const struct lm_onnx_lengths *, const char *what, const char *x);
/* A sequence [time, 1, sample, h] with a state [1, sample, h] ("": zeros) behind each sample's end. */
const char *lm_onnx_lengths_filled(const struct lm_onnx_lengths *, const char *y,
    const char *state);
/* A state [1, sample, h] behind the last step; of samples without steps another ("": zeros). */
const char *lm_onnx_lengths_state(const struct lm_onnx_lengths *, const char *what,
    const char *state, const char *otherwise);
/* Entry [1, sample, h] of a sequence [time, 1, sample, h] at each sample's last step. */
const char *lm_onnx_lengths_last(const struct lm_onnx_lengths *, const char *y);

#endif
