load helper

README=$TOP/README.md

# What training gives differs in its last digits from machine to machine: numbers and digests are
# compared by their places, words exactly.
masked() { sed -E 's/[0-9a-f]{16,64}/HEX/g; s/-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?/N/g; s/ +/ /g; s/ +$//'; }

# The blocks of one kind, one after another.
blocks() { awk -v kind="\`\`\`$1" '$0 == kind { on = 1; next } /^```/ { on = 0 } on' "$README"; }

@test "readme: its console sessions give what it shows" {
	blocks python | tail -n +2 >net.py
	blocks console >session
	mkdir bin
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$PYTHON" >bin/python
	chmod +x bin/python
	PATH=$PWD/bin:$PATH bash -c 'set -o pipefail
		while IFS= read -r line; do
			case $line in
			"$ "*) printf "%s\n" "$line"; eval "${line#??}" </dev/null || exit ;;
			esac
		done <session' >found 2>said || { cat said; false; }
	diff <(masked <session) <(masked <found)
	[ "$(grep -c '^\$ ' session)" = 10 ]
}

@test "readme: another engine runs what it exports, and a state dict leaves" {
	"$PYTHON" -c 'import onnxruntime, sklearn' 2>/dev/null || skip "onnxruntime or scikit-learn is not installed"
	blocks python | tail -n +2 >net.py
	"$PYTHON" -c "import numpy, net; numpy.save('x.npy', net.load_iris().data.astype('f4'))"
	"$PYTHON" -m planetbridging emit sklearn net:build --input x.npy 2>err | loom-stream >net.entity
	blocks shell-session >session
	LOOM_PYTHON=$PYTHON bash -c 'while IFS= read -r line; do
		case $line in
		"$ "*) printf "%s\n" "$line"; eval "${line#??}" </dev/null || exit ;;
		esac
	done <session' >found 2>&1
	same found session
	[ "$(grep -c '^\$ ' session)" = 2 ]
}

@test "readme: every make command it names is one that .ci/run calls or make knows" {
	blocks sh >commands
	while read -r word rest; do
		[ "$word" = make ]
		case $rest in
		'' | demo | check | lint | fuzz | 'BUILD=asan check' | bedrocks | bedrocks-own | CC=clang | cross | mutants | check-interop)
			grep -Eq "make .*${rest}" "$TOP/.ci/run"
			;;
		bench | install* | exhaustive*) make -C "$TOP" -n $rest >/dev/null ;;
		*) echo "make $rest is not covered"; return 1 ;;
		esac
	done <commands
}

@test "readme: it names every program" {
	for program in "$TOP"/cmd/*.c; do
		grep -q '^main(' "$program" || continue
		grep -q "^| \`$(basename "$program" .c)" "$README"
	done
}

@test "readme: every file it names is there" {
	grep -oE '`(man|lib|contrib|schemas|fixtures)/[A-Za-z0-9_./-]+`' "$README" | tr -d '`' | sort -u |
		while read -r path; do
			[ -e "$TOP/$path" ] || {
				echo "$path is not there"
				return 1
			}
		done
}
