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
		np.save("w.npy", draw.standard_normal((128, 1024)).astype("f4"))
	PY
	"$PYTHON" -c 'import json, numpy as n; print(json.dumps([{"w": n.load("w.npy").tolist()}]))' >w.json
	net - <w.json >net.entity
	loom-infer -v -m net.entity -o y.npy x.npy 2>said
	sed -E 's/.*: ([0-9]+) decided.* ([0-9]+) by the second stage, ([0-9]+) by.*/\1 \2 \3/' said >counts
	read -r first second third <counts
	[ $((first + second + third)) = 8192 ]
	[ $((1000 * (second + third))) -le 8192 ] && [ "$second" -ge 1 ] && [ "$third" = 0 ]
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

@test "infer: --taps: a node that is called as the metadata of .safetensors is refused" {
	"$PYTHON" "$TOP/test/cmd/net.py" stream '[{"w": [[1]]}]' | sed 's/net\.0/__metadata__/g' | loom-stream >net.entity
	npy '[[1]]' >x.npy
	loom-infer -m net.entity -o y.npy x.npy
	run --separate-stderr -3 loom-infer -m net.entity -t taps.safetensors -o z.npy x.npy
	[ "$stderr" = "loom-infer: a tensor called __metadata__, which .safetensors cannot hold" ]
	[ ! -e taps.safetensors ]
}

@test "infer: --taps changes nothing where an input is read again after other nodes" {
	for activation in silu relu2; do
		case=$FIXTURES/layers/swiglu/$activation-bias-by-nodes
		loom-stream <"$case/net.stream" >net.entity
		loom-infer -m net.entity -t taps.safetensors -o y.npy "$case/in.npz"
		same y.npy "$case/out.npy"
	done
}

# relu(2 (x W' + b)), by hand: what is fed shows in everything behind it, not in what made it.
three_nodes='[{"w": [[1, 2], [-1, 1]], "b": [0.5, 0]}, {"w": [[2, 0], [0, 2]], "act": "relu"}]'

# name=array ... on the command line, as Python; written to FILE.
tensors() {
	local file=$1
	shift
	"$PYTHON" -c 'import sys, numpy as np
np.savez(sys.argv[1], **{k: eval(v) for k, v in (a.split("=", 1) for a in sys.argv[2:])})' "$file" "$@"
}

show() {
	"$PYTHON" -c 'import sys
from safetensors.numpy import load_file
for name, a in sorted(load_file(sys.argv[1]).items()): print(name, a.tolist())' "$1"
}

@test "infer: --feed: nodes read what is fed, results and taps show what they make of it" {
	net "$three_nodes" >net.entity
	npy '[[1, 1]]' >x.npy
	tensors fed.npz 'net.0=np.float32([[10, -20]])'
	loom-infer -m net.entity --feed fed.npz --taps t -o y.npy x.npy
	show t >found
	printf '%s\n' 'act.1 [[20.0, 0.0]]' 'net.0 [[3.5, 0.0]]' 'net.1 [[20.0, -40.0]]' >expected
	same found expected
	npy '[[20, 0]]' >expected.npy
	same y.npy expected.npy
}

@test "infer: --feed: each node shows its own error, and without it the sum of all" {
	net "$three_nodes" >net.entity
	npy '[[1, 1], [2, -3]]' >x.npy
	# another side, whose first layer is 0.25 off and whose others are right
	tensors fed.npz 'net.0=np.array([[3.75, 0.25], [-3.25, -4.75]])' \
		'net.1=np.array([[7.5, 0.5], [-6.5, -9.5]])' 'act.1=np.array([[7.5, 0.5], [0, 0]])'
	cp fed.npz theirs.npz
	loom-infer -m net.entity -t alone.safetensors -o y x.npy
	run -1 loom-compare alone.safetensors theirs.npz --report labels=cumulative
	printf '%s\n' 'act.1 different' 'net.0 different' 'net.1 different' >expected
	same cumulative expected
	loom-infer -m net.entity -F fed.npz -t fed.safetensors -o y x.npy
	run -1 loom-compare fed.safetensors theirs.npz --report labels=isolated
	printf '%s\n' 'act.1 same' 'net.0 different' 'net.1 same' >expected
	same isolated expected
}

@test "infer: --feed: taps of the same network and input change no bit" {
	for case in swiglu/silu-bias-by-nodes embedding/inside residual/special; do
		loom-stream <"$FIXTURES/layers/$case/net.stream" >net.entity
		in=$FIXTURES/layers/$case/in.npz
		loom-infer -m net.entity -t taps.safetensors -o y.npy "$in"
		loom-infer -m net.entity -F taps.safetensors -t again.safetensors -o z.npy "$in"
		same z.npy y.npy
		same again.safetensors taps.safetensors
		loom-infer -m net.entity -F "$in" -j 3 -o z.npy "$in"
		same z.npy y.npy
		loom-infer -m net.entity -F - -o z.npy "$in" <taps.safetensors
		same z.npy y.npy
	done
}

@test "infer: --feed: an input in TAPS is what nodes read, whatever INPUT holds" {
	net "$two_layers" >net.entity
	npy '[[9, 9], [9, 9]]' >other.npy
	npy '[[1, 1], [2, -3]]' >x.npy
	npy '[[3.5, 0], [0, 0]]' >expected.npy
	tensors x.npz 'x=np.array([[1, 1], [2, -3]])'
	loom-infer -m net.entity --feed x.npz -o y.npy other.npy
	same y.npy expected.npy
}

@test "infer: --feed: float64 is rounded once, integers and flags stay what they are" {
	net '[{"w": [[1]]}, {"w": [[1]]}]' >net.entity
	npy '[[0]]' >x.npy
	tensors fed.npz 'net.0=np.array([[1 + 2.0**-24 + 2.0**-50]])'
	loom-infer -m net.entity -F fed.npz --raw f32 -o y x.npy
	[ "$(od -An -tx4 y)" = " 3f800001" ]
	loom-stream <"$FIXTURES/layers/add/int64/net.stream" >net.entity
	tensors fed.npz 'x=np.array([[1, 2], [3.5, 4]])'
	run --separate-stderr -3 loom-infer -m net.entity -F fed.npz -o z "$FIXTURES/layers/add/int64/in.npz"
	[ "$stderr" = "loom-infer: net.entity: fed value x: expected int64, found float64 whose value 2 is 3.5" ]
	[ ! -e z ]
}

@test "infer: --feed: a name or a shape that the network does not have is an error" {
	net "$two_layers" >net.entity
	npy '[[1, 1], [2, -3]]' >x.npy
	tensors fed.npz 'net.0=np.ones((2, 2))' 'net.7=np.ones((2, 2))'
	run --separate-stderr -3 loom-infer -m net.entity -F fed.npz -o y x.npy
	[ "$stderr" = "loom-infer: fed.npz: the network has no input and no node's output called net.7" ]
	tensors fed.npz 'net.0=np.ones((1, 2))'
	run --separate-stderr -3 loom-infer -m net.entity -F fed.npz -o y x.npy
	[ "$stderr" = "loom-infer: net.entity: fed value net.0 of node net.0 (dense): expected float32 [2, 2], found float64 [1, 2]" ]
	tensors fed.npz 'x=np.ones((3, 2), "f4")'
	run --separate-stderr -3 loom-infer -m net.entity -F fed.npz -o y x.npy
	[ "$stderr" = "loom-infer: net.entity: fed value x: expected float32 [2, 2], found float32 [3, 2]" ]
	run --separate-stderr -4 loom-infer -m net.entity -F none.npz -o y x.npy
	[ "$stderr" = "loom-infer: none.npz: cannot open it: No such file or directory" ]
	run --separate-stderr -2 loom-infer -m net.entity -F - -o y
	[ "${stderr_lines[0]}" = "loom-infer: --feed -: the INPUT comes from standard input: name a file for one of them" ]
	run --separate-stderr -2 loom-infer -m - -F - -o y x.npy
	[ "${stderr_lines[0]}" = "loom-infer: --feed -: the model comes from standard input: name a file for one of them" ]
	loom-infer -m net.entity -t taps.safetensors -o z x.npy
	refuses_every_prefix taps.safetensors loom-infer -m net.entity -F '{}' x.npy -o y
	[ ! -e y ]
}

@test "infer: swiglu gives the bits of dense, silu or relu2, mul and dense" {
	"$PYTHON" - "$TOP/fixtures/layers" <<-'PY'
		import sys
		sys.dont_write_bytecode = True
		sys.path.insert(0, sys.argv[1])
		from make_norms import by_nodes, values, write
		x, n, hidden = values(1, 3, 13, 24), 24, 65
		wg, wu, wd = values(2, hidden, n), values(3, hidden, n), values(4, n, hidden)
		bg, bu, bd = values(5, hidden), values(6, hidden), values(7, n)
		slots = {"Wg": (wg, "mi"), "Wu": (wu, "mi"), "Wd": (wd, "im"), "bg": (bg, "m"), "bu": (bu, "m"), "bd": (bd, "i")}
		slots = {name: (array, list(axes)) for name, (array, axes) in slots.items()}
		for act in ("silu", "relu2"):
		    params = {"in_features": n, "hidden_features": hidden, "activation": act, "bias": True}
		    write(act, "one", [("y", "swiglu", ["x"], params, slots)], {"x": x}, x, [["b", "s", n]])
		    write(act, "nodes", by_nodes(wg, wu, wd, bg, bu, bd, act), {"x": x}, x, [["b", "s", n]])
	PY
	for act in silu relu2; do
		for net in one nodes; do
			loom-stream <$act/$net/net.stream >net.entity
			loom-infer -m net.entity -o $act-$net.npy $act/$net/in.npz
		done
		same $act-one.npy $act-nodes.npy
	done
	run -1 cmp -s silu-one.npy relu2-one.npy
}

@test "infer: an id outside the vocabulary is refused with its place, if the layer says so" {
	loom-stream <"$FIXTURES/layers/embedding/inside/net.stream" >net.entity
	tensors x.npz 'ids=np.array([[0, 6], [1, 7]])'
	run --separate-stderr -3 loom-infer -m net.entity -o y x.npz
	[ "$stderr" = "loom-infer: net.entity: layer y (embedding): id 7 at [1, 1] is outside the vocabulary of 7 (expected 0 to 6)" ]
	loom-stream <"$FIXTURES/layers/embedding/wrap-inside/net.stream" >net.entity
	tensors x.npz 'ids=np.array([6, -7, -8])'
	run --separate-stderr -3 loom-infer -m net.entity -o y x.npz
	[ "$stderr" = "loom-infer: net.entity: layer y (embedding): id -8 at [2] is outside the vocabulary of 7 (expected -7 to 6)" ]
	sed 's/int64/float32/' "$FIXTURES/layers/embedding/inside/net.stream" | loom-stream >net.entity
	tensors x.npz 'ids=np.array([[0.5, np.nan]])'
	run --separate-stderr -3 loom-infer -m net.entity -o y x.npz
	[ "$stderr" = "loom-infer: net.entity: layer y (embedding): id nan at [0, 1] is outside the vocabulary of 7 (expected 0 to 6)" ]
	tensors x.npz 'ids=np.array([[6.9, 7.25]])'
	run --separate-stderr -3 loom-infer -m net.entity -o y x.npz
	[ "$stderr" = "loom-infer: net.entity: layer y (embedding): id 7.25 at [0, 1] is outside the vocabulary of 7 (expected 0 to 6)" ]
	[ ! -e y ]
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
	for value in 1.5 nan inf -inf 1e300; do
		"$PYTHON" -c "import numpy as n; n.savez('x.npz', x=n.array([[float('$value'), 2]]), y=n.array([1, 2]))"
		run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y x.npz
		[ "$stderr" = "loom-infer: x.npz: input x: expected int64, found float64 whose value 0 is ${value/e/e+}" ]
		[ ! -e y ]
	done
}

@test "infer: integers that overflow are refused" {
	loom-stream <"$FIXTURES/layers/mul/int64/net.stream" >net.entity
	"$PYTHON" -c 'import numpy as n; n.savez("x.npz", x=n.array([[2**62, 2]]), y=n.array([2, 2]))'
	run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y x.npz
	[ "$stderr" = "loom-infer: net.entity: layer z (mul): 4611686018427387904 and 2 have no int64 result (overflow)" ]
}

@test "infer: a shape that does not fit names layer, expected and found" {
	net "$two_layers" >net.entity
	npy '[[1, 1, 1]]' >x.npy
	run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y x.npy
	[ "$stderr" = "loom-infer: x.npy: input x of layer net.0 (dense): expected float32 [batch, 2], found float32 [1, 3]" ]
	[ ! -e y ]
	run --separate-stderr -3 loom-infer -m net.entity --raw f32 -o y <x.npy
	[ "$stderr" = "loom-infer: <stdin>: input x of layer net.0 (dense): expected float32 [batch, 2], found float32 [1, 3]" ]
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
	[ "${stderr_lines[0]}" = "usage: loom-infer -m MODEL [-Hv] [-c N] [-F TAPS] [-f FORMAT] [-j JOBS] [-o OUTPUT] [-r f32] [-t TAPS] [INPUT]" ]
	run --separate-stderr -2 loom-infer -m - -
	[ "${stderr_lines[0]}" = "loom-infer: the model comes from standard input: name an INPUT file" ]
	run --separate-stderr -2 loom-infer -m net.entity -f npyy -o y none.npy
	[ "${stderr_lines[0]}" = "loom-infer: format npyy is not one that tensors are written in (expected one of: npy, npz, safetensors, raw)" ]
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
}

@test "infer: LOOM_ISA names a kernel set that this machine has, and no set changes a bit" {
	net "$two_layers" >net.entity
	npy '[[1, 1], [0.1, -0.7]]' >x.npy
	run --separate-stderr -2 env LOOM_ISA=none loom-infer -m net.entity x.npy -o y
	case $stderr in
	"loom-infer: LOOM_ISA is none, but this machine has only scalar"*) ;;
	*) echo "$stderr"; false ;;
	esac
	[ ! -e y ]
	loom-infer -m net.entity x.npy -o best
	for set in $(echo "${stderr##* only }" | tr -d ,); do
		LOOM_ISA=$set loom-infer -m net.entity x.npy -o y
		cmp best y
	done
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

@test "infer: taps go to standard output where the outputs do not, and never over them" {
	net "$two_layers" >net.entity
	npy '[[1, 1]]' >x.npy
	loom-infer -m net.entity -t taps -o y.npy x.npy
	loom-infer -m net.entity -t - -o z.npy x.npy | same taps -
	same y.npy z.npy
	[ ! -e ./- ]
	run -2 --separate-stderr loom-infer -m net.entity -t - x.npy
	[ "${stderr_lines[0]}" = "loom-infer: taps and outputs cannot both go to -" ]
	run -2 --separate-stderr loom-infer -m net.entity -t z.npy -o z.npy x.npy
	[ "${stderr_lines[0]}" = "loom-infer: taps and outputs cannot both go to z.npy" ]
	same y.npy z.npy
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
