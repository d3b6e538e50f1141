load helper

# Networks that use every kind of slot: layers, sidecars, ties, a constant, an activation.
net=$FIXTURES/entity/bridge.entity
loom=$FIXTURES/entity/chain-float32/model.entity

# The header of a .safetensors with something else where something stands first.
edit() {
	"$PYTHON" - "$@" <<-'PY'
		import json, struct, sys
		path, old, new = sys.argv[1:]
		data = open(path, "rb").read()
		size = struct.unpack_from("<Q", data)[0]
		header = data[8:8 + size].replace(old.encode(), new.encode(), 1)
		assert header != data[8:8 + size], old
		open(path, "wb").write(struct.pack("<Q", len(header)) + header + data[8 + size:])
	PY
}

@test "export: each format gives the checkpoint back, byte for byte" {
	for format in safetensors npz onnx gguf; do
		run --separate-stderr -0 loom-export -f $format -o "out.$format" "$loom"
		[ -z "$output" ]
		[ "${stderr_lines[-1]}" = "loom-export: out.$format: reads back identically here" ]
		loom-import "out.$format" >back.entity
		same back.entity "$loom"
	done
}

@test "export: the same model gives the same bytes, in a file and on standard output" {
	for format in safetensors npz onnx gguf; do
		loom-export -f $format -o "a.$format" "$net" 2>/dev/null
		loom-export -f $format "$net" >"b.$format" 2>/dev/null
		same "a.$format" "b.$format"
	done
}

@test "export: threads change neither the bytes nor what is said" {
	for format in onnx safetensors npz; do
		for jobs in 1 2 3 8; do
			loom-export -j "$jobs" -f "$format" -o out "$net" 2>said
			[ "$(cat said)" = "loom-export: out: reads back identically here" ]
			mv out "$format.$jobs"
			same "$format.1" "$format.$jobs"
		done
	done
}

@test "export: every other program takes the file where it takes a model" {
	loom-export -f onnx -o net.onnx "$loom"
	loom-infer -m "$loom" "$FIXTURES/entity/chain-float32/input.npy" >a.npy
	loom-infer -m net.onnx "$FIXTURES/entity/chain-float32/input.npy" >b.npy
	same a.npy b.npy
	[ "$(entity-dump net.onnx | head -n 1)" = 'format onnx' ]
	loom-export -f safetensors net.onnx >net.safetensors
	loom-import net.safetensors >back.entity
	loom-infer -m back.entity "$FIXTURES/entity/chain-float32/input.npy" >c.npy
	same a.npy c.npy
}

@test "export: a narrower type is asked for, and says what each tensor loses" {
	"$PYTHON" "$TOP/test/cmd/net.py" stream '[{"w": [["0x1.001p0", "0x1p-25", 65520, "0x1.8p-24", 1]]}]' |
		loom-stream >one.entity
	run --separate-stderr -0 loom-export -f safetensors -d f16 -o half.safetensors one.entity
	[ "${stderr_lines[0]}" = "loom-export: tensor net.0.weight: float32 to float16: 4 of 5 values change, by at most 0.000244, 0.5 ULP; overflow 1, underflow 1, subnormal 1" ]
	[ "${stderr_lines[1]}" = 'loom-export: half.safetensors: reads back identically here' ]
	run --separate-stderr -2 loom-export -f npz -d bf16 -o no.npz one.entity
	[ "$stderr" = 'loom-export: one.entity: dtype bf16 is not one of this format: f16' ]
	[ ! -e no.npz ]
}

@test "export: the command line is checked" {
	run --separate-stderr -2 loom-export "$net"
	[ "$stderr" = "loom-export: -f FORMAT is missing: see loom-list formats
Try 'loom-export --help'." ]
	run --separate-stderr -2 loom-export -f npy -o x "$net"
	[[ $stderr = 'loom-export: format npy is not one that is exported: '* ]]
	run --separate-stderr -2 loom-export -f onnx --opset 16 -o x "$net"
	[ ! -e x ]
}

@test "export: an option that the format does not take is refused, with those that do" {
	local option
	for option in 'onnx|tokenizer|x|gguf, huggingface take it' 'npz|tokenizer|x|gguf, huggingface take it' \
		'safetensors|opset|17|onnx takes it' 'gguf|opset|23|onnx takes it'; do
		IFS='|' read -r format name value which <<<"$option"
		run --separate-stderr -2 loom-export -f "$format" "--$name" "$value" -o x "$net"
		[ "$stderr" = "loom-export: --$name is no option of $format: $which" ]
		[ ! -e x ]
	done
}

@test "import: an option that the file's format does not take is refused, with those that do" {
	local option
	for option in '--outputs y|onnx takes it' '--data-dir .|onnx, shards take it' \
		'--allow-subdirs|onnx, huggingface, shards take it' '--follow-symlinks|onnx, huggingface, shards take it' \
		'--allow-hardlinks|onnx, huggingface, shards take it' "--template $net|npz, safetensors, shards take it"; do
		# shellcheck disable=SC2086
		run --separate-stderr -2 loom-import ${option%|*} -o x "$net"
		[ "$stderr" = "loom-import: $net: $(cut -d ' ' -f 1 <<<"${option%|*}") is no option of entity: ${option#*|}" ]
		[ ! -e x ]
	done
}

@test "import: a graph takes no more memory than it may" {
	"$PYTHON" - <<-'PY' >net.stream
		import json
		nodes = 40000
		print(json.dumps({"loom_stream": 2, "planet": "test", "model": "m", "mode": "eval", "nodes": nodes, "bytes": 0,
		                  "inputs": [{"name": "x", "dtype": "float32", "shape": [2]}], "outputs": [f"n{nodes - 1}"]}))
		for i in range(nodes):
		    print(json.dumps({"name": f"n{i}", "op": "relu", "in": [f"n{i - 1}" if i else "x"], "params": {}, "tensors": []}))
		print(json.dumps({"end": True, "bytes": 0}))
	PY
	loom-stream -o net.entity net.stream
	run --separate-stderr -3 loom-import -m 16 -o out.entity net.entity
	[ "$stderr" = "loom-import: net.entity: needs more than 16777216 bytes of memory besides its weights (--max-memory)" ]
	[ ! -e out.entity ]
	loom-import -m 4096 -o out.entity net.entity
	same out.entity net.entity
}

@test "export: a limit on the size of files is status 4, a signal leaves nothing" {
	"$PYTHON" "$TOP/test/cmd/net.py" stream "[{\"w\": [$(printf '[%s1],' "$(printf '1,%.0s' {1..4000})")[$(printf '1,%.0s' {1..4000})1]]}]" |
		loom-stream -o net.entity
	mkdir limited
	for format in safetensors npz onnx gguf; do
		run --separate-stderr -4 bash -c 'ulimit -f 8; exec loom-export -f "$1" -o "limited/net.$1" net.entity' - "$format"
		[ "${stderr_lines[-1]}" = "loom-export: limited/net.$format: cannot write it: File too large" ]
		[ "$(ls -A limited)" = "" ]
	done
	# The engine waits; what was written stands beside the output meanwhile.
	mkdir bin ended
	printf '#!/bin/sh\necho "$$" >pid\nexec sleep 60\n' >bin/engine
	chmod +x bin/engine
	for signal in HUP INT QUIT TERM XCPU; do
		rm -f pid
		mkdir temporary
		# A script starts what is in the background deaf to interrupts.
		TMPDIR=$PWD/temporary LOOM_PYTHON=$PWD/bin/engine env --default-signal=INT,QUIT \
			loom-export -f onnx --verify-with waiting -o ended/net.onnx net.entity &
		for _ in {1..200}; do
			[ ! -s pid ] || break
			sleep 0.05
		done
		[ "$(ls -A ended)" != "" ]
		kill -"$signal" $!
		! wait $!
		[ "$(ls -A ended)" = "" ]
		rmdir temporary
		state=$(sed 's/.*) //; s/ .*//' "/proc/$(cat pid)/stat" 2>/dev/null) || state=gone
		case $state in Z | gone) ;; *) sleep 0.5 && ! grep -q sleep "/proc/$(cat pid)/comm" ;; esac
	done
}

@test "export: nothing is left where the output cannot be, or the model is none" {
	mkdir -p in/there
	printf 'no network' >in/bad
	run --separate-stderr -4 loom-export -f onnx -o in/there "$net"
	[ "$stderr" = 'loom-export: in/there: cannot write it: Is a directory' ]
	run --separate-stderr -4 loom-export -f onnx -o in/nowhere/x.onnx "$net"
	[ "$stderr" = 'loom-export: in/nowhere/x.onnx: cannot make a directory for it: No such file or directory' ]
	run --separate-stderr -3 loom-export -f onnx -o in/x.onnx in/bad
	[ "$(ls -A in)" = "bad
there" ]
}

@test "import: the network comes from the file, not from the checkpoint that it keeps" {
	loom-export -f safetensors -o net.safetensors "$net"
	edit net.safetensors '\"approximate\":\"none\"' '\"approximate\":\"tanh\"'
	run --separate-stderr -0 loom-import -o changed.entity net.safetensors
	[ "$stderr" = "loom-import: the file keeps the header of a checkpoint that is not this network's, and it is not used: node g (gelu): its approximate is tanh, not none" ]
	entity-dump changed.entity | grep -q 'approximate=tanh'
}

@test "import: weights alone are for the network that is named" {
	loom-export -f safetensors -o net.safetensors "$loom"
	"$PYTHON" - <<-'PY'
		from safetensors import numpy
		numpy.save_file(numpy.load_file("net.safetensors"), "bare.safetensors")
	PY
	run --separate-stderr -3 loom-import bare.safetensors
	[[ $stderr = 'loom-import: bare.safetensors: holds '*' tensors and does not say what network they are of: name one with loom-import --template MODEL' ]]
	loom-import -t "$loom" bare.safetensors >back.entity
	loom-infer -m "$loom" "$FIXTURES/entity/chain-float32/input.npy" >a.npy
	loom-infer -m back.entity "$FIXTURES/entity/chain-float32/input.npy" >b.npy
	same a.npy b.npy
	"$PYTHON" - <<-'PY'
		from safetensors import numpy
		old = numpy.load_file("bare.safetensors")
		numpy.save_file({f"its.{name}": value for name, value in old.items()} , "named.safetensors")
	PY
	run --separate-stderr -3 loom-import -t "$loom" named.safetensors
	[ "$stderr" = 'loom-import: named.safetensors: no tensor is called layers.0.weight' ]
}

# What a module's state dict calls them: the sources of the stream that the template was made of.
@test "import: weights alone may have the names that they had where the network came from" {
	loom-export -f safetensors -o net.safetensors "$net"
	"$PYTHON" - <<-'PY'
		from safetensors import numpy
		old = numpy.load_file("net.safetensors")
		old["first.T"] = old.pop("net.0.weight") * 2
		old["bn.num_batches_tracked"] = old["c.value"].astype("i8")
		numpy.save_file(old, "named.safetensors")
	PY
	loom-import -t "$net" -o back.entity named.safetensors
	entity-dump "$net" | grep -q 'weight net.0.weight .* min=-1 max=2 '
	entity-dump back.entity | grep -q 'weight net.0.weight .* min=-2 max=4 '
}

@test "import: a full disk is status 4, and leaves nothing" {
	loom-export -f npz -o net.npz "$net" 2>/dev/null
	full_disk loom-import net.npz
}

@test "export: what real Loom wrote in float32 comes back byte for byte, all else as the same network" {
	for model in "$FIXTURES"/entity/*/model.entity; do
		entity-dump "$model" >/dev/null 2>&1 || continue
		case $model in
		*-float32/*) formats="onnx safetensors npz" ;;
		*) formats=onnx ;;
		esac
		for format in $formats; do
			run --separate-stderr -0 loom-export -f "$format" -o "out.$format" "$model"
			[ "${stderr_lines[-1]}" = "loom-export: out.$format: reads back identically here" ]
			[ "$formats" = onnx ] || same <(loom-import "out.$format") "$model"
		done
	done
}
