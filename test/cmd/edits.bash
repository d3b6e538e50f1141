# Checkpoints with an edited header, and what becomes of them.
# shellcheck shell=bash disable=SC2154

# with_header JSON: the fixed header of a checkpoint, and that.
with_header() {
	local i
	printf 'ENTITY\0\0\1\0\0\0'
	for ((i = 0; i < 64; i += 8)); do
		printf '%b' "\\x$(printf %02x $((${#1} >> i & 255)))"
	done
	printf %s "$1"
}

# edit FILE SED: the checkpoint with its header's JSON edited.
edit() {
	local size header
	size=$(od -An -tu8 -j12 -N8 "$1" | tr -d ' ')
	header=$(tail -c +21 "$1" | head -c "$size" | sed "$2")
	with_header "$header"
	tail -c +$((21 + size)) "$1"
}

# refused SED MESSAGE: the checkpoint $base, edited so, is status 3 with exactly that message.
refused() {
	edit "$base" "$1" >edited.entity
	cmp -s edited.entity "$base" && echo "no change: $1" && return 1
	run -3 --separate-stderr entity-dump edited.entity
	[ "$stderr" = "entity-dump: edited.entity: $2" ] && [ "$output" = "" ] && return
	printf '%s\nexpected: %s\nfound:    %s\n' "$1" "$2" "$stderr"
	return 1
}

# found SED LINE...: edited so it loads, but --check gives status 1 and these lines beside the others.
found() {
	edit "$base" "$1" >edited.entity
	shift
	run -1 --separate-stderr entity-dump --check edited.entity
	[ "$stderr" = "" ]
	printf '%s\n' "$@" >expected
	grep '^finding\|sound' <<<"$output" | diff expected -
}
