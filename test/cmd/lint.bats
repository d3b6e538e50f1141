# Each check of contrib/ passes on a small tree that keeps the rules, and fails on a planted fault.
load helper

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir -p contrib cmd man lib/base lib/num lib/layer out/lib/num out/cmd out/bin test
	cp "$TOP"/contrib/check-* "$TOP"/contrib/sources "$TOP"/contrib/longest contrib
	cp "$TOP"/.clang-format .
	echo 'VERSION := 1.2.3' >Makefile
	printf '#ifndef A_H\n#define A_H\nint lm_a(int);\n#endif\n' >lib/num/a.h
	printf '#include "num/a.h"\n\n#include <stdio.h>\n\nint\nlm_a(int x)\n{\n\treturn x;\n}\n' \
		>lib/num/a.c
	unset CC
	export OUT=out
}

compile() { cc -Ilib -c -o "out/${1%.c}.o" "$1"; }

@test "lint: check-layers keeps the arrows" {
	run -0 contrib/check-layers
	[ "$output" = "" ]
	echo '#include "layer/layer.h"' >>lib/num/a.h
	run -1 contrib/check-layers
	[ "$output" = 'lib/num/a.h: may not include "layer/layer.h"' ]
}

@test "lint: check-layers lets a program see loom.h alone" {
	printf '#include "cmd.h"\n#include "loom.h"\n' >cmd/loom-x.c
	run -0 contrib/check-layers
	echo '#include "num/a.h"' >>cmd/loom-x.c
	run -1 contrib/check-layers
	[ "$output" = 'cmd/loom-x.c: may not include "num/a.h"' ]
}

@test "lint: check-layers refuses .. in an include" {
	echo '#include "../num/a.h"' >lib/layer/b.c
	run -1 contrib/check-layers
	[ "$output" = 'lib/layer/b.c: includes "../num/a.h" through ..' ]
}

@test "lint: check-layers wants a file's own header first" {
	printf '#include <stdio.h>\n#include "num/a.h"\n' >lib/num/a.c
	run -1 contrib/check-layers
	[ "$output" = 'lib/num/a.c: its first include is not lib/num/a.h' ]
}

@test "lint: check-layers wants unique base names" {
	printf '#include "base/a.h"\n' >lib/base/a.c
	run -1 contrib/check-layers
	[ "${lines[0]}" = 'two files have the base name a.c' ]
	[ "${lines[1]}" = 'a is the base name of files in two folders' ]
}

@test "lint: check-layers knows every folder of lib" {
	mkdir lib/extra
	touch lib/extra/c.c
	run -1 contrib/check-layers
	[ "$output" = "lib/extra/c.c: not a folder of the library" ]
}

@test "lint: check-symbols knows what may leave the library" {
	run -1 contrib/check-symbols
	[ "$output" = 'out has no objects: run make first' ]
	compile lib/num/a.c
	run -0 contrib/check-symbols
	[ "$output" = "" ]
	printf 'int leak(void);\nint\nleak(void)\n{\n\treturn 0;\n}\n' >lib/num/b.c
	compile lib/num/b.c
	run -1 contrib/check-symbols
	[ "$output" = 'out/lib/num/b.o: defines leak, which does not match loom_|lm_' ]
}

@test "lint: check-symbols refuses state in the library, and lets tables be" {
	compile lib/num/a.c
	printf 'extern const char *const lm_t[];\nconst char *const lm_t[] = { "a" };\n' >lib/num/t.c
	compile lib/num/t.c
	run -0 contrib/check-symbols
	printf 'int lm_u(void);\nint lm_u(void) { static int n; return n++; }\n' >lib/num/u.c
	compile lib/num/u.c
	run -1 contrib/check-symbols
	[[ $output = 'out/lib/num/u.o: n.'*' can be written to: the library keeps no state' ]]
}

@test "lint: check-symbols lets only main leave a program" {
	compile lib/num/a.c
	printf 'int main(void) { return 0; }\n' >cmd/loom-x.c
	compile cmd/loom-x.c
	run -0 contrib/check-symbols
	printf 'int lm_helper;\nint main(void) { return 0; }\n' >cmd/loom-x.c
	compile cmd/loom-x.c
	run -1 contrib/check-symbols
	[ "$output" = 'out/cmd/loom-x.o: defines lm_helper, which does not match main$' ]
	rm out/cmd/loom-x.o
	printf 'int cmd_y(void);\nint cmd_y(void) { return 0; }\n' >cmd/completion.c
	compile cmd/completion.c
	run -0 contrib/check-symbols
}

@test "lint: check-banned sees calls, not comments, strings or longer names" {
	run -0 contrib/check-banned
	printf '/* free(x) */\nint lm_free(int);\nconst char *lm_t = "exit(1)"; /*\nabort() */\n' >lib/num/b.c
	run -0 contrib/check-banned
	[ "$output" = "" ]
	printf '\n/* one\n two */\nvoid lm_b(void *p) { free(p); }\n' >lib/num/b.c
	run -1 contrib/check-banned
	[ "$output" = 'lib/num/b.c:4: void lm_b(void *p) { free(p); }' ]
}

@test "lint: check-banned allows the heap in base/mem and in programs, the unsafe nowhere" {
	printf 'void lm_m(void *p) { free(p); }\n' | tee lib/base/mem.c >cmd/loom-x.c
	run -0 contrib/check-banned
	printf 'int f(char *s) { return atoi (s); }\n' >cmd/loom-x.c
	run -1 contrib/check-banned
	[ "$output" = 'cmd/loom-x.c:1: int f(char *s) { return atoi (s); }' ]
}

@test "lint: check-banned refuses printing and exiting in the library" {
	printf 'void lm_b(void) { exit(1); }\n' >lib/num/b.c
	run -1 contrib/check-banned
	printf 'void lm_b(void) { printf("x"); }\n' >lib/num/b.c
	run -1 contrib/check-banned
	printf 'void lm_b(FILE *f) { fputs("x", f); }\n' >lib/num/b.c
	run -1 contrib/check-banned
	rm lib/num/b.c
	printf 'void lm_b(FILE *f) { fputs("x", f); }\n' >lib/num/dump.c
	run -0 contrib/check-banned
}

page() {
	printf '.Dd January 1, 2026\n.Dt LOOM-X 1\n.Os\n.Sh NAME\n.Nm loom-x\n.Nd test\n'
	printf '.Sh SYNOPSIS\n.Nm\n.Op Fl -json\n.Ar file\n.Sh DESCRIPTION\n.Bl -tag -width Ds\n'
	printf '.It Fl -json\nJSON.\n.El\n.Sh EXIT STATUS\nAlways 0.\n.Sh EXAMPLES\n.Dl $ loom-x\n'
}

program() {
	printf '#!/bin/sh\nprintf "usage: loom-x [--json] file\\nTest.\\n\\n      --json  JSON\\n"\n' >out/bin/loom-x
	chmod +x out/bin/loom-x
	printf 'int\nmain(void)\n{\n\treturn 0;\n}\n' >cmd/loom-x.c
}

@test "lint: check-man compares a page with --help" {
	program
	run -1 contrib/check-man
	[ "$output" = 'loom-x has no page man/loom-x.1' ]
	page >man/loom-x.1
	run -0 contrib/check-man
	[ "$output" = "" ]
	page | sed 's/json/jsen/' >man/loom-x.1
	run -1 contrib/check-man
	[ "${lines[0]}" = 'man/loom-x.1: --json is not there' ]
	[ "${lines[1]}" = 'man/loom-x.1: --jsen is not in loom-x --help' ]
	[ "${lines[2]}" = 'man/loom-x.1: SYNOPSIS is not the usage line of loom-x --help' ]
}

@test "lint: check-man wants the sections, and mandoc's consent" {
	program
	page | sed '/EXIT STATUS/,$d' >man/loom-x.1
	run -1 contrib/check-man
	[ "${lines[0]}" = 'man/loom-x.1: has no EXIT STATUS' ]
	[ "${lines[1]}" = 'man/loom-x.1: has no EXAMPLES' ]
	{ page && echo '.Xr loom-y 1' && echo '.Nonsense'; } >man/loom-x.1
	run -1 contrib/check-man
	[[ ${lines[0]} = *"skipping unknown macro: .Nonsense"* ]]
	[ "${lines[1]}" = 'man/loom-x.1: refers to loom-y.1, which has no page' ]
}

@test "lint: check-schema compares the schema with the table of operations" {
	mkdir schemas
	cp "$TOP/contrib/make-schema" contrib
	run -1 contrib/check-schema
	[ "$output" = 'out/bin/loom-list is not built: run make first' ]
	printf '#!/bin/sh\ncat table.json\n' >out/bin/loom-list
	chmod +x out/bin/loom-list
	echo '[{"name":"one","inputs":[1,1],"outputs":[1,1],"about":"y","slots":[],"params":[
		{"name":"axis","kind":"int","null":false,"least":-16,"most":15}]}]' >table.json
	contrib/make-schema <table.json >schemas/layer-stream-node.json
	run -0 contrib/check-schema
	[ "$output" = "" ]
	sed -i 's/:15}/:14}/' table.json
	run -1 contrib/check-schema
	[[ $output = *$'\n-'*'"maximum": 15'*$'\n+'*'"maximum": 14'* ]]
	[ "${lines[-1]}" = 'schemas/layer-stream-node.json is not that of the operations: loom-list --json layers | contrib/make-schema >schemas/layer-stream-node.json' ]
}

@test "lint: check-shell runs shellcheck on scripts by their first line" {
	run -0 contrib/check-shell
	printf '#!/bin/sh\nrm $1\n' >test/script
	run -123 contrib/check-shell
	[[ $output = *test/script* ]]
	[[ $output = *SC2086* ]]
}

@test "lint: check-format runs clang-format" {
	run -0 contrib/check-format
	printf 'int f(void) { return 0; }\n' >lib/num/b.c
	run -123 contrib/check-format
	[[ ${lines[0]} = 'lib/num/b.c:1:'* ]]
}

@test "lint: check-longest refuses 61 lines of function and 601 of file" {
	body() { seq -f '	x += %.0f;' "$1"; }
	{ printf 'int\nlm_b(int x)\n{\n' && body 57 && printf '}\n'; } >lib/num/b.c
	{ printf 'def f(x):\n' && body 59; } >lib/num/b.py
	run -0 contrib/check-longest
	[ "$output" = "" ]
	{ printf 'int\nlm_b(int x)\n{\n' && body 58 && printf '}\n'; } >lib/num/b.c
	{ printf 'def f(x):\n' && body 60; } >lib/num/b.py
	seq -f '/* %.0f */' 601 >lib/num/c.c
	run -1 contrib/check-longest
	[ "${lines[0]}" = 'functions over 60 lines:' ]
	[ "${lines[1]}" = '61 lib/num/b.py:1 def f(x):' ]
	[ "${lines[2]}" = '61 lib/num/b.c:2 lm_b' ]
	[ "${lines[3]}" = 'files over 600 lines:' ]
	[ "${lines[4]}" = '601 lib/num/c.c' ]
}

@test "lint: check-tree finds marks, paths and versions that differ" {
	mkdir -p contrib/python
	echo 'version = "1.2.3"' >contrib/python/pyproject.toml
	run -0 contrib/check-tree
	[ "$output" = "" ]
	echo "TO""DO" >note
	run -1 contrib/check-tree
	[ "$output" = "unfinished work:"$'\n'"note:1:TO""DO" ]
	echo "see ../sha""red/x" >note
	run -1 contrib/check-tree
	[ "${lines[0]}" = 'a path outside the tree:' ]
	echo "/wo""rk/main" >note
	run -1 contrib/check-tree
	[ "${lines[0]}" = "a path of somebody's machine:" ]
	rm note
	echo 'version = "1.2.4"' >contrib/python/pyproject.toml
	run -1 contrib/check-tree
	[ "$output" = 'contrib/python/pyproject.toml: version 1.2.4, but the Makefile has 1.2.3' ]
}
