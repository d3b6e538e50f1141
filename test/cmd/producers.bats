# ONNX files as torch, Keras and scikit-learn are exported (fixtures/producers, see its README.md): what is read of
# them, what is not, and that ours come back as they were.
load helper

setup_file() { export MADE="$FIXTURES/producers"; }

# imported NAME: NAME.entity here, cut where OUTPUTS says so.
imported() {
	local cut
	cut=$(awk -v name="$1" '$1 == name { print "--outputs=" $2 }' "$MADE/OUTPUTS")
	loom-import ${cut:+"$cut"} -o "$1.entity" "$MADE/$1.onnx"
}

@test "producers: each file gives ONNX Runtime's numbers within 1e-5" {
	local file name n=0
	for file in "$MADE"/*.onnx; do
		name=$(basename "$file" .onnx)
		imported "$name"
		loom-infer -m "$name.entity" -f safetensors -o y "$MADE/$name.in"
		loom-compare --atol 1e-5 y "$MADE/$name.out" >report || { cat report && return 1; }
		n=$((n + 1))
	done
	[ "$n" -ge 10 ]
}

@test "producers: a file is the network that its .entity is, whatever the batch" {
	local file name
	for file in "$MADE"/t*.onnx; do
		name=$(basename "$file" .onnx)
		imported "$name"
		"$PYTHON" - "$MADE/$name.in" <<-'END'
			import sys
			import numpy
			from safetensors.numpy import load_file, save_file
			save_file({k: numpy.concatenate([v, v, v]) for k, v in load_file(sys.argv[1]).items()}, "x")
		END
		loom-infer -m "$name.entity" -f safetensors -o y x
		loom-infer -m "$file" -f safetensors -o z x
		same y z
		loom-infer -m "$file" -f safetensors -o once "$MADE/$name.in"
		"$PYTHON" - <<-'END'
			import numpy
			from safetensors.numpy import load_file
			once, thrice = load_file("once"), load_file("z")
			for name, value in once.items():
			    numpy.testing.assert_array_equal(numpy.concatenate([value] * 3), thrice[name])
		END
	done
}

@test "producers: exported and imported again it is the same .entity, byte for byte" {
	local file name
	for file in "$MADE"/*.onnx; do
		name=$(basename "$file" .onnx)
		imported "$name"
		loom-export -f onnx -o "$name.onnx" "$name.entity"
		loom-import -o again.entity "$name.onnx"
		same "$name.entity" again.entity || { echo "$name" && return 1; }
		rm again.entity
	done
}

@test "producers: a graph ends where --outputs says, and what hangs on the rest is not read" {
	run -3 --separate-stderr loom-import -o whole.entity "$MADE/skl2onnx.scaled.onnx"
	[ "$stderr" = "loom-import: $MADE/skl2onnx.scaled.onnx: node LinearClassifier (ai.onnx.ml.LinearClassifier, opset 1): its labels are read, which are no numbers of a network; what can be read: --outputs probabilities" ]
	[ ! -e whole.entity ]
	loom-import --outputs variable -o cut.entity "$MADE/skl2onnx.scaled.onnx"
	entity-dump --json cut.entity | grep -o '"op":"[a-z]*"' >ops
	printf '"op":"%s"\n' constant sub constant mul | same - ops
	run -2 --separate-stderr loom-import --outputs nothing -o cut.entity "$MADE/skl2onnx.scaled.onnx"
	[ "$stderr" = "loom-import: $MADE/skl2onnx.scaled.onnx: output nothing: no node makes it" ]
}

@test "producers: what is no network of ours is refused by node, operator and opset" {
	local name message status n=0
	cd "$MADE/refused"
	while IFS=$'\t' read -r name message; do
		status=0
		loom-import -o "$BATS_TEST_TMPDIR/made" "$name" 2>"$BATS_TEST_TMPDIR/err" || status=$?
		[ "$status" = 3 ] && [ ! -e "$BATS_TEST_TMPDIR/made" ]
		printf 'loom-import: %s: %s\n' "$name" "$message" | diff - "$BATS_TEST_TMPDIR/err"
		n=$((n + 1))
	done <MESSAGES
	[ "$n" = "$(ls ./*.onnx | wc -l)" ]
}

@test "producers: slots that the file fills from one initializer are tied" {
	imported torch.dynamo.encoder-first
	grep -ao '"slot":"[a-z]*","same":"[^"]*"' torch.dynamo.encoder-first.entity >ties
	printf '"slot":"%s","same":"node_layer_norm.%s"\n' gamma gamma beta beta | same - ties
}
