# GGUF: llama-like decoders and other networks, in and out.  ggufs.py makes files and reads them by a reader of
# its own; what ggml, llama.cpp and transformers make of ours is test/interop/gguf_file.py.
load helper

ggufs() { python3 "$TOP/test/cmd/ggufs.py" "$@"; }

# decoder FAMILY: FAMILY.gguf, FAMILY.entity and a tokenizer in tok.
decoder() {
	ggufs make "$1" "$1.gguf"
	loom-import -o "$1.entity" "$1.gguf"
	ggufs tokenizer gpt-2 tok
}

# export_fails STATUS MESSAGE ARGUMENT...: nothing appears.
export_fails() {
	local status=$1 message=$2
	shift 2
	run "-$status" --separate-stderr loom-export -f gguf -o out.gguf "$@"
	[ "$output" = "" ]
	[ "$stderr" = "loom-export: $message" ] || {
		echo "$stderr"
		return 1
	}
	[ ! -e out.gguf ]
}

# The sections of a decoder's file that are not the tokenizer's, nor follow from it.
network_of() { ggufs show "$1" | grep -v '^tokenizer\.\|^loom\.facts'; }

@test "gguf: each family comes in and goes out with the same tensors and numbers" {
	local family
	for family in llama biased factors qwen2 qwen3; do
		decoder "$family"
		loom-export -f gguf --tokenizer tok -o "$family.out" "$family.entity" 2>err
		[ "$(cat err)" = "loom-export: $family.out: reads back identically here" ]
		# Tensors in another order; the same dims, kind and bytes of each.
		ggufs show "$family.gguf" | grep '^[a-z0-9_.]* \[' | sed 's/ [0-9]* \([0-9a-f]*\)$/ \1/' | sort >theirs
		ggufs show "$family.out" | grep '^[a-z0-9_.]* \[' | sed 's/ [0-9]* \([0-9a-f]*\)$/ \1/' | sort >ours
		same theirs ours
		ggufs show "$family.gguf" | grep -v '^[a-z0-9_.]* \[' | sort >theirs
		network_of "$family.out" | grep -v '^[a-z0-9_.]* \[' |
			grep -v 'vocab_size\|^general.file_type' | sort >ours
		same theirs ours
		loom-import -o again.entity "$family.out"
		same "$family.entity" again.entity
	done
}

@test "gguf: the same network gives the same bytes, also from and to a pipe" {
	decoder qwen2
	loom-export -f gguf --tokenizer tok -o one.gguf qwen2.entity
	loom-export -f gguf --tokenizer tok -o two.gguf - <qwen2.entity
	loom-export -f gguf --tokenizer tok qwen2.entity | cat >three.gguf
	same one.gguf two.gguf
	same one.gguf three.gguf
	loom-export -f gguf --tokenizer tok qwen2.entity | loom-import -o pipe.entity -
	same pipe.entity qwen2.entity
}

@test "gguf: a changed number or value is a changed network" {
	local key
	decoder llama
	loom-export -f gguf --tokenizer tok -o out.gguf llama.entity
	for key in llama.rope.freq_base=9000 llama.attention.layer_norm_rms_epsilon=0.001; do
		cp out.gguf changed.gguf
		ggufs change changed.gguf "${key%=*}" "${key#*=}"
		loom-import -o changed.entity changed.gguf
		run -1 cmp -s changed.entity llama.entity
	done
	entity-dump changed.gguf | grep -c 'rope_base=5000 ' | grep -qx 2
	ggufs change changed.gguf llama.rope.freq_base 9000
	entity-dump changed.gguf | grep -c 'rope_base=9000 ' | grep -qx 2
	cp out.gguf changed.gguf
	ggufs flip changed.gguf blk.1.ffn_up.weight
	loom-import -o changed.entity changed.gguf
	[ "$(cmp -l changed.entity llama.entity | wc -l)" = 1 ]
	# The first row of a permuted matrix is another row of ours.
	cp out.gguf changed.gguf
	ggufs flip changed.gguf blk.1.attn_q.weight
	loom-import -o changed.entity changed.gguf
	[ "$(cmp -l changed.entity llama.entity | wc -l)" = 1 ]
}

@test "gguf: queries and keys are permuted for llama alone" {
	decoder llama
	ggufs make llama qwen2.gguf
	python3 - <<-END
		data = open("qwen2.gguf", "rb").read().replace(b"llama", b"qwen2")
		open("qwen2.gguf", "wb").write(data)
	END
	loom-import -o qwen2.entity qwen2.gguf
	entity-dump llama.gguf | grep weight | grep -v 'W[qk] ' >llama.rest
	entity-dump qwen2.gguf | grep weight | grep -v 'W[qk] ' >qwen2.rest
	same llama.rest qwen2.rest
	run -1 cmp -s llama.entity qwen2.entity
}

@test "gguf: narrower matrices are asked for, and a line says what each costs" {
	local dtype kind
	decoder llama
	for dtype in f16=1 bf16=30 q8_0=8 q4_0=2 q4_1=3 q5_0=6 q5_1=7; do
		kind=${dtype#*=} dtype=${dtype%=*}
		loom-export -f gguf --dtype "$dtype" --tokenizer tok -o "$dtype.gguf" llama.entity 2>err
		[ "$(grep -c "^loom-export: tensor .*: float32 to .*: [0-9]* of [0-9]* values change, by at most " err)" = 16 ]
		[ "$(tail -n 1 err)" = "loom-export: $dtype.gguf: reads back identically here" ]
		[ "$(wc -l <err)" = 17 ]
		ggufs show "$dtype.gguf" | grep '^[a-z0-9_.]* \[' >tensors
		[ "$(grep -c "\], $kind\|\] $kind " tensors)" = 16 ]
		[ "$(grep -c "norm.weight \[64\] 0 " tensors)" = 5 ]
		[ "$(wc -l <tensors)" = 21 ]
	done
	export_fails 2 "llama.entity: dtype q6_k is not one that GGUF is written in: f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0" \
		--dtype q6_k --tokenizer tok llama.entity
}

@test "gguf: a network in half precision stays in it, but for its vectors" {
	decoder qwen3
	loom-export -f gguf --dtype f16 --tokenizer tok -o half.gguf qwen3.entity
	loom-import -o half.entity half.gguf
	loom-export -f gguf --tokenizer tok -o again.gguf half.entity
	same half.gguf again.gguf
}

@test "gguf: what blocks cannot hold is refused, rows that fill no blocks stay" {
	"$PYTHON" "$TOP/test/cmd/net.py" stream '[{"w": [[1, "nan"]], "b": [1]}]' | loom-stream -o net.entity
	loom-export -f gguf --dtype q8_0 -o net.gguf net.entity 2>err
	grep -qx "loom-export: tensor l.0.weight stays float32: rows of 2 values, q8_0 takes 32 at a time" err
	"$PYTHON" -c 'import json; print(json.dumps([{"w": [[1] * 31 + ["inf"]]}]))' >row
	"$PYTHON" "$TOP/test/cmd/net.py" stream - <row | loom-stream -o row.entity
	run -3 --separate-stderr loom-export -f gguf --dtype q8_0 -o out.gguf row.entity
	[ "${stderr##*$'\n'}" = "loom-export: row.entity: tensor l.0.weight: holds NaN or infinity, which q8_0 cannot" ]
	[ ! -e out.gguf ]
}

@test "gguf: a decoder without its tokenizer is refused" {
	decoder llama
	export_fails 2 "llama.entity: a decoder needs its tokenizer in GGUF: --tokenizer with a tokenizer.json, or the directory it is in" \
		llama.entity
	export_fails 4 "tok/none.json: cannot open it: No such file or directory" --tokenizer tok/none.json llama.entity
	mkdir empty
	export_fails 4 "empty/tokenizer.json: cannot open it: No such file or directory" --tokenizer empty llama.entity
}

# keys_of TOKENIZER: the tokenizer's keys in the file that it gives.
keys_of() {
	ggufs tokenizer "$1" "tok.$1"
	loom-export -f gguf --tokenizer "tok.$1" -o "$1.gguf" llama.entity 2>err
	ggufs show "$1.gguf" | grep '^tokenizer\.'
}

@test "gguf: a tokenizer arrives whole" {
	decoder llama
	keys_of gpt-2 >found
	cat >expected <<-'END'
		tokenizer.ggml.model 8 "gpt2"
		tokenizer.ggml.pre 8 "gpt-2"
		tokenizer.ggml.tokens 9 ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z", "th", "the", "[PAD28]", "[PAD29]", "<s>", "</s>", "<tool>", "[PAD33]", "[PAD34]", "[PAD35]", "[PAD36]", "[PAD37]", "[PAD38]", "[PAD39]"]
		tokenizer.ggml.token_type 9 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5, 3, 3, 4, 5, 5, 5, 5, 5, 5, 5]
		tokenizer.ggml.merges 9 ["t h", "th e"]
		tokenizer.ggml.bos_token_id 4 30
		tokenizer.ggml.eos_token_id 4 31
		tokenizer.ggml.padding_token_id 4 31
		tokenizer.ggml.add_bos_token 7 false
		tokenizer.chat_template 8 "{{ messages }}"
	END
	same found expected
	for kind in llama-bpe qwen2 smollm; do
		keys_of "$kind" | grep -qxF "tokenizer.ggml.pre 8 \"$kind\""
	done
	keys_of begins | grep -qxF 'tokenizer.ggml.add_bos_token 7 true'
	keys_of no-begin | grep -qxF 'tokenizer.ggml.add_bos_token 7 false'
	printf 'a template' >tok.gpt-2/chat_template.jinja
	loom-export -f gguf --tokenizer tok.gpt-2/tokenizer.json -o file.gguf llama.entity
	ggufs show file.gguf | grep -qxF 'tokenizer.chat_template 8 "a template"'
}

@test "gguf: how many positions a network was made for is said, or said to be unknown" {
	decoder llama
	keys_of gpt-2 >found
	ggufs show gpt-2.gguf | grep -qxF 'llama.context_length 4 64'
	keys_of no-context >found
	[ "$(cat err)" = "loom-export: no-context.gguf: reads back identically here" ]
	ggufs show no-context.gguf | grep -qxF 'llama.context_length 4 64'
	ggufs forget llama.entity
	keys_of no-context >found
	grep -qxF 'loom-export: neither the model nor a config.json beside the tokenizer says how many positions the network was made for: 2048 is written' err
	ggufs show no-context.gguf | grep -qxF 'llama.context_length 4 2048'
}

# refuses KIND STATUS MESSAGE: that tokenizer.
refuses() {
	ggufs tokenizer "$1" "tok.$1"
	export_fails "$2" "llama.entity: $3" --tokenizer "tok.$1" llama.entity
}

@test "gguf: a tokenizer that llama.cpp would take for another is refused" {
	decoder llama
	refuses sentencepiece 3 "tokenizer.json: its model is Unigram, which does not go into GGUF here: byte-level BPE does"
	refuses fallback 3 "tokenizer.json: its model is BPE with byte_fallback, which does not go into GGUF here: byte-level BPE does"
	refuses lower 3 "tokenizer.json: its normalizer Lowercase has no counterpart in GGUF"
	refuses spaces 3 "tokenizer.json: its pre_tokenizer (ByteLevel) is none of those of gpt-2, smollm, llama-bpe and qwen2"
	refuses other-regex 3 "tokenizer.json: its pre_tokenizer (Split, ByteLevel) is none of those of gpt-2, smollm, llama-bpe and qwen2"
	refuses too-many 3 "tokenizer.json: token zz has id 40, but the network's vocabulary has 40"
	refuses twice 3 "tokenizer.json: two tokens have id 3"
	refuses two-ids 3 "tokenizer.json: token a has two ids"
	refuses no-merges 3 'tokenizer.json: model: "merges" is missing'
	refuses bad-merge 3 "tokenizer.json: merge 2 is no pair of tokens without spaces"
	refuses unknown-bos 3 "tokenizer_config.json: bos_token is <begin>, which is no token"
}

# round FOLDER: a case of fixtures/layers out and in again.
round() {
	loom-stream -o net.entity <"$1/net.stream"
	loom-export -f gguf -o net.gguf net.entity 2>err
	head -n 1 err | grep -qx 'loom-export: no decoder that llama.cpp runs (.*): written as a plain container of tensors'
	loom-import -o back.entity net.gguf
	loom-export -f gguf -o back.gguf back.entity 2>err
	same net.gguf back.gguf
	loom-infer -m net.entity "$1/in.npz" >one.npy
	loom-infer -m net.gguf "$1/in.npz" >two.npy
	same one.npy two.npy
}

@test "gguf: every operation leaves in a plain container, and comes back" {
	local op case
	for op in "$FIXTURES"/layers/*/; do
		[ "$(basename "$op")" != __pycache__ ] || continue
		for case in "$op"*/; do
			round "${case%/}" || {
				echo "$case"
				return 1
			}
			break
		done
	done
	for case in conv3/everything constant/bool constant/int64 constant/scalar; do
		round "$FIXTURES/layers/$case"
	done
	loom-stream -o net.entity <"$FIXTURES/layers/conv3/everything/net.stream"
	loom-export -f gguf -o net.gguf net.entity
	ggufs show net.gguf | grep -q '^loom.shape.l.0.weight 9 \['
}

@test "gguf: a changed edge or parameter in a plain container is a changed network" {
	"$PYTHON" "$TOP/test/cmd/net.py" stream '[{"w": [[1, 2], [3, 4]], "act": "relu"}, {"w": [[5, 6], [7, 8]]}]' |
		loom-stream -o net.entity
	loom-export -f gguf -o net.gguf net.entity
	python3 - <<-END
		data = open("net.gguf", "rb").read()
		for name, old, new in ("edge", b'"in":["act.0"]', b'"in":["net.0"]'), ("op", b'"op":"relu"', b'"op":"tanh"'):
		    assert old in data
		    # The first is the network's; what the checkpoint said, which is kept as well, stays as it was.
		    open(name + ".gguf", "wb").write(data.replace(old, new, 1))
	END
	entity-dump net.gguf | grep -q 'node net.1 dense in=act.0 '
	entity-dump edge.gguf | grep -q 'node net.1 dense in=net.0 '
	entity-dump op.gguf | grep -q 'node act.0 tanh '
}

@test "gguf: a file in parts is read from its first" {
	decoder qwen2
	ggufs split qwen2.gguf part
	loom-import -o parts.entity part-00001-of-00002.gguf
	same parts.entity qwen2.entity
	run -3 --separate-stderr loom-import -o none.entity part-00002-of-00002.gguf
	[ "$stderr" = "loom-import: part-00002-of-00002.gguf: is part 2 of 2: name the first" ]
	cp part-00001-of-00002.gguf alone.gguf
	run -3 --separate-stderr loom-import -o none.entity alone.gguf
	[ "$stderr" = "loom-import: alone.gguf: is the first of 2 parts, but its name does not end in -00001-of-00002.gguf" ]
	cp part-00001-of-00002.gguf part-00002-of-00002.gguf
	run -3 --separate-stderr loom-import -o none.entity part-00001-of-00002.gguf
	[ "$stderr" = "loom-import: part-00002-of-00002.gguf: byte 629: tensor token_embd.weight is there twice" ]
	rm part-00002-of-00002.gguf
	run -4 --separate-stderr loom-import -o none.entity part-00001-of-00002.gguf
	[ "$stderr" = "loom-import: part-00002-of-00002.gguf: cannot open it: No such file or directory" ]
	[ ! -e none.entity ]
}

@test "gguf: every cut of a file is refused" {
	refuses_every_prefix "$TOP/test/fuzz/corpus/gguf/loom" entity-dump -
	refuses_every_prefix "$TOP/test/fuzz/corpus/gguf/q8_0" entity-dump -
}
