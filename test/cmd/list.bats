load helper

@test "list: layers has the rows of lib/layer/layers.def in order" {
	loom-list layers >out
	sed -n 's/^LAYER(\(.*\))$/\1/p' "$TOP/lib/layer/layers.def" >expected
	awk '{ print $1 }' out >found
	same found expected
}

@test "list: a layer's line has its inputs and outputs, parameters and slots" {
	loom-list layers >out
	grep -E '^dense +1->1 +in_features,out_features,bias +weight,bias +y' out
	grep -E '^add +2->1 +- +- +z' out
	grep -E '^concat +1\+->1 +axis +- +y' out
}

@test "list: dtypes has the rows of lib/num/dtypes.def in order, with their bits" {
	loom-list dtypes >out
	sed -n 's/^DTYPE([^"]*"\([^"]*\)".*/\1/p' "$TOP/lib/num/dtypes.def" >expected
	awk '{ print $1 }' out >found
	same found expected
	grep -E '^float32 +32$' out
	grep -E '^bfloat16 +16$' out
}

@test "list: formats says what is read and what is written" {
	loom-list formats >out
	grep -E '^entity +model +read write +a checkpoint of Loom$' out
	grep -E '^npy +tensors +read write +' out
	grep -E '^safetensors +tensors +read write +' out
	grep -E '^raw +tensors +write +' out
}

@test "list: --json has the same names in the same order" {
	for table in layers formats dtypes; do
		loom-list "$table" | awk '{ print $1 }' >expected
		loom-list --json "$table" >out
		"$PYTHON" -c 'import json, sys; [print(row["name"]) for row in json.load(sys.stdin)]' \
			<out >found
		same found expected
	done
}

@test "list: the example of the page" {
	loom-list layers | grep bias >out
	[ "$(wc -l <out)" -ge 1 ]
}

@test "list: --help and --version go to standard output" {
	run --separate-stderr -0 loom-list --help
	[ "${lines[0]}" = "usage: loom-list [--json] layers|formats|dtypes" ]
	[ "$stderr" = "" ]
	run --separate-stderr -0 loom-list -V
	[ "$output" = "loom-list $(sed -n 's/^VERSION *:= *//p' "$TOP/Makefile")" ]
	[ "$stderr" = "" ]
}

@test "list: a wrong option, table or number of operands is status 2" {
	run --separate-stderr -2 loom-list --jsen layers
	[ "$output" = "" ]
	[ "${stderr_lines[0]}" = "loom-list: --jsen: no such option, or more than one starts so" ]
	[ "${stderr_lines[1]}" = "Try 'loom-list --help'." ]
	run --separate-stderr -2 loom-list -x layers
	[ "${stderr_lines[0]}" = "loom-list: -x: no such option" ]
	run --separate-stderr -2 loom-list --json=yes layers
	[ "${stderr_lines[0]}" = "loom-list: --json=yes: this option takes no value" ]
	run --separate-stderr -2 loom-list
	[ "${stderr_lines[0]}" = "usage: loom-list [--json] layers|formats|dtypes" ]
	run --separate-stderr -2 loom-list layers dtypes
	run --separate-stderr -2 loom-list planets
	[ "$output" = "" ]
	[ "$stderr" = "loom-list: planets: no such table: layers, formats and dtypes are there" ]
}

@test "list: a full disk and a closed output are status 4" {
	full_disk loom-list layers
	full_disk loom-list --help
	run --separate-stderr -4 bash -c 'loom-list layers >&-'
	[ "$stderr" = "loom-list: standard output: Bad file descriptor" ]
}
