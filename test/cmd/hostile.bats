# Files made to do harm: fixtures/hostile/FORMAT holds them, MESSAGES a line for each: its name, a tab, and
# what is said of it behind its name; LINKS, where there is one, what an archive of the tree cannot hold.
load helper

# lay FOLDER: a copy of it, with its links, to stand in.
lay() {
	local kind name to
	cp -r "$1" here && cd here || return
	[ -e LINKS ] || return 0
	while IFS=$'\t' read -r kind name to; do
		case $kind in
		symbolic) ln -s "$to" "$name" ;;
		hard) ln "$to" "$name" ;;
		directory) mkdir "$name" ;;
		pipe) mkfifo "$name" ;;
		*) return 1 ;;
		esac
	done <LINKS
}

# refused NAME MESSAGE: status 3, nothing on standard output, and that one line.
refused() {
	local status=0
	timeout 20 entity-dump "$1" >out 2>err || status=$?
	printf 'entity-dump: %s: %s\n' "$1" "$2" >expected
	[ "$status" = 3 ] && [ ! -s out ] && cmp -s err expected && return
	echo "$1: status $status:"
	cat err
	echo "expected:"
	cat expected
	return 1
}

@test "hostile: each file of each format is refused with status 3 and its message" {
	local folder name message bad=0 n=0
	for folder in "$FIXTURES"/hostile/*/; do
		rm -rf "$BATS_TEST_TMPDIR/here"
		cd "$BATS_TEST_TMPDIR" && lay "$folder"
		while IFS=$'\t' read -r name message; do
			refused "$name" "$message" || bad=1
			n=$((n + 1))
		done <MESSAGES
	done
	[ "$bad" = 0 ]
	[ "$n" -ge 60 ]
}

@test "hostile: no file is without a message" {
	local folder file bad=0
	for folder in "$FIXTURES"/hostile/*/; do
		for file in "$folder"*; do
			case ${file##*/} in
			MESSAGES | LINKS | *.data) continue ;;
			esac
			cut -f 1 "$folder/MESSAGES" | grep -qxF "${file##*/}" || {
				echo "$file"
				bad=1
			}
		done
	done
	[ "$bad" = 0 ]
}

@test "hostile: what a file on a pipe refers to is looked for nowhere, or where the user says" {
	lay "$FIXTURES/hostile/onnx"
	run -3 --separate-stderr bash -c 'cat external-missing.onnx | entity-dump -'
	[ "$output" = "" ]
	[ "$stderr" = "entity-dump: <stdin>: initializer w: external file missing.data lies beside a file, but this one comes from no directory: say where (--data-dir DIR)" ]
	cp other.data below/missing.data
	loom-import --data-dir below -o here.entity - <external-missing.onnx
	cat external-missing.onnx | loom-import --data-dir below -o pipe.entity -
	same here.entity pipe.entity
}

# takes OPTION FILE: with it the file is read, as good as without is refused.
takes() {
	run -3 --separate-stderr loom-import -o out.entity "$2.onnx"
	[ ! -e out.entity ]
	run -0 --separate-stderr loom-import "$1" -o out.entity "$2.onnx"
	[ -s out.entity ]
	rm out.entity
}

@test "hostile: each option takes what it says and no more" {
	lay "$FIXTURES/hostile/onnx"
	cp good.data below
	takes --allow-subdirs external-below
	takes --follow-symlinks external-symbolic-link
	takes --allow-hardlinks external-hard-link
	ln -sf /etc/hostname symbolic.data
	run -3 --separate-stderr loom-import --follow-symlinks -o out.entity external-symbolic-link.onnx
	[ "$stderr" = "loom-import: external-symbolic-link.onnx: initializer w: external file symbolic.data leads out of the directory" ]
	for name in external-up external-absolute external-up-alone; do
		run -3 --separate-stderr loom-import --allow-subdirs --follow-symlinks --allow-hardlinks -o out.entity \
			$name.onnx
	done
	[ "$stderr" = "loom-import: external-up-alone.onnx: initializer w: external file .. has an empty, . or .. component" ]
}

@test "hostile: what a file may make us take has a limit" {
	lay "$FIXTURES/hostile/onnx"
	"$PYTHON" -c 'import sys
sys.path.insert(0, "'"$FIXTURES"'/hostile")
sys.argv = ["make_onnx.py", "again"]
import make_onnx as m
many = m.packed(7, [0] * 3000000)
open("many.onnx", "wb").write(m.weights(many, dims=(3000000,), dtype=m.INT64))'
	loom-import --max-memory 64 -o out.entity many.onnx
	run -3 --separate-stderr loom-import --max-memory 16 -o none.entity many.onnx
	[ "$stderr" = "loom-import: many.onnx: needs more than 16777216 bytes of memory besides its weights (--max-memory)" ]
	[ ! -e none.entity ]
}
