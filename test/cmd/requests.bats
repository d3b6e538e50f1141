load helper

# Requests of version 1 of the kinds besides dense; stream.bats replays what the reference answered.

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cp "$FIXTURES"/stream/fx*.npz .
}

# recorded NAME: the recorded request of that name, on one line.
recorded() {
	"$PYTHON" - "$FIXTURES/stream/reference.ndjson" "$1" <<-'PY'
		import json, sys
		for line in open(sys.argv[1]):
		    case = json.loads(line)
		    if case["name"] == sys.argv[2]:
		        print(case["request"])
	PY
}

# changed NAME EXPRESSION: that request after a statement about it, `r`, and its first layer, `l`.
changed() {
	recorded "$1" | "$PYTHON" -c 'import json, sys
r = json.load(sys.stdin)
l = r["layers"][0]
exec(sys.argv[1])
print(json.dumps(r))' "$2"
}

# refused MESSAGE: standard input is answered with it, and nothing is left.
refused() {
	local status=0
	rm -rf out
	loom-stream >answer 2>said || status=$?
	cat answer said
	[ "$status" = 1 ]
	[ ! -s said ]
	printf '{\n  "status": "error",\n  "message": "%s"\n}\n' "$1" | same answer -
	[ -z "$(find . -name '*.entity')" ]
}

@test "requests: where the reference's numbers are wrong ours are those of the formulas" {
	PYTHONDONTWRITEBYTECODE=1 "$PYTHON" "$FIXTURES/stream/right.py" "$(command -v loom-stream)"
}

@test "requests: inputs, output_path and skip_infer hold for every kind" {
	local kind
	for kind in cnn1 cnn2 cnn3 mha lstm rnn layernorm embedding rmsnorm swiglu residual "mixer v1" "mixer v2"; do
		rm -rf -- *.entity out
		recorded "$kind" >request
		loom-stream <request >by-fixture
		changed "$kind" 'del r["models_dir"]; r.update(output_path="a.entity", fixture_version="none", skip_infer=True)' |
			loom-stream >skipped
		grep -q '"entity_path": "a.entity"' skipped
		! grep -q outputs skipped
		same a.entity out/p/*/*.entity
		"$PYTHON" "$FIXTURES/stream/rows.py" request >with-rows
		loom-stream -output b.entity <with-rows >by-rows
		same b.entity a.entity
		sed 's/"entity_path": ".*"/"entity_path": "b.entity"/' by-fixture | same - by-rows
	done
}

@test "requests: without a destination each is a filter, and loom-infer runs what comes out" {
	local kind
	for kind in cnn1 cnn2 cnn3 mha lstm rnn layernorm embedding rmsnorm swiglu residual "mixer v1" "mixer v2"; do
		changed "$kind" 'del r["models_dir"]' | loom-stream >net.entity
		"$PYTHON" "$FIXTURES/stream/rows.py" --npz <(recorded "$kind") x.npz
		loom-infer -m net.entity x.npz >y.npy
		recorded "$kind" | loom-stream >answer
		"$PYTHON" - <<-'PY'
			import json, numpy as np
			y, answer = np.load("y.npy"), json.load(open("answer"))["outputs"]
			assert np.array_equal(y.reshape(len(y), -1).astype(float), answer)
		PY
	done
}

@test "requests: faults name the layer, what was expected and what was found" {
	refused 'layer 0: \"kind\" is \"CNN1\", not \"cnn1\"' < <(recorded "cnn1: kind in capitals")
	refused 'layer 0: \"in_channels\" is 1, but the request'"'"'s is 2' < <(recorded "cnn1: wrong channels")
	refused 'layer 1: \"input_length\" is 5, but what the layer before gives is 4' < <(recorded "cnn1: second layer too long")
	refused 'node 0 (conv1): stride holds -9223372036854775808, expected 1 to 1048576' < <(changed cnn1 'l.update(stride=-2**63, kernel_size=100)')
	refused 'layer 0: \"q_weights\" has 15 numbers, expected 16' < <(recorded "mha: too few q_weights")
	refused 'layer 0: \"o_bias\" has 5 numbers, expected 4' < <(recorded "mha: too many o_bias")
	refused 'layer 0: \"bias\" has 2 numbers, but a layer of kind \"rnn\" has none' < <(changed rnn 'l["bias"] = [1, 2]')
	refused 'layer 9: \"q_bias\" has 1 numbers, but a layer of kind \"dense\" has none' < <(changed "mixer v1" 'r["layers"][9]["q_bias"] = [1]')
	refused 'layer 0: \"i_weights\" has 11 numbers, expected 12' < <(recorded "lstm: too few i_weights")
	refused 'layer 0: \"hidden_size\" is 2, but the request'"'"'s is 4' < <(recorded "lstm: wrong hidden_size")
	refused '\"seq_len\" is -1, expected 1 to 16777216' < <(recorded "layernorm: negative seq_len")
	refused '\"layers\" has 9 layers, where a mixer has 10' < <(recorded "mixer v1: nine layers")
	refused 'layer 0: \"kind\" is \"\", which is no layer'"'"'s' < <(recorded "mixer v1: no kind")
	refused 'inference needs inputs: \"inputs\", or \"fixture_version\" and \"fixtures_dir\"; or ask for \"skip_infer\"' < <(changed rnn 'r["fixture_version"] = ""')
	refused '\"inputs\": row 1 has 11 numbers, fewer than the 12 of a sample' < <(changed rnn 'r["inputs"] = [[1] * 12, [1] * 11]')
}

@test "requests: a fixture that does not fit is refused before anything is written" {
	refused './fx.npz: x_test is float64 [3, 3], but a sample of the request is float32 [4, 3]' < <(changed rnn 'r["fixture_version"] = "fx"')
	refused './fx-rnn.npz: x_test is float64 [5, 5, 4], but a sample of the request is float32 [6, 3]' < <(changed rnn 'r["seq_len"] = l["seq_len"] = 6')
	refused './fx-rnn.npz: it has no x_main_test.npy' < <(changed residual 'r["fixture_version"] = "fx-rnn"')
}
