# What the tests of the command line share.  Each test starts in an empty folder of its own.
# shellcheck shell=bash disable=SC2154
bats_require_minimum_version 1.5.0

TOP=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
BIN=${BIN:-$TOP/build/bin}
FIXTURES=${FIXTURES:-$TOP/fixtures}
PATH=$BIN:$PATH
PYTHON=${PYTHON:-$TOP/build/venv/bin/python}
PYTHONPATH=$TOP/contrib/python
LC_ALL=C
# A sanitizer's own status is 1, which here means "they differ".
ASAN_OPTIONS=exitcode=99
UBSAN_OPTIONS=exitcode=99:print_stacktrace=1
TSAN_OPTIONS=exitcode=99
unset PYTHONUNBUFFERED
export TOP BIN FIXTURES PATH PYTHON PYTHONPATH LC_ALL ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

setup() { cd "$BATS_TEST_TMPDIR" || return; }

# same FILE FILE: equal byte for byte.
same() { cmp -- "$1" "$2"; }

# A file as the program's standard input, or as an operand where the command holds {}.
_feed() {
	local file=$1 word words=()
	shift
	for word in "$@"; do
		[ "$word" = '{}' ] && word=$file
		words+=("$word")
	done
	"${words[@]}" <"$file"
}

# refuses_every_prefix FILE COMMAND...: status 3 and one line of message for every proper prefix, each
# given on standard input, or by name for a {} in the command.
refuses_every_prefix() {
	local file=$1 size n status step
	shift
	size=$(stat -c %s "$file")
	# Every length up to 1 KiB and in the last 256 bytes; between them in steps that end near 1,000.
	step=$(((size - 1280) / 1000 + 1))
	for ((n = 0; n < size; n += n < 1024 || n >= size - 256 ? 1 : step)); do
		head -c "$n" "$file" >prefix
		status=0
		_feed prefix "$@" >prefix.out 2>prefix.err || status=$?
		[ "$status" = 3 ] && [ "$(wc -l <prefix.err)" = 1 ] && continue
		echo "a prefix of $n of $size bytes gave status $status:"
		cat prefix.err
		return 1
	done
}

# full_disk COMMAND...: a full standard output is status 4, and says so.
full_disk() {
	local status=0
	"$@" >/dev/full 2>full.err || status=$?
	cat full.err
	[ "$status" = 4 ]
	grep -q 'No space left on device$' full.err
}

# on_terminal COMMAND...: standard output and error are a terminal, whose text is in the file screen.
on_terminal() {
	script -qec "$(printf '%q ' "$@")" /dev/null </dev/null >screen
}
