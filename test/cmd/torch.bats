load helper

# y = [1, 2] x + 0.5, from an array k of the two weights and an array b of the bias.
setup() {
	mkdir "$BATS_TEST_TMPDIR/work" && cd "$BATS_TEST_TMPDIR/work" || return
	HEAD='{"loom_stream":2,"planet":"test","model":"m","mode":"eval","nodes":1,"bytes":12,"inputs":[{"name":"x","dtype":"float32","shape":["batch",2]}],"outputs":["y"]}'
	NODE='{"name":"y","op":"dense","in":["x"],"params":{"in_features":2,"out_features":1,"bias":true},"tensors":[{"slot":"weight","dtype":"float32","shape":[2,1],"axes":["i","o"],"source":"k","layout":{"shape":[2,1],"first":0,"strides":[1,0]}},{"slot":"bias","dtype":"float32","shape":[1],"axes":["o"],"source":"b","layout":{"shape":[1],"first":0,"strides":[1]}}]}'
	END='{"end":true,"bytes":12}'
}

# The stream after a sed script for its lines.
stream() {
	printf '%s\n' "$HEAD" "$NODE" | sed "$1" &&
		printf '\0\0\200\77\0\0\0\100\0\0\0\77' && printf '%s\n' "$END"
}

# The stream, edited so, is refused with that message.
refused() {
	stream "$1" >in
	run -3 --separate-stderr loom-stream -o no.entity <in
	[ "$stderr" = "loom-stream: <stdin>: line 2: node y: tensor weight: $2" ] && [ ! -e no.entity ] && return
	printf '%s\nexpected: %s\nfound:    %s\n' "$1" "$2" "$stderr"
	return 1
}

# Its network has no state dict, with that message.
no_dict() {
	stream "$1" | loom-stream >no.entity
	run -3 --separate-stderr loom-export -f torch -o no.safetensors no.entity
	[ "$stderr" = "loom-export: no.entity: $2" ] && [ ! -e no.safetensors ] && return
	printf '%s\nexpected: %s\nfound:    %s\n' "$1" "$2" "$stderr"
	return 1
}

# Arrays for it as a state dict, which are refused with that message.
no_weights() {
	"$PYTHON" - "$1" <<-'PY'
		import sys
		import numpy as np
		from safetensors.numpy import save_file
		two = {"k": np.float32([[3], [4]]), "b": np.float32([5])}
		save_file(eval(sys.argv[1], {"np": np, "two": two}), "no.safetensors")
	PY
	run -3 --separate-stderr loom-import -t "$2" -o no.entity no.safetensors
	[ "$stderr" = "loom-import: no.safetensors: $3" ] && [ ! -e no.entity ] && return
	printf '%s\nexpected: %s\nfound:    %s\n' "$1" "$3" "$stderr"
	return 1
}

# ---- streams and checkpoints ----

@test "torch: a stream's layouts are in the checkpoint, canonical" {
	stream 's/"k","layout":[^}]*}/"k","layout":{"shape":[2,2],"first":3,"strides":[-2,0]},"aliases":["a","b"]/' >in
	loom-stream <in >y.entity
	grep -qaF '"tensors":{"y.weight":{"source":"k","layout":{"shape":[2,2],"first":3,"strides":[0,-2]},"aliases":["a","b"]},"y.bias":{"source":"b","layout":{"shape":[1],"first":0,"strides":[1]}}}' y.entity
	[ "$(entity-dump --header y.entity | grep weight)" = 'weight y.weight float32 [1, 2] source=k
weight y.bias float32 [1] source=b' ]
	entity-dump --json --header y.entity | tr -d ' \n' >dumped
	grep -qF '"layout":{"shape":[2,2],"first":3,"strides":[0,-2]},"aliases":["a","b"]' dumped
	loom-import y.entity | same y.entity -
}

@test "torch: a layout that is none is refused by node and tensor" {
	refused 's/"source":"k",//' '"layout" says where in an array it lies, but no "source" says in which'
	refused 's/"source":"k","layout":[^}]*}/"aliases":["a"]/' '"aliases" are more names of an array, but no "source" is its first'
	refused 's/"k","layout":{[^}]*}/"k","aliases":[1]/' '"aliases" hold an integer, not only strings'
	refused 's/"k","layout":{[^}]*}/"k","layout":[1]/' '"layout" is an array, not an object'
	refused 's/"first":0,//' '"layout": "first" is missing'
	refused 's/"first":0/"first":-1/' '"layout": "first" is -1, not 0..9223372036854775807'
	refused 's/"first":0/"first":0,"x":1/' '"layout": unknown key "x" (known: shape, first, strides)'
	refused 's/"strides":\[1,0\]/"strides":[1]/' '"layout": it has 1 strides, the tensor has 2 axes'
	refused 's/"strides":\[1,0\]/"strides":[1,1.5]/' '"layout": its "strides" hold a real number, not only integers'
	refused 's/"layout":{"shape":\[2,1\]/"layout":{"shape":[2,"n"]/' '"layout": its "shape" holds a string that is no extent'
	refused 's/"strides":\[1,0\]/"strides":[0,1]/' '"layout" has stride 0 on axis 1, which has 2 entries'
	refused 's/"layout":{"shape":\[2,1\]/"layout":{"shape":[1,1]/' '"layout" leaves its array of [1, 1]'
	refused 's/"first":0/"first":1/' '"layout" leaves its array of [2, 1]'
	refused 's/"strides":\[1,0\]/"strides":[-1,0]/' '"layout" leaves its array of [2, 1]'
	refused 's/"strides":\[1,0\]/"strides":[2,0]/' '"layout" leaves its array of [2, 1]'
	refused 's/"strides":\[1,0\]/"strides":[-9223372036854775808,0]/' '"layout" leaves its array of [2, 1]'
	refused 's/"first":0/"first":9223372036854775807/' '"layout" leaves its array of [2, 1]'
	refused 's/"layout":{"shape":\[2,1\]/"layout":{"shape":[4294967296,4294967296]/' '"layout" has an array that is too large'
	refused 's/"layout":{"shape":\[2,1\]/"layout":{"shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]/' '"layout": its "shape" has 17 axes, more than 16'
}

@test "torch: a checkpoint's info is no network: a layout that is none is a finding there" {
	load edits
	stream '' | loom-stream >y.entity
	edit y.entity 's/"first":0,"strides":\[0,1\]/"first":1,"strides":[0,1]/' >edited.entity
	run -1 --separate-stderr entity-dump --check edited.entity
	grep -qxF 'finding: info: y.weight: "layout" leaves its array of [2, 1]' <<<"$output"
	"$PYTHON" "$TOP/test/cmd/net.py" npy '[[1, 1]]' >x.npy
	loom-infer -m edited.entity x.npy >y.npy
	[ "$(tail -c 4 y.npy | od -An -tx4)" = " 40600000" ]
	run -3 --separate-stderr loom-export -f torch edited.entity
	[ "$stderr" = 'loom-export: edited.entity: node y: tensor weight has no place in a state dict: nobody said where in k it lies; write -f safetensors' ]
}

# ---- out ----

@test "torch: every array leaves as it was, under its names, and the network comes back with it" {
	"$PYTHON" "$TOP/test/cmd/state_dicts.py" net.stream net.npz
	loom-stream <net.stream >net.entity
	run -0 --separate-stderr loom-export -f torch -o net.safetensors net.entity
	[ "$stderr" = 'loom-export: net.safetensors: reads back identically here' ]
	"$PYTHON" - <<-'PY'
		import numpy as np
		from safetensors import safe_open
		from safetensors.numpy import save_file
		expected = dict(np.load("net.npz"))
		found = safe_open("net.safetensors", "np")
		assert found.metadata() == {"format": "pt"}
		assert sorted(found.keys()) == sorted(expected), found.keys()
		for name, array in expected.items():
		    one = found.get_tensor(name)
		    assert one.dtype == array.dtype and one.shape == array.shape and one.tobytes() == array.tobytes(), name
		save_file(expected, "theirs.safetensors", metadata={"format": "pt"})
	PY
	same net.safetensors theirs.safetensors
	loom-export -f torch <net.entity 2>said | same net.safetensors -
	[ "$(cat said)" = 'loom-export: standard output: reads back identically here' ]
	# Once more by way of what was read.
	loom-import -t net.entity -o back.entity net.safetensors
	entity-dump net.entity >a
	entity-dump back.entity | same a -
	loom-export -f torch back.entity | same net.safetensors -
}

@test "torch: other formats carry where arrays lie to the checkpoint and back" {
	"$PYTHON" "$TOP/test/cmd/state_dicts.py" net.stream net.npz
	loom-stream <net.stream >net.entity
	for format in safetensors npz onnx gguf; do
		loom-export -f "$format" -o "net.$format" net.entity
		loom-import "net.$format" | same net.entity -
	done
}

@test "torch: an archive of NumPy is a state dict, too, compressed or not, in either order" {
	"$PYTHON" "$TOP/test/cmd/state_dicts.py" net.stream net.npz
	loom-stream <net.stream >net.entity
	loom-import -t net.entity net.npz >plain.entity
	"$PYTHON" - <<-'PY'
		import numpy as np
		arrays = dict(np.load("net.npz"))
		np.savez_compressed("deflated.npz", **arrays)
		np.savez("fortran.npz", **{name: np.array(a, order="F") for name, a in arrays.items()})
	PY
	entity-dump net.entity >a
	entity-dump plain.entity | same a -
	for other in deflated fortran; do
		loom-import -t net.entity "$other.npz" | same plain.entity -
	done
}

@test "torch: --dtype rounds arrays, a line for each" {
	stream '' | sed 's/\x00\x00\x00\x40/\x01\x00\x00\x40/' | loom-stream >y.entity
	run -0 --separate-stderr loom-export -f torch -d f16 -o half.safetensors y.entity
	[ "$stderr" = 'loom-export: tensor b: float32 to float16: 0 of 1 values change, by at most 0, 0 ULP; overflow 0, underflow 0, subnormal 0
loom-export: tensor k: float32 to float16: 1 of 2 values change, by at most 2.38e-07, 0.000122 ULP; overflow 0, underflow 0, subnormal 0
loom-export: half.safetensors: reads back identically here' ]
	[ "$(entity-dump half.safetensors | sed 's/ mean=.*//')" = 'format safetensors
tensor b float16 [1] min=0.5 max=0.5
tensor k float16 [2, 1] min=1 max=2' ]
	run -2 --separate-stderr loom-export -f torch -d q8_0 -o no.safetensors y.entity
	[ "$stderr" = 'loom-export: y.entity: dtype q8_0 is not one of this format: f16 or bf16' ]
	[ ! -e no.safetensors ]
}

@test "torch: what is no whole state dict is refused" {
	no_dict 's/,"source":"k","layout":{[^}]*}//' 'node y: tensor weight has no place in a state dict: it was computed, or nobody said from where it came; write -f safetensors'
	no_dict 's/,"layout":[^}]*}},{/},{/' 'node y: tensor weight has no place in a state dict: nobody said where in k it lies; write -f safetensors'
	no_dict 's/\(k","layout":{"shape":\)\[2,1\],"first":0,"strides":\[1,0\]/\1[2,2],"first":1,"strides":[2,0]/' \
		'array k: the network has 2 of its 4 elements (not element 0), a state dict all of them; write -f safetensors'
	no_dict 's/"b","layout":{"shape":\[1\]/"k","layout":{"shape":[1]/' \
		'array k: it is float32 [2, 1] for tensor weight of node y, and float32 [1] for tensor bias of node y'
	no_dict 's/"b","layout":{"shape":\[1\]/"k","layout":{"shape":[2,1]/' \
		'array k: tensor bias of node y says another value for element 0 than the tensor before it'
	no_dict 's/"source":"k"/"source":"k","aliases":["b"]/' 'array b: by its aliases it is both b and k'
	no_dict 's/"source":"k"/"source":"__metadata__"/' 'a tensor called __metadata__, which .safetensors cannot hold'
	no_dict "s/\"source\":\"k\"/\"source\":\"$(printf 'n%.0s' {1..1025})\"/" \
		"array ...$(printf 'n%.0s' {1..80}): a name of more than 1024 bytes"
}

@test "torch: parts that lie on one another may say the same" {
	stream 's/"b","layout":{"shape":\[1\]/"k","layout":{"shape":[2,1]/' |
		sed 's/\x00\x00\x00\x3f/\x00\x00\x80\x3f/' | loom-stream >y.entity
	loom-export -f torch -o y.safetensors y.entity
	[ "$(entity-dump y.safetensors | sed 's/ mean=.*//')" = 'format safetensors
tensor k float32 [2, 1] min=1 max=2' ]
}

# ---- in ----

@test "torch: a state dict for a template is refused by its arrays" {
	stream 's/"source":"k"/"source":"k","aliases":["a"]/' | loom-stream >y.entity
	no_weights '{"k": two["k"]}' y.entity 'no tensor is called b or y.bias'
	no_weights 'two | {"k": two["k"].T.copy()}' y.entity 'tensor k: expected float32 [2, 1], found float32 [1, 2]'
	no_weights 'two | {"k": two["k"].astype("i8")}' y.entity 'tensor k is int64; the weight of node y takes real numbers'
	no_weights 'two | {"a": two["k"] + 1}' y.entity 'tensors k and a are one array in the network, and differ here'
	no_weights 'two | {"a": two["k"].T.copy()}' y.entity 'tensors k and a are one array in the network, and differ here'
	no_weights 'two | {"c": two["b"]}' y.entity 'tensor c belongs to no node'
}

@test "torch: a state dict may have an array under any of its names" {
	stream 's/"source":"k"/"source":"k","aliases":["a"]/' | loom-stream >y.entity
	for names in '["k"]' '["a"]' '["k", "a"]'; do
		"$PYTHON" - "$names" <<-'PY'
			import json, sys
			import numpy as np
			from safetensors.numpy import save_file
			save_file({name: np.float32([[3], [4]]) for name in json.loads(sys.argv[1])} | {"b": np.float32([5])}, "in.safetensors")
		PY
		loom-import -t y.entity -o z.entity in.safetensors
		[ "$(tail -c 12 z.entity | od -An -tf4 | tr -s ' ')" = ' 3 4 5' ]
	done
}

# The bias came from what is called as the weight is called here.
@test "torch: in a state dict names are the source's, in a file with its network the slots'" {
	stream 's/"source":"b"/"source":"y.weight"/' | loom-stream >y.entity
	loom-export -f torch -o dict.safetensors y.entity
	loom-export -f safetensors -o net.safetensors y.entity
	for file in dict net; do
		loom-import -t y.entity -o z.entity $file.safetensors
		[ "$(tail -c 12 z.entity | od -An -tf4 | tr -s ' ')" = ' 1 2 0.5' ]
	done
}

# The weight is no array of the source, as that of a transposed convolution with groups; its name is one.
@test "torch: what is not known to lie in a state dict is not taken from one, whatever it is called" {
	stream 's/"source":"k","layout":{[^}]*}/"source":"y.weight"/' | loom-stream >y.entity
	"$PYTHON" - <<-'PY'
		import numpy as np
		from safetensors.numpy import save_file
		save_file({"y.weight": np.float32([[3, 4]]), "b": np.float32([5])}, "in.safetensors")
	PY
	run -3 --separate-stderr loom-import -t y.entity -o z.entity in.safetensors
	[ "$stderr" = "loom-import: in.safetensors: node y: its weight is computed from arrays of a state dict, or nobody said where in them it lies: it cannot be taken from one" ]
	[ ! -e z.entity ]
}

@test "torch: the file is read back by windows" {
	"$PYTHON" - <<-'PY' | loom-stream -o deep.entity
		import json, sys
		n, wide = 24, 1024
		head = {"loom_stream": 2, "planet": "test", "model": "deep", "mode": "eval", "nodes": n, "bytes": n * wide * wide * 4,
		        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", wide]}], "outputs": [f"d{n - 1}"]}
		out = sys.stdout.buffer
		out.write(json.dumps(head).encode() + b"\n")
		for i in range(n):
		    slot = {"slot": "weight", "dtype": "float32", "shape": [wide, wide], "axes": ["i", "o"], "source": f"k{i}",
		            "layout": {"shape": [wide, wide], "first": 0, "strides": [wide, 1]}}
		    node = {"name": f"d{i}", "op": "dense", "in": [f"d{i - 1}" if i else "x"], "tensors": [slot],
		            "params": {"in_features": wide, "out_features": wide, "bias": False}}
		    out.write(json.dumps(node).encode() + b"\n")
		for i in range(n):
		    out.write(bytes(4 * wide * wide))
		out.write(json.dumps({"end": True, "bytes": head["bytes"]}).encode() + b"\n")
	PY
	[ "${BUILD:-release}" = release ] || skip "sanitizers reserve address space"
	(ulimit -v 65536 && loom-export -f torch -o deep.safetensors deep.entity)
	(ulimit -v 65536 && loom-export -f safetensors -o net.safetensors deep.entity)
}
