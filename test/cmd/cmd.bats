# What all programs share (cmd/cmd.c), by a program made for this.
load helper

setup() {
	# A folder in the folder, where bats puts files of its own.
	mkdir "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here"
	PATH=$(readlink -f "$BIN")/../test/cmd:$PATH
}

@test "cmd: --help shows every form, option and line of help" {
	run --separate-stderr -0 probe --help
	[ "$stderr" = "" ]
	[ "${lines[0]}" = "usage: probe [-o FILE] [NAME [BYTE]]" ]
	[ "${lines[1]}" = "       probe --work" ]
	[ "${lines[2]}" = "Try what programs share." ]
	[ "${lines[3]}" = "      --binary               write a binary result" ]
	[ "${lines[5]}" = "  -n, --number N             print a number from -3 to 12" ]
	[ "${lines[7]}" = "      --real X               print a number from 0 to 1," ]
	[ "${lines[8]}" = "                             which need not be whole" ]
	[ "${lines[11]}" = "      --no-progress          never show progress" ]
	[ "${lines[12]}" = "      --completion bash|zsh  print a script by which that shell completes options, and exit" ]
	[ "${lines[13]}" = "  -h, --help                 print this and exit" ]
	[ "${lines[14]}" = "  -V, --version              print the version and exit" ]
}

@test "cmd: numbers within their range are taken, others are status 2" {
	run -0 probe -n 12 -n -3 -n +7
	[ "$output" = $'12\n-3\n7\nresult' ]
	for text in 13 -4 '' ' 1' 1x 0x1 1.0 99999999999999999999; do
		run --separate-stderr -2 probe --number="$text"
		[ "$output" = "" ]
		[ "${stderr_lines[0]}" = "probe: --number '$text': expected a whole number from -3 to 12" ]
		[ "${stderr_lines[1]}" = "Try 'probe --help'." ]
	done
	run -0 probe --real 1e-5
	[ "${lines[0]}" = 1.0000000000000001e-05 ]
	for text in nan inf 1.5 -1e-9 '' x; do
		run --separate-stderr -2 probe --real "$text"
		[ "${stderr_lines[0]}" = "probe: --real '$text': expected a number from 0 to 1" ]
	done
}

@test "cmd: a missing value is named as it was written" {
	run --separate-stderr -2 probe -n
	[ "${stderr_lines[0]}" = "probe: -n needs a value" ]
	run --separate-stderr -2 probe --number
	[ "${stderr_lines[0]}" = "probe: --number needs a value" ]
	run --separate-stderr -2 probe --n 1
	[ "${stderr_lines[0]}" = "probe: --n: no such option, or more than one starts so" ]
	run --separate-stderr -2 probe -:
	[ "${stderr_lines[0]}" = "probe: -:: no such option" ]
}

@test "cmd: long options take one dash where a program says so" {
	run --separate-stderr -2 probe -number 3
	[ "${stderr_lines[0]}" = "probe: --number 'umber': expected a whole number from -3 to 12" ]
	export SINGLE_DASH=1
	run -0 probe -number 3
	[ "${lines[0]}" = 3 ]
	run -0 probe -number=4 --number 5 -n 6
	[ "$output" = $'4\n5\n6\nresult' ]
	run --separate-stderr -2 probe -number
	[ "${stderr_lines[0]}" = "probe: -number needs a value" ]
}

@test "cmd: each code of the library has its status" {
	local code=0 status
	for status in 0 4 4 4 3 3 3 3 2; do
		run --separate-stderr "-$status" probe --code $code
		[ $code = 0 ] || [ "$stderr" = "probe: asked to fail" ]
		code=$((code + 1))
	done
}

@test "cmd: the message has source and byte, in one line whatever the name" {
	run --separate-stderr -3 probe --code 4 net.entity 4096
	[ "$stderr" = "probe: net.entity: byte 4096: asked to fail" ]
	run --separate-stderr -3 probe --code 4 $'a\nb\033[2Jc'
	[ "$stderr" = "probe: a?b?[2Jc: asked to fail" ]
}

@test "cmd: a status of its own is kept, and an error goes before it" {
	run -1 probe --status 1
	run -3 probe --status 1 --code 5
}

@test "cmd: -o replaces a file at the end, by rename, and keeps its mode" {
	echo old >file
	chmod 640 file
	ln file before
	probe -o file
	[ "$(cat file)" = result ]
	[ "$(cat before)" = old ]
	[ "$(stat -c %a file)" = 640 ]
	(umask 027 && probe -o new)
	[ "$(stat -c %a new)" = 640 ]
	[ "$(ls)" = $'before\nfile\nnew' ]
}

@test "cmd: -o leaves nothing when the run fails, and the old file as it was" {
	echo old >file
	run -3 probe -o file --code 5
	[ "$(cat file)" = old ]
	run -3 probe -o new --code 5
	[ "$(ls)" = file ]
}

@test "cmd: -o into a folder that is not there, or onto one, is status 4" {
	run --separate-stderr -4 probe -o none/file
	[ "$stderr" = "probe: none/file: cannot make it: No such file or directory" ]
	mkdir folder
	run --separate-stderr -4 probe -o folder
	[ "$stderr" = "probe: folder: cannot write to it: Is a directory" ]
	[ "$(ls)" = folder ]
}

@test "cmd: -o onto a device writes to it" {
	probe -o /dev/null
	[ -c /dev/null ]
	run --separate-stderr -4 probe -o /dev/full
	[ "$stderr" = "probe: /dev/full: cannot write it: No space left on device" ]
}

@test "cmd: a full and a closed standard output are status 4" {
	full_disk probe
	full_disk probe --help
	full_disk probe --version
	run --separate-stderr -4 bash -c 'probe >&-'
	[ "$stderr" = "probe: standard output: cannot write it: Bad file descriptor" ]
}

@test "cmd: with standard descriptors closed an output file does not take their place" {
	bash -c 'probe -n 1 -o file <&- >&- 2>&-' || status=$?
	[ "$status" = 4 ]
	[ "$(cat file)" = result ]
}

@test "cmd: a reader that goes away ends the program quietly" {
	run --separate-stderr bash -c 'trap "" PIPE; (trap - PIPE; probe --work; echo $? >status) | :'
	[ "$stderr" = "" ]
	[ "$(cat status)" = 141 ]
}

@test "cmd: a binary result is not written to a terminal" {
	on_terminal probe --binary || status=$?
	[ "$status" = 2 ]
	grep -q 'standard output is a terminal and the result is binary: send it to a file or a pipe' screen
	probe --binary >out
	[ "$(cat out)" = result ]
}

@test "cmd: progress shows on a terminal after a second, and can be stopped" {
	on_terminal probe --work
	grep -q 'probe: [0-9.]* MB of 20.0 MB, [0-9.]* MB/s, [0-9]* s left' screen
	on_terminal probe --no-progress --work
	[ "$(tr -d '\r' <screen)" = result ]
	run --separate-stderr -0 probe --work
	[ "$stderr" = "" ]
}
