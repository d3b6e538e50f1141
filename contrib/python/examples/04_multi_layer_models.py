#!/usr/bin/env python3
"""The networks of several layers: four dense layers, two convolutions each, and a mixer of sixteen.

    python 04_multi_layer_models.py

Exit status 0 only if all agree and have as many layers as they should.
"""

import sys

from _helpers import OK, print_result, require_programs

require_programs()

from planetbridging import engines  # noqa: E402

MODELS = {"dense": ("mlp_32_64_32_16_8_relu", 4), "cnn1": ("conv1_32_8_4_2layer", 2),
          "cnn2": ("conv2_8_4_2layer", 2), "cnn3": ("conv3_4_4_2layer", 2),
          "mixer": ("mixer_all_v2", 16)}

good = 0
for bedrock, (model, layers) in MODELS.items():
    made = engines.stream(bedrock, "pytorch", model_id=model)
    print_result(made, f"{bedrock}, {layers} layers")
    good += made.native_vs_loom in OK and made.layer_count == layers
print(f"\n{good} of {len(MODELS)} agree")
sys.exit(0 if good == len(MODELS) else 1)
