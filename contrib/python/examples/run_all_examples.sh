#!/bin/bash
# Runs all examples, each with its output in .planetbridging/examples/outputs/ of the current folder too.
#   run_all_examples.sh [--quick]
# PYTHON is the interpreter to use (python3).  Exit status 0 only if all end with 0.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
outputs=$PWD/.planetbridging/examples/outputs
mkdir -p "$outputs" || exit 1
failed=0

run() {
	local name=$1
	shift
	printf '\n== %s %s\n' "$name" "$*"
	"$python" "$here/$name.py" "$@" 2>&1 | tee "$outputs/$name.txt" || failed=$((failed + 1))
}

run 01_hello_stream
run 01_hello_stream mha
run 02_all_layer_types
run 03_cross_engine layernorm
run 04_multi_layer_models
if "$python" -c 'import sys; from planetbridging import witness; sys.exit(bool(witness.missing()))'; then
	run 05_welvet_ladder cnn1 mha
else
	printf '\n== 05_welvet_ladder: left out, there is no welvet\n'
fi
run 06_showcase_everything "$@"
printf '\n%d failed\n' "$failed"
[ "$failed" = 0 ]
