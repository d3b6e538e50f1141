# Hugging Face directories, in and out; what transformers makes of ours is test/interop/huggingface.py.
# fixtures/huggingface/add is a trained network: it adds two digits.
load helper

ADD=$FIXTURES/huggingface/add

# export_fails STATUS MESSAGE ARGUMENT...: nothing appears.
export_fails() {
	local status=$1 message=$2
	shift 2
	run "-$status" --separate-stderr loom-export -f huggingface -o out "$@"
	[ "$output" = "" ]
	[ "$stderr" = "loom-export: $message" ] || {
		echo "$stderr"
		return 1
	}
	[ ! -e out ]
}

# import_fails STATUS MESSAGE ARGUMENT...
import_fails() {
	local status=$1 message=$2
	shift 2
	run "-$status" --separate-stderr loom-import -o out.entity "$@"
	[ "$output" = "" ]
	[ "$stderr" = "loom-import: $message" ] || {
		echo "$stderr"
		return 1
	}
	[ ! -e out.entity ]
}

# sums MODEL: the sum that it says for each pair of digits, a line each.
sums() {
	python3 "$TOP/test/cmd/sums.py" loom-infer -m "$1" -r f32
}

@test "huggingface: a trained network adds as it was taught to, from its directory and from a checkpoint" {
	local a b
	for a in 0 1 2 3 4 5 6 7 8 9; do
		for b in 0 1 2 3 4 5 6 7 8 9; do
			echo $((a + b))
		done
	done >expected
	sums "$ADD" >from-directory
	same expected from-directory
	loom-import -o add.entity "$ADD"
	sums add.entity >from-checkpoint
	same expected from-checkpoint
}

@test "huggingface: out and in again is the same checkpoint, and out again the same directory" {
	loom-import -o add.entity "$ADD"
	loom-export -f huggingface -o out add.entity 2>err
	[ "$(cat err)" = "loom-export: out: reads back identically here" ]
	[ "$(ls out)" = "config.json
model.safetensors" ]
	loom-import -o again.entity out
	same add.entity again.entity
	loom-export -f huggingface -o once-more again.entity
	same out/config.json once-more/config.json
	same out/model.safetensors once-more/model.safetensors
}

# facts FOLDER: what its config.json says beside the network.
facts() { grep '_token_id\|max_position' "$1/config.json" | tr -d ' \n'; }

@test "huggingface: positions and special tokens travel through a checkpoint and GGUF" {
	local known='"bos_token_id":1,"eos_token_id":[2,3],"max_position_embeddings":48,"pad_token_id":4,'
	cp -r "$ADD" in
	sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 48/; /_token_id"/d; s/^{/{\n"pad_token_id": 4, "bos_token_id": 1, "eos_token_id": [2, 3],/' in/config.json
	loom-import -o add.entity in
	loom-export -f huggingface -o out add.entity
	[ "$(facts out)" = "$known" ]
	# Of several that end a text GGUF holds the first; what a tokenizer says goes before what the model does.
	python3 "$TOP/test/cmd/ggufs.py" tokenizer letters tok
	loom-export -f gguf -T tok -o add.gguf add.entity 2>err
	[ "$(cat err)" = "loom-export: add.gguf: reads back identically here" ]
	python3 "$TOP/test/cmd/ggufs.py" show add.gguf | grep -v '^loom' | grep 'context_length\|_token_id' >found
	same found - <<-'END'
		tokenizer.ggml.bos_token_id 4 1
		tokenizer.ggml.eos_token_id 4 2
		tokenizer.ggml.padding_token_id 4 4
		llama.context_length 4 48
	END
	loom-import -o again.entity add.gguf
	loom-export -f huggingface -o again again.entity
	[ "$(facts again)" = "$known" ]
	# As another tool changes them.
	python3 "$TOP/test/cmd/ggufs.py" change add.gguf tokenizer.ggml.eos_token_id 5
	loom-export -f huggingface -o changed add.gguf
	[ "$(facts changed)" = '"bos_token_id":1,"eos_token_id":5,"max_position_embeddings":48,"pad_token_id":4,' ]
}

@test "huggingface: where nothing says for how many positions a network was made, a line says so" {
	loom-import -o add.entity "$ADD"
	python3 "$TOP/test/cmd/ggufs.py" forget add.entity
	run --separate-stderr -0 loom-export -f huggingface -o out add.entity
	[ "${stderr_lines[0]}" = "loom-export: neither the model nor a config.json beside a tokenizer says how many positions the network was made for: 2048 is written" ]
	[ "$(facts out)" = '"bos_token_id":null,"eos_token_id":null,"max_position_embeddings":2048,' ]
	loom-import -o again.entity out
	same add.entity again.entity
}

@test "huggingface: a change of config.json or of a weight is a change of the network" {
	local change
	loom-import -o add.entity "$ADD"
	loom-export -f huggingface -o out add.entity
	python3 "$TOP/test/cmd/sums.py" >ids.npy
	loom-infer -m out -H ids.npy >before
	for change in 's/"rope_theta": 10000.0/"rope_theta": 2.0/' 's/"rms_norm_eps": 0.000001/"rms_norm_eps": 0.5/'; do
		cp -r out changed
		sed -i "$change" changed/config.json
		run -1 same out/config.json changed/config.json
		loom-infer -m changed -H ids.npy >after
		run -1 same before after
		loom-import -o changed.entity changed
		run -1 same add.entity changed.entity
		rm -r changed changed.entity
	done
	printf '\377' | dd of=out/model.safetensors bs=1 conv=notrunc status=none \
		seek=$(($(stat -c %s out/model.safetensors) - 1))
	loom-import -o changed.entity out
	run -1 same add.entity changed.entity
}

@test "huggingface: what is no decoder, and what does not fit, is refused" {
	loom-import -o add.entity "$ADD"
	cp "$FIXTURES/entity/chain-float32/model.entity" chain.entity
	export_fails 3 "chain.entity: is no decoder that such a directory could hold: input x is not int64 [batch, sequence]; one of transformers leaves by way of its own: save_pretrained, then loom-import DIRECTORY" \
		chain.entity
	export_fails 2 "add.entity: dtype q8_0 is not one of this format: f16 or bf16" --dtype q8_0 add.entity
	export_fails 2 "standard output: cannot be the directory that this format is: name one with -o" -o - add.entity
	mkdir out && touch out/file
	run -4 --separate-stderr loom-export -f huggingface -o out add.entity
	[ "$(ls out)" = file ]
	rm -r out
	cp -r "$ADD" add
	import_fails 2 "add: --template is no option of huggingface: npz, safetensors, shards take it" \
		--template add.entity add
	mkdir empty
	import_fails 3 "empty: is a directory without a config.json: not a network that we read" empty
}

@test "huggingface: config.json is not the network, its directory is" {
	import_fails 3 "$ADD/config.json: byte 0: is the config.json of a Hugging Face directory: name the directory" "$ADD/config.json"
	run -3 --separate-stderr entity-dump - <"$ADD/config.json"
	[ "$output" = "" ]
	[ "$stderr" = "entity-dump: <stdin>: byte 0: is the config.json of a Hugging Face directory: name the directory" ]
	echo '{"nodes": []}' >other.json
	import_fails 3 "other.json: byte 0: not a network (expected one of: entity, npz, safetensors, gguf, onnx, huggingface, shards)" other.json
}

@test "huggingface: narrower weights cost what a line for each tensor says" {
	loom-export -f huggingface --dtype bf16 -o out "$ADD" 2>err
	[ "$(grep -c '^loom-export: tensor [a-z0-9_.]*: float32 to bfloat16: ' err)" = 12 ]
	grep -q '"torch_dtype": "bfloat16"' out/config.json
	[ "$(entity-dump out | grep -c ' bfloat16 ')" = 12 ]
}

@test "huggingface: what the tokenizer is made of goes along" {
	mkdir tok
	echo '{"model": {"type": "BPE"}, "added_tokens": [{"id": 2, "content": "</s>"}]}' >tok/tokenizer.json
	echo '{"eos_token": {"content": "</s>"}}' >tok/tokenizer_config.json
	echo '{"max_position_embeddings": 64, "bos_token_id": 1}' >tok/config.json
	echo '{"eos_token": "</s>"}' >tok/special_tokens_map.json
	loom-export -f huggingface --tokenizer tok -o out "$ADD" 2>err
	[ "$(cat err)" = "loom-export: out: reads back identically here" ]
	same tok/tokenizer.json out/tokenizer.json
	same tok/tokenizer_config.json out/tokenizer_config.json
	same tok/special_tokens_map.json out/special_tokens_map.json
	grep -qx '  "max_position_embeddings": 64,' out/config.json
	grep -qx '  "bos_token_id": 1,' out/config.json
	grep -qx '  "eos_token_id": 2,' out/config.json
	[ "$(cat out/generation_config.json)" = '{
  "bos_token_id": 1,
  "eos_token_id": 2
}' ]
	rm -r out
	export_fails 4 "none/tokenizer.json: cannot open it: No such file or directory" --tokenizer none/tokenizer.json "$ADD"
}

@test "huggingface: a cache of links is read where the user says so, an index as a file with a template" {
	mkdir blobs snapshot
	cp "$ADD/config.json" blobs/1
	cp "$ADD/model.safetensors" blobs/2
	ln -s ../blobs/1 snapshot/config.json
	ln -s ../blobs/2 snapshot/model.safetensors
	import_fails 3 "snapshot: external file config.json is reached through a symbolic link (--follow-symlinks takes those that stay within the directory)" snapshot
	loom-import --follow-symlinks -o linked.entity snapshot
	loom-import -o add.entity "$ADD"
	same add.entity linked.entity
	loom-export -f safetensors -o flat.safetensors add.entity
	python3 - <<-'EOF'
		import json, struct
		data = open("flat.safetensors", "rb").read()
		n = struct.unpack("<Q", data[:8])[0]
		names = [k for k in json.loads(data[8:8 + n]) if k != "__metadata__"]
		json.dump({"weight_map": {k: "flat.safetensors" for k in names}}, open("index.json", "w"))
	EOF
	loom-import --template add.entity -o flat.entity index.json
	sums flat.entity >flat
	sums add.entity >expected
	same expected flat
	loom-import --data-dir . --template add.entity -o piped.entity - <index.json
	same flat.entity piped.entity
}

@test "huggingface: weights alone come and go by its names, with what is said beside them" {
	loom-import -o add.entity "$ADD"
	loom-export -f torch -o state.safetensors add.entity
	loom-compare -q state.safetensors "$ADD/model.safetensors"
	loom-import -t add.entity -o back.entity state.safetensors
	loom-export -f huggingface -o there add.entity
	loom-export -f huggingface -o again back.entity
	grep -E '"(bos|eos)_token_id"|max_position' there/config.json >want
	grep -E '"(bos|eos)_token_id"|max_position' again/config.json | same want -
}
