load helper

# A network of version 2 that can be checked by hand: y = [1, 2] x + 0.5.
setup() {
	mkdir "$BATS_TEST_TMPDIR/work" && cd "$BATS_TEST_TMPDIR/work" || return
	HEAD='{"loom_stream":2,"planet":"test","model":"m","mode":"eval","nodes":1,"bytes":12,"inputs":[{"name":"x","dtype":"float32","shape":["batch",2]}],"outputs":["y"]}'
	NODE='{"name":"y","op":"dense","in":["x"],"params":{"in_features":2,"out_features":1,"bias":true},"tensors":[{"slot":"weight","dtype":"float32","shape":[1,2],"axes":["o","i"]},{"slot":"bias","dtype":"float32","shape":[1],"axes":["o"]}]}'
	BYTES='\0\0\200\77\0\0\0\100\0\0\0\77'
	END='{"end":true,"bytes":12}'
	REQUEST='{"planet":"p","model_id":"m","input_dim":2,"layers":[{"index":0,"input_dim":2,"output_dim":1,"weights":[1,2],"bias":[0.5]}]}'
}

lines() { printf '%s\n' "$HEAD" "$NODE"; }
bytes() {
	# shellcheck disable=SC2059
	printf "$BYTES"
}
stream() { lines && bytes && printf '%s\n' "$END"; }

# The stream after a sed script for its lines and one for its end line is refused with a message, and
# what stood at the output's name stays.
refused() {
	HEAD_AND_NODE=$(lines | sed "$1")
	{ printf '%s\n' "$HEAD_AND_NODE" && bytes && printf '%s\n' "$END" | sed "$2"; } >in
	echo old >out.entity
	run -3 --separate-stderr loom-stream -o out.entity <in
	echo "$stderr"
	[ "$stderr" = "loom-stream: <stdin>: $3" ]
	[ "$output" = "" ]
	[ "$(cat out.entity)" = old ]
	[ "$(echo *)" = "in out.entity" ]
}

# ---- version 2 ----

@test "stream: version 2 becomes the checkpoint that the reference writes, with --plain" {
	stream >in
	loom-stream --plain <in >y.entity
	loom-stream -o z.entity <<<"$REQUEST"
	same y.entity z.entity
	loom-stream --plain -o w.entity <in
	same y.entity w.entity
}

@test "stream: version 2 keeps names, source and versions" {
	HEAD=${HEAD/\"mode\"/\"versions\":\{\"torch\":\"2.15.0\"\},\"numerics\":1,\"mode\"}
	NODE=${NODE/\"axes\":[\"o\"\]/\"axes\":[\"o\"],\"source\":\"net.0.bias\"}
	stream | loom-stream >y.entity
	tail -c +21 y.entity | head -c -12 >header
	grep -qF '"info":{"planet":"test","model":"m","versions":{"torch":"2.15.0"},"mode":"eval","numerics":1,"tensors":{"y.bias":{"source":"net.0.bias"}}}' header
	tail -c 12 y.entity >bytes
	bytes | same bytes -
}

@test "stream: axes in another order become canonical" {
	"$PYTHON" "$TOP/test/cmd/streams.py" matrix oi >oi.stream
	"$PYTHON" "$TOP/test/cmd/streams.py" matrix io >io.stream
	loom-stream <oi.stream >oi.entity
	loom-stream <io.stream >io.entity
	same oi.entity io.entity
	cat io.stream | loom-stream | same oi.entity -
	"$PYTHON" "$TOP/test/cmd/streams.py" matrix io float64 | loom-stream 2>said | same oi.entity -
	[ "$(cat said)" = "loom-stream: 1 tensor of float64 stored as float32, largest relative error 0 (--keep-dtype keeps float64)" ]
	for dtype in float16 int8 int64 bfloat16; do
		"$PYTHON" "$TOP/test/cmd/streams.py" matrix oi $dtype | loom-stream >oi.entity
		"$PYTHON" "$TOP/test/cmd/streams.py" matrix io $dtype | loom-stream >io.entity
		same oi.entity io.entity
	done
}

@test "stream: float64 becomes float32 with its loss in one line, or stays" {
	NODE=${NODE//float32/float64}
	HEAD=${HEAD/:12,/:24,}
	END=${END/12/24}
	# 1 + 2^-30, 2, 0.1 in binary64
	BYTES='\0\0\100\0\0\0\360\77\0\0\0\0\0\0\0\100\232\231\231\231\231\231\271\77'
	stream >in
	run -0 --separate-stderr loom-stream -o y.entity <in
	[ "$stderr" = "loom-stream: 2 tensors of float64 stored as float32, largest relative error 1.49e-08 (--keep-dtype keeps float64)" ]
	[ "$(tail -c 12 y.entity | od -An -tx4)" = " 3f800000 40000000 3dcccccd" ]
	run -0 --separate-stderr loom-stream --keep-dtype -o y.entity <in
	[ "$stderr" = "" ]
	tail -c 24 y.entity >bytes
	bytes | same bytes -
}

@test "stream: NaN and infinity pass" {
	BYTES='\0\0\300\177\0\0\200\377\0\0\0\77'
	stream | loom-stream >y.entity
	tail -c 12 y.entity >bytes
	bytes | same bytes -
}

@test "stream: a tied tensor has no bytes and stays tied" {
	"$PYTHON" "$TOP/test/cmd/streams.py" tied | loom-stream >y.entity
	tail -c +21 y.entity | head -c -16 | grep -qF '"tensors":[{"slot":"weight","same":"a.weight"}]'
	[ "$(tail -c 16 y.entity | od -An -tf4 | tr -d ' ')" = 1234 ]
	[ "$(tail -c 18 y.entity | head -c 2)" = '}}' ]
}

@test "stream: a SHA-256 that is stated is checked" {
	sum=$(printf '\0\0\200\77\0\0\0\100' | sha256sum | cut -d' ' -f1)
	NODE=${NODE/\"i\"\]/\"i\"],\"sha256\":\"$sum\"}
	stream | loom-stream -o y.entity
	BYTES=${BYTES/200/201}
	stream >in
	rm y.entity
	run -3 --separate-stderr loom-stream -o y.entity <in
	found=$(printf '\0\0\201\77\0\0\0\100' | sha256sum | cut -d' ' -f1)
	[ "$stderr" = "loom-stream: <stdin>: node y: tensor weight: SHA-256 is $found, but its line says $sum" ]
	[ ! -e y.entity ]
}

@test "stream: the head is checked" {
	refused '1s/:2,/:3,/' '' 'head: version 3 of layer streams is unknown: this program reads version 2, and version 1 requests'
	refused '1s/:2,/:"2",/' '' 'head: "loom_stream" is a string, not an integer'
	refused '1s/eval/train/' '' 'head: "mode" is "train": put the model into eval mode before it is emitted'
	refused '1s/eval/test/' '' 'head: "mode" is "test", expected "eval"'
	refused '1s/"mode":"eval",//' '' 'head: "mode" is missing'
	refused '1s/"planet":"test",//' '' 'head: "planet" is missing'
	refused '1s/"model"/"modle"/' '' 'head: unknown key "modle" (known: loom_stream, planet, versions, model, mode, nodes, bytes, inputs, outputs, numerics)'
	refused '1s/"model":"m"/"versions":{"torch":2}/' '' 'head: "versions": torch is an integer, not a string'
	refused '1s/"model":"m"/"numerics":[]/' '' 'head: "numerics" is an array, not a string or an integer'
	refused '1s/"nodes":1/"nodes":-1/' '' 'head: "nodes" is -1, not 0..1048576'
	refused '1s/"nodes":1/"nodes":1.0/' '' 'head: "nodes" is a real number, not an integer'
	refused '1s/"nodes":1/"nodes":2/' '' 'byte 390: node line 2 of 2: JSON: expected a value, found the byte 0x00'
	refused '1s/"nodes":1/"nodes":0/' '' 'output y: no node makes it'
	refused '1s/"bytes":12/"bytes":16/' '' 'head: "bytes" is 16, but the tensors of the nodes have 12'
	refused '1s/"mode"/"planet"/' '' 'byte 45: the head: JSON: the key "planet" stands twice'
	refused '1s/.$//' '' "byte 157: the head: JSON: expected ',' or '}', found the end"
	refused '1s/$/ x/' '' "byte 159: the head: JSON: expected the end, found 'x'"
}

@test "stream: inputs and outputs are checked" {
	refused '1s/\[{.*}\]/{}/' '' 'head: "inputs" is an object, not an array'
	refused '1s/\[{.*}\]/[3]/' '' 'input is an integer, not an object'
	refused '1s/"dtype"/"dtpye"/' '' 'input x: unknown key "dtpye" (known: name, dtype, shape)'
	refused '1s/"batch"/"2*"/' '' 'dimension "2*" is not an integer, a name or an expression of them with + - * //'
	refused '1s/float32/float16/' '' 'input x: dtype float16, not float32, int64 or bool'
	refused '1s/"batch",2/"batch",3/' '' 'layer y (dense): input 0: expected a last axis of 2, found float32 [2, 3]'
	refused '1s/\["y"\]/[]/' '' '"outputs" is empty: nothing would come out'
	refused '1s/\["y"\]/"y"/' '' 'head: "outputs" is a string, not an array'
	refused '1s/\["y"\]/["z"]/' '' 'output z: no node makes it'
}

@test "stream: nodes are checked" {
	refused '2s/dense/dnese/' '' 'line 2: node y: unknown operation "dnese" (`loom-list layers` has those that are known)'
	refused '2s/"op"/"opp"/' '' 'line 2: node y: unknown key "opp" (known: name, op, in, out, params, tensors)'
	refused '2s/"name":"y",//' '' 'line 2: node: "name" is missing'
	refused '2s/"name":"y"/"name":"x"/' '' 'line 2: two tensors are called x'
	refused '2s/\["x"\]/["q"]/' '' 'line 2: node y (dense): its input q is no input of the network and no output of an earlier node'
	refused '2s/\["x"\]/["x","x"]/' '' 'line 2: node y (dense) has 2 inputs, expected 1 to 1'
	refused '2s/\["x"\]/[]/' '' 'line 2: node y: "in" is empty, expected 1 or more'
	refused '2s/"op"/"out":[],"op"/' '' 'line 2: node y: "out" is empty, expected 1 or more'
	refused '2s/\["x"\]/[null]/' '' 'line 2: node y (dense): input 0 may not be null'
	refused '2s/"bias":true/"bais":true/' '' 'line 2: node y: unknown key "bais" (known: in_features, out_features, bias)'
	refused '2s/,"bias":true//' '' 'line 2: node y: "bias" is missing'
	refused '2s/"bias":true/"bias":1/' '' 'line 2: node y: "bias" is an integer, not true or false'
	refused '2s/:2,"out/:-2,"out/' '' 'line 2: node y (dense): in_features is -2, expected 1 to 16777216'
	refused '2s/"params":{[^}]*},//' '' 'line 2: node y: "params" is missing'
	refused '2s/.*/[]/' '' 'node line 1 of 1: an array, not an object'
}

@test "stream: tensors are checked" {
	refused '2s/"bias":true/"bias":false/' '' 'line 2: node y: tensor bias: it is given, but by "params" there is none'
	refused '2s/,{"slot":"bias.*/]}/' '' 'line 2: node y: tensor bias: it is missing'
	refused '2s/{"slot":"weight[^}]*},//' '' 'line 2: node y: tensor weight: it is missing'
	refused '2s/\({"slot":"weight[^}]*}\),\({"slot":"bias[^}]*}\)/\2,\1/' '' 'line 2: node y: tensor weight: it must stand before tensor bias'
	refused '2s/{"slot":"weight[^}]*},/&&/' '' 'line 2: node y: tensor weight: it is given twice'
	refused '2s/"weight"/"wieght"/' '' 'line 2: node y: tensor wieght: dense has no such tensor (it has: weight, bias)'
	refused '2s/\[1,2\]/[2,1]/' '' 'line 2: node y: tensor weight: expected float32 [1, 2], found float32 [2, 1]'
	refused '2s/\["o","i"\]/["o","o"]/' '' 'line 2: node y: tensor weight: "axes" must name each of "o", "i" once, in the order in which it travels'
	refused '2s/,"axes":\["o","i"\]//' '' 'line 2: node y: tensor weight: "axes" is missing'
	refused '2s/float32/float33/' '' 'line 2: node y: tensor weight: unknown dtype "float33"'
	refused '2s/float32/int4/' '' 'line 2: node y: tensor weight: dtype int4 needs a scale, which a stream does not carry'
	refused '2s/{"slot":"bias.*/{"slot":"bias","same":"q.bias"}]}/' '' 'line 2: node y: tensor bias: "same" is "q.bias", which is no tensor of a node before it'
	refused '2s/{"slot":"bias.*/{"slot":"bias","same":"y.weight"}]}/' '' 'line 2: node y: tensor bias: expected float32 [1], found float32 [1, 2] in y.weight'
	refused '2s/\["o","i"\]/&,"sha256":"00"/' '' 'line 2: node y: tensor weight: "sha256" is not 64 lower-case hexadecimal digits'
	refused '2s/"tensors":.*/"tensors":{}}/' '' 'line 2: node: "tensors" is an object, not an array'
}

@test "stream: the end is checked" {
	refused '' 's/12/13/' "end line: \"bytes\" is 13, but the head's is 12"
	refused '' 's/true/false/' 'end line: "end" is false'
	refused '' 's/,"bytes":12//' 'end line: "bytes" is missing'
	refused '' 's/true/true,"more":1/' 'end line: unknown key "more" (known: end, bytes)'
	refused '' 's/$/\nx/' 'byte 426: more bytes after the end line'
	refused '' 's/^/x/' 'byte 402: expected the end line after 12 bytes of tensors, found the byte 0x78'
}

@test "stream: a line of more than 1 MiB is refused" {
	{ printf '{"loom_stream":2,' && head -c 1048576 /dev/zero | tr '\0' ' ' && echo; } >in
	run -3 --separate-stderr loom-stream -o y.entity <in
	[[ $stderr =~ ^'loom-stream: <stdin>: byte '[0-9]+': line of more than 1048575 bytes'$ ]]
	[ "$(echo *)" = in ]
}

@test "stream: every prefix of version 2 is refused and leaves nothing" {
	stream >in
	refuses_every_prefix in loom-stream
	for n in 0 1 13 100 160 300 395 400 403 425; do
		run -3 --separate-stderr loom-stream -o y.entity < <(head -c "$n" in)
		[ ! -e y.entity ]
	done
	run -3 --separate-stderr loom-stream -o y.entity < <(head -c 395 in)
	[ "$stderr" = "loom-stream: <stdin>: byte 395: ends within node y, tensor weight: the stream was cut" ]
	run -3 --separate-stderr loom-stream -o y.entity < <(head -c 402 in)
	[ "$stderr" = "loom-stream: <stdin>: byte 402: ends before the end line: the stream was cut" ]
	run -3 --separate-stderr loom-stream -o y.entity < <(head -c 410 in)
	[ "$stderr" = "loom-stream: <stdin>: byte 410: ends within the end line: the stream was cut" ]
	run -3 --separate-stderr loom-stream -o y.entity < <(head -c 100 in)
	[ "$stderr" = "loom-stream: <stdin>: byte 100: ends within the head: the stream was cut" ]
	[ "$(echo *)" = "in prefix prefix.err prefix.out" ]
}

@test "stream: an empty standard input asks about the program before" {
	run -3 --separate-stderr loom-stream </dev/null
	[ "$stderr" = "loom-stream: standard input is empty; did the program before it fail?" ]
	# Whoever names a destination as the reference's clients do gets its status.
	run -1 --separate-stderr loom-stream -output y.entity </dev/null
	[ "$stderr" = "loom-stream: standard input is empty; did the program before it fail?" ]
}

@test "stream: version 2 takes 1 GiB with little memory" {
	[ "${BUILD:-release}" = release ] || skip "sanitizers need more address space"
	"$PYTHON" "$TOP/test/cmd/streams.py" large oi 64 | (
		ulimit -v 262144
		exec loom-stream >/dev/null
	)
	"$PYTHON" "$TOP/test/cmd/streams.py" large io 8 | (
		ulimit -v 262144
		exec loom-stream -o y.entity
	)
	[ "$(stat -c %s y.entity)" -gt 134217728 ]
	rm y.entity
}

@test "stream: what version 1 alone understands is refused for version 2" {
	stream >in
	run -2 --separate-stderr loom-stream -models-dir d <in
	[ "$stderr" = "loom-stream: this stream is of version 2; the options bedrock, root, models-dir, fixtures-dir, fixture-version and skip-infer are for version 1 (use -o FILE)" ]
	[ "$(echo *)" = in ]
	loom-stream -output y.entity <in
	loom-stream -o z.entity <in
	same y.entity z.entity
}

# ---- version 1 with a destination ----

@test "stream: requests are answered as the reference answers them" {
	PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$FIXTURES/stream/replay.py" "$(command -v loom-stream)"
}

@test "stream: a request gives the reference's checkpoint and answer" {
	loom-stream -output tanh.entity <"$FIXTURES/stream/tanh.json" >answer
	same tanh.entity "$FIXTURES/stream/tanh.entity"
	same answer "$FIXTURES/stream/tanh.response"
}

answers() {
	local status=0
	loom-stream "${@:3}" <<<"$2" >answer 2>said || status=$?
	cat answer said
	[ "$status" = 1 ]
	[ ! -s said ]
	printf '{\n  "status": "error",\n  "message": "%s"\n}\n' "$1" | same answer -
}

@test "stream: faults of a request are answered with a message" {
	local layer='{"input_dim":2,"output_dim":1,"weights":[1,2]}'
	local head='{"planet":"p","model_id":"m","input_dim":2,"layers":['
	answers '\"bedrock\" is required: the request does not say which kind it is' '{}' -output y
	answers 'unknown bedrock \"foo\"' '{"bedrock":"foo"}' -output y
	answers '\"planet\" and \"model_id\" are required' '{"bedrock":"dense"}' -output y
	answers '\"layers\" is required, with at least one layer' '{"bedrock":"dense","planet":"p","model_id":"m"}' -output y
	answers '\"payload\" is an array, not an object' '{"bedrock":"dense","payload":[]}' -output y
	answers '\"planet\" is a number, not a string' '{"bedrock":"dense","payload":{"planet":1}}' -output y
	answers '\"input_dim\" is no integer of 64 bits' '{"bedrock":"dense","payload":{"input_dim":1.0}}' -output y
	answers '\"layers\": item 0 is a number, not an object' '{"bedrock":"dense","payload":{"layers":[1]}}' -output y
	answers 'layer 1: \"weights\": item 2 is a string, not a number' '{"bedrock":"dense","payload":{"layers":[{},{"weights":[1,null,"3"]}]}}' -output y
	answers 'layer 0: \"bias\": item 0 is too large for binary64' '{"bedrock":"dense","payload":{"layers":[{"bias":[1e999]}]}}' -output y
	answers 'layer 0: \"weights\" is a string, not an array of numbers' '{"bedrock":"dense","payload":{"layers":[{"weights":"x"}]}}' -output y
	answers '\"planet\" holds a NUL character' '{"bedrock":"dense","planet":"a\u0000b"}' -output y
	answers 'layer 0: \"index\" is 3' "$head"'{"index":3}]}' -output y
	answers "layer 0: \\\"input_dim\\\" is 3, but the request's is 2" "$head"'{"input_dim":3}]}' -output y
	answers 'layer 1: \"input_dim\" is 2, but what the layer before gives is 1' "$head$layer,{\"index\":1,\"input_dim\":2}]}" -output y
	answers 'layer 0: \"weights\" has 3 numbers, expected 2' "$head"'{"input_dim":2,"output_dim":1,"weights":[1,2,3]}]}' -output y
	answers 'node 0 (dense): out_features is -1, expected 1 to 16777216' "$head"'{"input_dim":2,"output_dim":-1,"weights":[]}]}' -output y
	answers '\"inputs\": row 1 has 1 numbers, fewer than the 2 of a sample' "$head$layer"'],"inputs":[[1,2],[3]]}' -output y
	answers './none.npz: cannot open it: No such file or directory' "$head$layer"'],"fixture_version":"none","fixtures_dir":"."}' -output y
	[ ! -e y ]
	answers 'inference needs inputs: \"inputs\", or \"fixture_version\" and \"fixtures_dir\"; or ask for \"skip_infer\"' "$head$layer]}" -output y
	[ -e y ]
}

@test "stream: ids that lead out of models_dir are refused" {
	local tail='","input_dim":2,"layers":[{"input_dim":2,"output_dim":1,"weights":[1,2]}],"skip_infer":true}'
	answers '\"planet\" is \"../p\": it names a directory, so it must not hold \"/\" or be \"..\"' '{"planet":"../p","model_id":"m'"$tail" -models-dir d
	answers '\"planet\" is \"..\": it names a directory, so it must not hold \"/\" or be \"..\"' '{"planet":"..","model_id":"m'"$tail" -models-dir d
	answers '\"model_id\" is \"/m\": it names a directory, so it must not hold \"/\" or be \"..\"' '{"planet":"p","model_id":"/m'"$tail" -models-dir d
	[ "$(echo *)" = "answer said" ]
	loom-stream -output y.entity <<<'{"planet":"../p","model_id":"m'"$tail" >answer
	[ -e y.entity ]
}

@test "stream: a fixture is read by value, whatever its dtype and order" {
	local request='{"planet":"p","model_id":"m","input_dim":2,"layers":[{"input_dim":2,"output_dim":1,"weights":[1,2]}]}'
	"$PYTHON" - <<-'PY'
		import numpy as np
		x = np.array([[1, 2, 9], [3, 4, 9]])
		for name, value in {"c": x.astype("f8"), "f": np.asfortranarray(x.astype("f8")), "f4": x.astype("f4"), "i2": x.astype(">i2")}.items():
		    np.savez_compressed(name + ".npz", x_train=x, x_test=value)
		np.savez("none.npz", x_train=x)
		np.savez("one.npz", x_test=x[0])
		np.savez("thin.npz", x_test=x[:, :1])
	PY
	loom-stream -output y.entity <<<"${request%\}},\"inputs\":[[1,2],[3,4]]}" >want
	grep -q 11 want
	for version in c f f4 i2; do
		loom-stream -output y.entity -fixtures-dir . -fixture-version $version <<<"$request" >got
		same got want
	done
	answers './none.npz: it has no x_test.npy' "$request" -output y -fixtures-dir . -fixture-version none
	answers './one.npz: x_test is int64 [3], but a sample of the request is float32 [2]' "$request" -output y -fixtures-dir . -fixture-version one
	answers './thin.npz: x_test is int64 [2, 1], but a sample of the request is float32 [2]' "$request" -output y -fixtures-dir . -fixture-version thin
	[ ! -e y ]
}

@test "stream: a destination goes to standard error and status 1 where the reference has no answer" {
	run -1 --separate-stderr loom-stream -output y <<<'{"planet":'
	[ "$stderr" = "loom-stream: <stdin>: byte 11: JSON: expected a value, found the end" ]
	[ "$output" = "" ]
	run -1 --separate-stderr loom-stream -output y <<<'{"bedrock":1}'
	[ "$stderr" = 'loom-stream: <stdin>: byte 11: "bedrock" is a number, not a string' ]
	run -1 --separate-stderr loom-stream <<<'{"output_path":"y","inputs":[[1,"2"]]}'
	[ "$stderr" = 'loom-stream: <stdin>: byte 32: "inputs": item 0, 1 is a string, not a number' ]
	run -1 --separate-stderr loom-stream -output y <<<'[1]'
	[ "$stderr" = "loom-stream: <stdin>: the request is an array, not an object" ]
	[ ! -e y ]
}

@test "stream: an activation that version 1 does not know is linear, and a line says so" {
	run -0 --separate-stderr loom-stream -o y.entity <<<"${REQUEST/\"weights\"/\"activation\":\"gelu\",\"weights\"}"
	[ "$stderr" = 'loom-stream: layer 0: activation "gelu" is none of version 1, which takes it for linear' ]
}

# ---- version 1 without a destination ----

@test "stream: version 1 without a destination is a filter" {
	loom-stream <<<"$REQUEST" >y.entity
	loom-stream -o z.entity <<<"$REQUEST"
	same y.entity z.entity
	loom-stream -output w.entity -skip-infer <<<"$REQUEST" >answer
	same y.entity w.entity
	loom-stream <<<"{\"bedrock\":\"dense\",\"payload\":$REQUEST}" | same y.entity -
}

@test "stream: a file may be named, one" {
	stream >in
	loom-stream <in >y.entity
	loom-stream in </dev/null >z.entity
	same y.entity z.entity
	loom-stream - <in >z.entity
	same y.entity z.entity
	run --separate-stderr -4 loom-stream nowhere <in
	[ "$stderr" = "loom-stream: nowhere: cannot open it: No such file or directory" ]
	run --separate-stderr -2 loom-stream in -o none.entity
	[ "${stderr_lines[0]}" = "usage: loom-stream [--keep-dtype] [--lower] [--no-progress] [--plain] [-o OUT] [FILE]" ]
	[ "${stderr_lines[-1]}" = "Try 'loom-stream --help'." ]
	[ ! -e none.entity ]
}

@test "stream: flags are read as the reference reads them" {
	with=${REQUEST/\{/\{\"inputs\":[[1,2]],}
	loom-stream -output y.entity <<<"$with" >run
	loom-stream -output y.entity -skip-infer <<<"$with" >skipped
	! cmp -s run skipped
	loom-stream --output=y.entity --skip-infer=true <<<"$with" | same - skipped
	loom-stream -output=y.entity -skip-infer -skip-infer=F <<<"$with" | same - run
	loom-stream -output y.entity operand -output z.entity -skip-infer <<<"$with" | same - run
	[ ! -e z.entity ]
	run --separate-stderr -2 loom-stream -skip-infer=maybe <<<"$with"
	[ "${stderr_lines[0]}" = "loom-stream: --skip-infer=maybe: expected true or false" ]
}

@test "stream: version 1 without a destination has our statuses" {
	echo old >y
	run -3 --separate-stderr loom-stream -o y <<<'{}'
	[ "$stderr" = 'loom-stream: <stdin>: "bedrock" is required: the request does not say which kind it is' ]
	run -3 --separate-stderr loom-stream -o y <<<'{"bedrock":"mha"}'
	[ "$stderr" = 'loom-stream: <stdin>: "layers" is required, with at least one layer' ]
	run -3 --separate-stderr loom-stream -o y <<<"${REQUEST/\[1,2\]/[01,2]}"
	[ "$stderr" = "loom-stream: <stdin>: byte 104: JSON: expected a number without leading zeros, found '0'" ]
	run -3 --separate-stderr loom-stream -o y <<<"${REQUEST/\[1,2\]/[NaN,2]}"
	[ "$stderr" = "loom-stream: <stdin>: byte 104: JSON: expected a value, found 'N'" ]
	run -3 --separate-stderr loom-stream -o y <<<"${REQUEST/\"p\"/1}"
	[ "$stderr" = 'loom-stream: <stdin>: byte 10: "planet" is a number, not a string' ]
	run -3 --separate-stderr loom-stream -o y <<<"${REQUEST/:2,/:3,}"
	[ "$stderr" = "loom-stream: <stdin>: layer 0: \"input_dim\" is 2, but the request's is 3" ]
	[ "$(cat y)" = old ]
}

@test "stream: every prefix of version 1 is refused" {
	printf '%s' "$REQUEST" >in
	refuses_every_prefix in loom-stream
}

@test "stream: -o does not go with a destination" {
	run -2 --separate-stderr loom-stream -o y -output z <<<"$REQUEST"
	[ "$stderr" = "loom-stream: the request has a destination of its own (output_path, models_dir or root), so -o cannot be given with it" ]
	[ "$(echo *)" = "*" ]
}

@test "stream: a large request needs its own size, 4 bytes a number and little more" {
	[ "${BUILD:-release}" = release ] || skip "sanitizers need more memory"
	"$PYTHON" "$TOP/test/cmd/streams.py" request 4000 >large.json
	cat large.json | "$PYTHON" "$TOP/test/cmd/streams.py" peak loom-stream -o y.entity >peak
	most=$(($(stat -c %s large.json) / 1024 + 4 * 4000000 / 1024 + 16 * 1024))
	echo "peak $(cat peak) KiB, allowed $most KiB"
	[ "$(cat peak)" -le "$most" ]
	rm large.json y.entity
}

# ---- manners ----

@test "stream: no checkpoint goes to a terminal" {
	stream >in
	script -qec "loom-stream <in; echo status \$?" /dev/null </dev/null >screen
	grep -q 'loom-stream: standard output is a terminal and the result is binary: send it to a file or a pipe' screen
	grep -q 'status 2' screen
	echo "$REQUEST" >in
	script -qec "loom-stream -output y.entity -skip-infer <in; echo status \$?" /dev/null </dev/null >screen
	grep -q 'status 0' screen
}

@test "stream: a full disk is status 4" {
	stream >in
	full_disk loom-stream <in
	echo "$REQUEST" >in
	full_disk loom-stream <in
	full_disk loom-stream -output y.entity -skip-infer <in
}

@test "stream: a folder that is not there is status 4" {
	stream >in
	run -4 --separate-stderr loom-stream -o no/y.entity <in
	[ "$stderr" = "loom-stream: no/y.entity: cannot make it: No such file or directory" ]
}

@test "stream: bad options are status 2" {
	run -2 loom-stream --no-such-option </dev/null
	run -2 loom-stream -nope </dev/null
	run -2 loom-stream -o </dev/null
	run -0 loom-stream -help
	run -0 loom-stream -V
}

@test "stream: a run that is killed leaves nothing" {
	local pid
	mkfifo in
	loom-stream -o y.entity <in 3>&- &
	pid=$!
	exec 4>in
	{ lines && bytes | head -c 5; } >&4
	sleep 0.3
	kill -KILL $pid
	wait $pid || true
	exec 4>&-
	[ "$(ls -A)" = in ]
}

# ---- schemas ----

@test "stream: requests, answers and lines of version 2 fit their schemas" {
	loom-stream -output ok.entity <"$FIXTURES/stream/tanh.json" >ok.json
	run -1 loom-stream -output y <<<'{}'
	printf '%s' "$output" >error.json
	stream >in
	head -n 1 in >head.json
	sed -n 2p in >node.json
	tail -n 1 in | tail -c 24 >end.json
	"$PYTHON" - "$TOP/schemas" "$FIXTURES/stream" <<-'PY'
		import json, pathlib, sys
		from jsonschema import Draft202012Validator as Validator
		schemas, fixtures = map(pathlib.Path, sys.argv[1:])
		def fits(schema, text):
		    schema = json.loads((schemas / schema).read_text())
		    Validator.check_schema(schema)
		    return Validator(schema).is_valid(json.loads(text))
		read = lambda name: pathlib.Path(name).read_text()
		assert fits("request.json", (fixtures / "tanh.json").read_text())
		assert fits("response.json", read("ok.json"))
		assert fits("response.json", read("error.json"))
		for name in ("head", "node", "end"):
		    assert fits(f"layer-stream-{name}.json", read(f"{name}.json")), name
		clients = {"two layers", "envelope", "models_dir", "root", "fixture", "skip_infer beats inputs", "cnn1", "cnn2",
		           "cnn3", "mha", "lstm", "rnn", "layernorm", "embedding", "rmsnorm", "swiglu", "residual", "mixer v1",
		           "mixer v2"}
		for line in (fixtures / "reference.ndjson").open():
		    case = json.loads(line)
		    if case["name"] in clients:
		        assert fits("request.json", case["request"]), case["name"]
		    if case["stdout"]:
		        assert fits("response.json", case["stdout"]), case["name"]
		    # to JSON Schema 2.0 is an integer, and to Python 1e400 an infinity
		    if case["name"].startswith("payload: ") and case["name"].split()[-1] not in ("2.0", "1e400"):
		        assert not fits("request.json", case["request"]), case["name"]
	PY
}

@test "stream: a stream where a model is wanted, and the other way round, are told apart" {
	net=$FIXTURES/layers/dense/rank-1
	run --separate-stderr -3 loom-infer -m "$net/net.stream" -o y "$net/in.npz"
	[[ $stderr = "loom-infer: "*"net.stream: byte 0: is a layer stream, for loom-stream, not a network (expected one of: entity, npz, safetensors, gguf, onnx, huggingface, shards)" ]]
	loom-stream -o net.entity <"$net/net.stream"
	run --separate-stderr -3 loom-stream -o y <net.entity
	[ "$stderr" = "loom-stream: <stdin>: byte 0: is a checkpoint of Loom, not a layer stream" ]
	[ ! -e y ]
}
