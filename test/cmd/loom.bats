load helper
load edits

E=$FIXTURES/entity

# What a case of fixtures/entity computes: each sample alone where Loom's own batches are not that, and what
# the layer is where Loom's own is nothing.
expected() {
	for which in each mended; do
		[ ! -f "$1/output-$which.npy" ] || { echo "$1/output-$which.npy" && return; }
	done
	echo "$1/output.npy"
}

@test "loom: every file that real Loom ran gives its outputs within 1e-6" {
	count=0
	for file in "$E"/*/input.npy; do
		case=${file%/*}
		# Two whose container Loom itself answers with zeros.
		case $case in */parallel-filter-float32 | */text-escapes-float32) continue ;; esac
		# NaN and infinities are values of these types, and of their weights.
		nan=
		case $case in *-fp4 | *-fp8e5m2) nan=--equal-nan ;; esac
		loom-infer -m "$case/model.entity" "$file" >y.npy
		loom-compare --atol 1e-6 --allow-vacuous $nan y.npy "$(expected "$case")" >out || { echo "$case"; cat out; return 1; }
		count=$((count + 1))
	done
	[ "$count" = 255 ]
}

@test "loom: transposed convolutions of integers, which Loom answers with zeros" {
	for case in 1d-int8 2d-int16 3d-int8; do
		dir=$E/convtransposed$case
		"$PYTHON" -c 'import sys, numpy as np; sys.exit(bool(np.load(sys.argv[1]).any()))' "$dir/output.npy"
		run -0 entity-dump --check "$dir/model.entity"
		[ "$output" = "format entity, plain Loom
plain Loom: node layers.0 (layers.0): Loom makes zeros where its weights are ${case#*-}
sound" ]
	done
	for case in 1d-float32 1d-float64 2d-float32 3d-float32 3d-float64; do
		run -0 entity-dump --check "$E/convtransposed$case/model.entity"
		[ "$output" = "format entity, plain Loom
sound" ]
	done
}

@test "loom: a transposed convolution makes as many results as its spec says" {
	case=$E/convtransposed1d-float32
	for out in 12 7; do
		edit "$case/model.entity" "s/\"output_width\":9/\"output_width\":$out/" >other.entity
		loom-infer -m other.entity "$case/input.npy" >y.npy
		"$PYTHON" - "$case/output.npy" $out <<-'PY'
			import sys
			import numpy as np
			want, out = np.load(sys.argv[1]), int(sys.argv[2])
			found = np.load("y.npy")
			assert found.shape == (3, 3, out)
			assert np.abs(found[..., :9] - want[..., :out]).max() < 1e-6
			assert out == 7 or not found[..., 10:].any() and found[..., 9].any()
		PY
	done
}

@test "loom: sequences are as long as their layer says, whatever stands before them" {
	for kind in rnn lstm; do
		edit "$E/$kind-float32/model.entity" 's/"seq_length":6/"seq_length":1/' >one.entity
		# The first step of a sequence is what a sequence of one step gives.
		"$PYTHON" - "$E/$kind-float32" <<-'PY'
			import sys
			import numpy as np
			x, y = (np.load(f"{sys.argv[1]}/{name}.npy")[:, :1] for name in ("input", "output"))
			np.save("x.npy", x)
			np.save("want.npy", y)
			np.save("rows.npy", x[:2, 0])
		PY
		loom-infer -m one.entity x.npy >y.npy
		loom-compare --atol 1e-6 y.npy want.npy
		run -3 --separate-stderr loom-infer -m one.entity rows.npy
		[ "$stderr" = "loom-infer: rows.npy: input x of layer layers.0 ($kind): expected float32 [..., 1, 5], found float32 [2, 5]" ]
		[ "$output" = "" ]
	done
}

@test "loom: sequences that an embedding makes are as long as the layer behind it says" {
	"$PYTHON" - >words.entity <<-'PY'
		import json, struct, sys
		spec = {"z": 0, "y": 0, "x": 0, "activation": "Linear", "dtype": "float32"}
		layers = [spec | {"l": 0, "type": "Embedding", "vocab_size": 4, "embedding_dim": 2},
		          spec | {"l": 1, "type": "RNN", "input_height": 2, "output_height": 1, "seq_length": 3}]
		blobs = [{"path": "layers.0", "offset": 0, "length": 32, "dtype": "float32", "scale": 1, "native": True},
		         {"path": "layers.1", "offset": 32, "length": 16, "dtype": "float32", "scale": 1, "native": True}]
		head = json.dumps({"format_version": 1, "blobs": blobs, "network": {
		    "id": "network", "depth": 1, "rows": 1, "cols": 1, "layers_per_cell": 2, "layers": layers}}).encode()
		sys.stdout.buffer.write(b"ENTITY\0\0\1\0\0\0" + struct.pack("<Q", len(head)) + head + bytes(48))
	PY
	run -0 entity-dump words.entity
	[ "${lines[1]}" = "input x float32 [..., 3]" ]
	run -0 entity-dump --check words.entity
	[ "$output" = "format entity, plain Loom
sound" ]
}
