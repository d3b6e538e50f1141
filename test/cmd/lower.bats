load helper

# loom-stream --lower: networks of lowering.py, as layers that an unmodified Loom computes.

setup_file() {
	mkdir "$BATS_FILE_TMPDIR/nets" && cd "$BATS_FILE_TMPDIR/nets" || return
	"$PYTHON" "$TOP/test/cmd/lowering.py" >exact
}

setup() {
	mkdir "$BATS_TEST_TMPDIR/work" && cd "$BATS_TEST_TMPDIR/work" || return
	NETS=$BATS_FILE_TMPDIR/nets
}

# refused NAME MESSAGE: nothing is written, and what stood at the output's name stays.
refused() {
	echo old >out.entity
	run -3 --separate-stderr loom-stream --lower -o out.entity <"$NETS/$1.stream"
	echo "$stderr"
	[ "$stderr" = "loom-stream: <stdin>: cannot be lowered: $2" ]
	[ "$output" = "" ]
	[ "$(cat out.entity)" = old ]
	[ "$(echo *)" = out.entity ]
}

@test "lower: an unmodified Loom computes what was lowered, and not what was not" {
	run "$PYTHON" "$TOP/test/interop/lowered.py"
	[ "$status" != 77 ] || skip "$output"
	echo "$output"
	[ "$status" = 0 ]
}

@test "lower: one rounding, so every bit stays: biases, skips, attention without rotation" {
	[ "$(wc -l <"$NETS/exact")" -ge 20 ]
	while read -r name; do
		echo "$name"
		loom-stream <"$NETS/$name.stream" >full.entity
		loom-stream --lower <"$NETS/$name.stream" >lowered.entity
		loom-infer -m full.entity "$NETS/$name.npy" >full.npy
		loom-infer -m lowered.entity "$NETS/$name.npy" >lowered.npy
		cmp -i 128 full.npy lowered.npy
		run -0 entity-dump --check full.entity
		[ "${lines[0]}" = "format entity, Loom + bridge" ]
		[[ "${lines[1]}" = "plain Loom: "* ]]
		run -0 entity-dump --check lowered.entity
		[ "${lines[0]}" = "format entity, plain Loom" ]
	done <"$NETS/exact"
}

@test "lower: the file says no more than it did before its layers" {
	loom-stream --lower <"$NETS/dense.stream" >y.entity
	size=$(od -An -tu8 -j12 -N8 y.entity)
	tail -c +21 y.entity | head -c "$size" >header
	cat >want <<-'END'
		{"format_version":1,"network":{"id":"network","depth":1,"rows":1,"cols":1,"layers_per_cell":1,"layers":[
		{"z":0,"y":0,"x":0,"l":0,"type":"Sequential","activation":"Linear","dtype":"float32","softmax_type":"Standard","sequential_layers":[
		{"z":0,"y":0,"x":0,"l":0,"type":"Parallel","activation":"Linear","dtype":"float32","softmax_type":"Standard","parallel_branches":[
		{"z":0,"y":0,"x":0,"l":0,"type":"Residual","activation":"Linear","dtype":"float32","input_height":5,"output_height":5,"softmax_type":"Standard"},
		{"z":0,"y":0,"x":0,"l":0,"type":"CNN1","activation":"Sigmoid","dtype":"float32","input_height":5,"output_height":1,"input_channels":1,"filters":1,"kernel_size":1,"stride":1,"padding":1,"softmax_type":"Standard"}
		],"combine_mode":"concat"},
		{"z":0,"y":0,"x":0,"l":0,"type":"Dense","activation":"Tanh","dtype":"float32","input_height":6,"output_height":7,"softmax_type":"Standard"}
		]}]},"blobs":[
		{"path":"layers.0.sequential_layers.0.parallel_branches.1","offset":0,"length":4,"dtype":"float32","scale":1,"native":true},
		{"path":"layers.0.sequential_layers.1","offset":4,"length":168,"dtype":"float32","scale":1,"native":true}
		]}
	END
	tr -d '\n' <want | same header -
	[ "$(stat -c %s y.entity)" = $((20 + size + 172)) ]
}

@test "lower: a plain network is written as with --plain, byte for byte" {
	cat >in <<-'END'
		{"loom_stream":2,"planet":"test","model":"m","mode":"eval","nodes":2,"bytes":8,"inputs":[{"name":"x","dtype":"float32","shape":["batch",2]}],"outputs":["z"]}
		{"name":"y","op":"dense","in":["x"],"params":{"in_features":2,"out_features":1,"bias":false},"tensors":[{"slot":"weight","dtype":"float32","shape":[1,2],"axes":["o","i"]}]}
		{"name":"z","op":"relu","in":["y"],"params":{},"tensors":[]}
	END
	{ printf '\0\0\200\77\0\0\0\100' && echo '{"end":true,"bytes":8}'; } >>in
	loom-stream --plain <in >plain.entity
	loom-stream --lower <in >lowered.entity
	same plain.entity lowered.entity
	loom-stream --lower --plain -o both.entity <in
	same plain.entity both.entity
	for kind in cnn2 lstm mha embedding; do
		"$PYTHON" - "$FIXTURES/stream/reference.ndjson" "$kind" >request <<-'PY'
			import json, sys
			for line in open(sys.argv[1]):
			    case = json.loads(line)
			    if case["name"] == sys.argv[2]:
			        request = json.loads(case["request"])
			        for key in ("output_path", "models_dir", "root"):
			            request.pop(key, None)
			        print(json.dumps(request))
		PY
		loom-stream <request >plain.entity
		loom-stream --lower <request >lowered.entity
		same plain.entity lowered.entity
	done
}

@test "lower: requests of version 1, with a destination and without" {
	request='{"planet":"p","model_id":"m","input_dim":2,"layers":[{"index":0,"input_dim":2,"output_dim":1,"weights":[1,2],"bias":[0.5]}]}'
	loom-stream --lower -o y.entity <<<"$request"
	run -0 entity-dump --check y.entity
	[ "${lines[0]}" = "format entity, plain Loom" ]
	loom-stream --lower --output z.entity >answer <<<"{\"bedrock\":\"dense\",\"inputs\":[[3,4]],\"payload\":$request}"
	same y.entity z.entity
	grep -q '"status": "ok"' answer
	tr -d ' \n' <answer | grep -qF '"outputs":[[11.5]]'
	run -1 --separate-stderr loom-stream --lower --output w.entity --skip-infer <<<"${request/0.5/3e38}"
	[ "$stderr" = "" ]
	printf '{\n  "status": "error",\n  "message": "%s"\n}\n' \
		"cannot be lowered: node 0 (dense): 2 times value 0 of its bias, 3.00000001e+38, is more than float32 holds" >want
	echo "$output"
	same want - <<<"$output"
	[ ! -e w.entity ]
}

@test "lower: operations and parameters that Loom has not are refused" {
	refused gelu-erf "node y (gelu): Loom computes with approximate tanh, not none"
	refused slope "node y (leaky_relu): Loom computes with negative_slope 0.01, not 0.2"
	refused softmax "node y (softmax): Loom has no such layer, and no others compute the same"
	refused transpose "node y (transpose): Loom has no such layer, and no others compute the same"
	refused not-causal "node y (attention): Loom computes with causal true, not false"
	refused narrow "node y (attention): Loom fails where num_heads * head_dim is less than d_model, 6"
	refused groups "node y (conv2): Loom computes with groups 1, not 2"
	refused dilation "node y (conv2): Loom computes with dilation [1,1], not [2,2]"
	refused kernel "node y (conv2): Loom computes with kernel [3,3], not [3,2]"
	refused pads "node y (conv2): Loom computes with pad_low [1,1], not [1,0]"
	refused transposed-groups "node y (convtranspose2): Loom computes with groups 1, not 2"
	refused transposed-dilation "node y (convtranspose2): Loom computes with dilation [1,1], not [1,2]"
	refused transposed-pads "node y (convtranspose2): Loom computes with pad_low [1,1], not [1,0]"
	refused transposed-float16 "node y (convtranspose2): Loom makes zeros where its weights are float16"
	refused gru "node y (gru): Loom has no such layer, and no others compute the same"
	refused sequence-lengths "node y (rnn): it reads more than one value, where Loom's layers read one"
	refused relu-rnn "node y (rnn): Loom computes with activation tanh, not relu"
}

@test "lower: shapes that Loom has not are refused" {
	refused batch "node y (attention): Loom lets each sequence of a batch see those before it"
	refused long "node y (attention): Loom's attention goes wrong beyond 512 positions"
	refused rows "node y (dense): Loom takes a row for each index of the first axis, and there are more or fewer"
	refused extents "node y (conv2): its extents depend on sizes that Loom's spec would have to state"
	refused transposed-extents "node y (convtranspose2): its extents depend on sizes that Loom's spec would have to state"
	refused lengths "node y (rnn): Loom takes sequences of one length only"
}

@test "lower: what would be read back as another network is refused" {
	other="the file would be read as another network:"
	first=layers.0.sequential_layers.0
	refused row-as-sequence "node r (rnn): $other input x of layer layers.0 (rnn): expected float32 [..., 1, 3], found float32 [2, 3]"
	refused image-as-rows "node y (dense): $other input x of layer $first.parallel_branches.0 (residual): expected float32 [batch, 24], found float32 [2, 2, 3, 4]"
	refused image-first "node y (tanh): $other input x of layer $first (residual): expected float32 [batch, 24], found float32 [2, 2, 3, 4]"
	refused normed-image-as-sequence "node r (rnn): $other node layers.2 (layers.2): Loom takes a sample for each index of the first axis, and there are more or fewer"
}

@test "lower: connections that Loom has not are refused" {
	refused product "node y (mul): it reads more than one value, where Loom's layers read one"
	refused branches "node h (dense): it does not read what the node before it makes"
	refused crossing "node y (add): g is not what a whole block of layers before it reads"
	refused unequal "node y (add): its inputs have different shapes"
	refused tied "node y (dense): its weight is tied to another tensor"
	refused two-inputs "2 inputs and 1 outputs, where Loom has one of each"
	refused two-outputs "1 inputs and 2 outputs, where Loom has one of each"
	refused not-last "the output h is not what the last node makes"
}

@test "lower: numbers that float32 has not are refused" {
	refused eps-zero "node y (rmsnorm): no scale of the input makes Loom's eps 1e-06 of 0"
	refused too-great "node y (dense): 2 times value 1 of its bias, -1.99999994e+38, is more than float32 holds"
	refused sums-too-great "node y (rnn): the sum of its biases is more than float32 holds"
}

@test "lower: every prefix is refused, a full disk is the machine's fault" {
	refuses_every_prefix "$NETS/attention-first.stream" loom-stream --lower -o out.entity
	[ ! -e out.entity ]
	full_disk loom-stream --lower <"$NETS/attention-first.stream"
}
