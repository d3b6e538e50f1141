/* trial_layers: every operation of the vocabulary as cases that kernel sets are compared by. */
#ifndef LAYER_TRIAL_LAYERS_H
#define LAYER_TRIAL_LAYERS_H

#include "layer/layer.h"
#include "num/trial.h"

extern const struct lm_trials lm_trial_layers;

#endif
