load helper

net() { "$PYTHON" "$TOP/test/cmd/net.py" stream "$1" | loom-stream; }
npy() { "$PYTHON" "$TOP/test/cmd/net.py" npy "$@"; }

# relu(x W' + b), by hand: W = [[1, 2], [-1, 1]], b = [0.5, 0]
two_layers='[{"w": [[1, 2], [-1, 1]], "b": [0.5, 0], "act": "relu"}]'

@test "infer: dense then relu gives the row worked out by hand" {
	net "$two_layers" >net.entity
	npy '[[1, 1], [2, -3], [-4, 1]]' >x.npy
	npy '[[3.5, 0], [0, 0], [0, 5]]' >expected.npy
	loom-infer -m net.entity <x.npy >y.npy
	same y.npy expected.npy
	loom-infer -m net.entity x.npy -o z.npy
	same z.npy expected.npy
	loom-infer -m - x.npy <net.entity >z.npy
	same z.npy expected.npy
}

# 1 + 2^-24 lies in the middle between two binary32 numbers; what stands far behind decides.
@test "infer: ties and near-ties go to the second stage and the accumulator" {
	net '[{"w": [["1", "0x1p-12", "0x1p-30", "0x1p-100", "-0x1p-30"]]}]' >net.entity
	npy '[[3, 0, 0, 0, 0]]' >plain.npy
	npy '[[1, "0x1p-12", 0, 0, 0]]' >tie.npy
	npy '[[1, "0x1p-12", "0x1p-30", 0, 0]]' >near.npy
	npy '[[1, "0x1p-12", "0x1p-30", "0x1p-100", "0x1p-30"]]' >far.npy
	run --separate-stderr -0 loom-infer -v -m net.entity --raw f32 -o y plain.npy
	[ "$stderr" = "loom-infer: sums of products: 1 decided by the binary64 sum, 0 by the second stage, 0 by the accumulator" ]
	run --separate-stderr -0 loom-infer -v -m net.entity --raw f32 -o y tie.npy
	[ "$stderr" = "loom-infer: sums of products: 0 decided by the binary64 sum, 1 by the second stage, 0 by the accumulator" ]
	[ "$(od -An -tx4 y)" = " 3f800000" ]
	run --separate-stderr -0 loom-infer -v -m net.entity --raw f32 -o y near.npy
	[ "$stderr" = "loom-infer: sums of products: 0 decided by the binary64 sum, 1 by the second stage, 0 by the accumulator" ]
	[ "$(od -An -tx4 y)" = " 3f800001" ]
	run --separate-stderr -0 loom-infer -v -m net.entity --raw f32 -o y far.npy
	[ "$stderr" = "loom-infer: sums of products: 0 decided by the binary64 sum, 0 by the second stage, 1 by the accumulator" ]
	[ "$(od -An -tx4 y)" = " 3f800001" ]
}

@test "infer: of Gaussian sums with 1024 terms at most one in a thousand needs the second stage" {
	"$PYTHON" - <<-'PY'
		import numpy as np
		draw = np.random.default_rng(7)
		np.save("x.npy", draw.standard_normal((64, 1024)).astype("f4"))
		np.save("w.npy", draw.standard_normal((12, 1024)).astype("f4"))
	PY
	"$PYTHON" -c 'import json, numpy as n; print(json.dumps([{"w": n.load("w.npy").tolist()}]))' >w.json
	net - <w.json >net.entity
	loom-infer -v -m net.entity -o y.npy x.npy 2>said
	sed -E 's/.*: ([0-9]+) decided.* ([0-9]+) by the second stage, ([0-9]+) by.*/\1 \2 \3/' said >counts
	read -r first second third <counts
	[ $((first + second + third)) = 768 ]
	[ $((1000 * (second + third))) -le 768 ]
}

# One of them for each element type of a checkpoint; output.npy is Loom's own.
@test "infer: a checkpoint that Loom wrote gives what Loom computed" {
	n=0
	for dir in "$FIXTURES"/entity/{dense-*,activation-*,disabled-float32,reference-stream-dense}; do
		loom-infer -m "$dir/model.entity" -o y.npy "$dir/input.npy"
		loom-compare y.npy "$dir/output.npy"
		n=$((n + 1))
	done
	[ "$n" = 27 ]
}

@test "infer: a row's bits do not depend on its batch, nor on threads" {
	"$PYTHON" -c 'import numpy as n; d = n.random.default_rng(3); n.save("x.npy", d.standard_normal((9, 33)).astype("f4")); n.save("w.npy", d.standard_normal((8, 33)).astype("f4"))'
	net "$("$PYTHON" -c 'import json, numpy as n; print(json.dumps([{"w": n.load("w.npy").tolist(), "act": "tanh"}]))')" >net.entity
	loom-infer -m net.entity --raw f32 x.npy >all
	loom-infer -j 7 -m net.entity --raw f32 x.npy >threads
	same all threads
	for i in 0 1 2 3 4 5 6 7 8; do
		"$PYTHON" -c "import numpy as n; n.save('row.npy', n.load('x.npy')[$i:$i+1])"
		loom-infer -m net.entity --raw f32 row.npy
	done >rows
	same all rows
}

@test "infer: --hash is the digest of the raw values" {
	net "$two_layers" >net.entity
	npy '[[1, 1], [2, -3]]' >x.npy
	sum=$(loom-infer -m net.entity --raw f32 x.npy | sha256sum)
	run --separate-stderr -0 loom-infer -m net.entity --hash x.npy
	[ "$output" = "${sum%% *}  float32 [2, 2]  numerics 2  act.0" ]
}

@test "infer: --taps writes every node by name and changes nothing" {
	net "$two_layers" >net.entity
	npy '[[1, 1], [2, -3], [-4, 1]]' >x.npy
	loom-infer -m net.entity x.npy >plain.npy
	loom-infer -m net.entity --taps taps.safetensors x.npy >tapped.npy
	same plain.npy tapped.npy
	"$PYTHON" - <<-'PY'
		import numpy as np
		from safetensors.numpy import load_file
		taps = load_file("taps.safetensors")
		assert sorted(taps) == ["act.0", "net.0"], taps
		assert taps["net.0"].tolist() == [[3.5, 0], [-3.5, -5], [-1.5, 5]], taps
		assert (taps["act.0"] == np.load("plain.npy")).all()
	PY
}

@test "infer: inputs of any dtype and order are converted by value" {
	net "$two_layers" >net.entity
	npy '[[1, 1], [2, -3]]' >x.npy
	loom-infer -m net.entity x.npy >expected.npy
	for dtype in f8 f2 '>f4' i1 i2 i4 i8 '>i8'; do
		npy '[[1, 1], [2, -3]]' "$dtype" >typed.npy
		loom-infer -m net.entity typed.npy >y.npy
		same y.npy expected.npy
	done
	"$PYTHON" -c 'import numpy as n; n.save("f.npy", n.asfortranarray(n.load("x.npy")))'
	loom-infer -m net.entity f.npy >y.npy
	same y.npy expected.npy
}

@test "infer: integers are refused where a value would change" {
	cp "$FIXTURES/layers/add/int64/net.stream" .
	loom-stream <net.stream >net.entity
	"$PYTHON" -c 'import numpy as n; n.savez("x.npz", x=n.array([[1.5, 2]]), y=n.array([1, 2]))'
	run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y x.npz
	[ "$stderr" = "loom-infer: x: expected int64, found float64 whose value 0 is 1.5" ]
	[ ! -e y ]
}

@test "infer: integers that overflow are refused" {
	loom-stream <"$FIXTURES/layers/mul/int64/net.stream" >net.entity
	"$PYTHON" -c 'import numpy as n; n.savez("x.npz", x=n.array([[2**62, 2]]), y=n.array([2, 2]))'
	run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y x.npz
	[ "$stderr" = "loom-infer: net.entity: layer z (mul): a result is no int64 (overflow, or a quotient that is not whole)" ]
}

@test "infer: a shape that does not fit names layer, expected and found" {
	net "$two_layers" >net.entity
	npy '[[1, 1, 1]]' >x.npy
	run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y x.npy
	[ "$stderr" = "loom-infer: net.entity: input x of layer net.0 (dense): expected float32 [batch, 2], found float32 [1, 3]" ]
	[ ! -e y ]
}

@test "infer: an input that is missing is named" {
	loom-stream <"$FIXTURES/layers/add/same/net.stream" >net.entity
	"$PYTHON" -c 'import numpy as n; n.savez("x.npz", x=n.ones(3, "f4"), w=n.ones(3, "f4"))'
	run --separate-stderr -3 loom-infer -m net.entity -o y x.npz
	[ "$stderr" = "loom-infer: x.npz: no tensor is called y, which the model wants; it has x, w" ]
}

@test "infer: options, files and outputs that do not work have their statuses" {
	net "$two_layers" >net.entity
	npy '[[1, 1]]' >x.npy
	run --separate-stderr -2 loom-infer x.npy
	[ "${stderr_lines[0]}" = "usage: loom-infer -m MODEL [-Hv] [-f FORMAT] [-j JOBS] [-o OUTPUT] [-r f32] [-t TAPS] [INPUT]" ]
	run --separate-stderr -2 loom-infer -m - -
	[ "${stderr_lines[0]}" = "loom-infer: the model comes from standard input: name an INPUT file" ]
	run --separate-stderr -2 loom-infer -m net.entity --raw f64 x.npy
	[ "${stderr_lines[0]}" = "loom-infer: --raw f64: only f32 is known" ]
	run --separate-stderr -4 loom-infer -m none.entity x.npy
	[ "$stderr" = "loom-infer: none.entity: cannot open it: No such file or directory" ]
	run --separate-stderr -4 loom-infer -m net.entity none.npy
	[ "$stderr" = "loom-infer: none.npy: cannot open it: No such file or directory" ]
	full_disk loom-infer -m net.entity x.npy
	run --separate-stderr -4 loom-infer -m net.entity x.npy -o ''
	[ "$stderr" = "loom-infer: '': cannot make it: No such file or directory" ]
	run --separate-stderr -4 loom-infer -m '' x.npy
	[ "$stderr" = "loom-infer: '': cannot open it: No such file or directory" ]
	run --separate-stderr -2 env LOOM_ISA=none loom-infer -m net.entity x.npy -o y
}

@test "infer: every prefix of a model and of an input is refused" {
	net "$two_layers" >net.entity
	npy '[[1, 1]]' >x.npy
	refuses_every_prefix net.entity loom-infer -m - x.npy -o y
	refuses_every_prefix net.entity loom-infer -m '{}' x.npy -o y
	refuses_every_prefix x.npy loom-infer -m net.entity -o y
	[ ! -e y ]
}

@test "infer: a network without inputs reads none" {
	printf '%s\n' '{"loom_stream":2,"planet":"test","model":"one","mode":"eval","nodes":1,"bytes":4,"inputs":[],"outputs":["c"]}' \
		'{"name":"c","op":"constant","in":[],"params":{"shape":[1]},"tensors":[{"slot":"value","dtype":"float32","shape":[1]}]}' >one.stream
	printf 'abcd{"end":true,"bytes":4}\n' >>one.stream
	loom-stream -o one.entity <one.stream
	[ "$(loom-infer -m one.entity --raw f32 <&-)" = abcd ]
	[ "$(loom-infer -m - --raw f32 none.npy <one.entity)" = abcd ]
}

# The example of the page.
@test "infer: two machines can compare their bits" {
	net "$two_layers" >net.entity
	npy '[[1, 1]]' >x.npy
	loom-infer -m net.entity < x.npy > y.npy
	loom-infer -m net.entity --hash x.npy >a
	loom-infer -j 3 -m net.entity --hash x.npy >b
	same a b
}
