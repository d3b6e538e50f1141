# make [CC=clang] [BUILD=release|asan|tsan] [WERROR=1] [V=1]; the other targets are listed in README.md.
# A new .c file under lib/, cmd/ or test/ is found by itself.  Local choices go into config.mk.
.DELETE_ON_ERROR:
.SECONDARY:
-include config.mk

VERSION := 1.0.0
BUILD   ?= release
PREFIX  ?= /usr/local

std     := -std=gnu11 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64
warn    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wvla -Wformat=2 $(if $(WERROR),-Werror)
stop    := -fno-sanitize-recover=all -fno-omit-frame-pointer
release := -O2 -g
asan    := -O1 -g -fsanitize=address,undefined $(stop)
tsan    := -O1 -g -fsanitize=thread $(stop)
fuzzing := -O1 -g -fsanitize=fuzzer-no-link,address,undefined $(stop)
kinds   := release asan tsan fuzzing
$(if $(filter $(BUILD),$(kinds)),,$(error BUILD is '$(BUILD)', not one of: $(kinds)))

threads  := -pthread

# Rounding is what this library is about: no contraction, no -ffast-math, no -march=native.
modules := jansson libzip zlib libcrypto
libs    := $(shell pkg-config --libs $(modules) 2>/dev/null || echo -ljansson -lzip -lz -lcrypto) -lm
paths   := $(shell pkg-config --cflags $(modules) 2>/dev/null)
flags    = $(std) $(warn) $($(BUILD)) $(opt) -ffp-contract=off -fno-math-errno -fno-trapping-math \
           $(threads) -Ilib $(paths) -DLOOM_VERSION='"$(VERSION)"' $(CPPFLAGS) $(CFLAGS)

out      := build/$(notdir $(lastword $(CC)))-$(BUILD)
common   := cmd/cmd.c cmd/completion.c cmd/engine.c
lib_src  := $(wildcard lib/*/*.c)
cmd_src  := $(filter-out $(common),$(wildcard cmd/*.c))
unit_src := $(wildcard test/unit/*.c)
fuzz_src := $(filter-out test/fuzz/main.c,$(wildcard test/fuzz/*.c))
obj       = $(patsubst %.c,$(out)/%.o,$(1))
probes   := $(patsubst %.c,$(out)/%,$(wildcard test/cmd/*.c))
programs := $(patsubst cmd/%.c,$(out)/bin/%,$(cmd_src))
tests    := $(patsubst %.c,$(out)/%,$(unit_src) $(fuzz_src))

# A short line for each step; V=1 shows the commands.
say = $(if $(V),,@printf '  %-2s %s\n' $(1) $@;)

# Into place by a rename, so that a program that runs is never one half linked.
link = $(call say,LD)$(CC) $(flags) $(LDFLAGS) -o $@.$$$$ $(1) $(libs) && mv $@.$$$$ $@

all: programs

# And what the tests run.
everything: programs $(probes) $(tests) $(out)/bench/forward

programs: $(programs)
	$(if $(filter release,$(BUILD)),@ln -sfn $(notdir $(out))/bin build/bin)

$(out)/libloom.a: $(call obj,$(lib_src))
	$(call say,AR)$(AR) rcs $@.$$$$ $^ && mv $@.$$$$ $@

$(out)/bin/%: $(out)/cmd/%.o $(call obj,$(common)) $(out)/libloom.a
	@mkdir -p $(@D)
	$(call link,$^)

# libFuzzer brings its own main; in every other build ours replays the corpus.
fuzz_main := $(if $(filter fuzzing,$(BUILD)),-fsanitize=fuzzer,$(out)/test/fuzz/main.o)
$(out)/test/fuzz/%: $(out)/test/fuzz/%.o $(out)/test/fuzz/main.o $(out)/libloom.a
	$(call link,$< $(fuzz_main) $(out)/libloom.a)

$(probes): $(out)/%: $(out)/%.o $(call obj,$(common)) $(out)/libloom.a
	$(call link,$^)

$(out)/test/unit/%: $(out)/test/unit/%.o $(out)/libloom.a
	$(call link,$^)

# Has a rule of its own, since it needs MPFR (install-deps exhaustive).
exhaustive := $(out)/test/exhaustive/exhaustive
$(exhaustive): $(call obj,$(wildcard test/exhaustive/*.c)) $(out)/libloom.a
	$(call link,$^ -lmpfr -lgmp)

# The contestants of `make bench`; all but forward need others' libraries (install-deps bench).
contestants := $(addprefix $(out)/bench/,forward vendor parse-jansson parse-simdjson)
turns       := $(out)/contrib/bench/turns.o

contestants: $(contestants)

$(out)/bench/forward: $(out)/contrib/bench/forward.o $(turns) $(out)/libloom.a
	@mkdir -p $(@D)
	$(call link,$^)

# Its loop that reads is to be as fast as this machine can.
$(out)/contrib/bench/vendor.o: opt = -O3 -march=native
$(out)/bench/vendor: $(out)/contrib/bench/vendor.o $(turns)
	@mkdir -p $(@D)
	$(call link,$^ -lopenblas -ldnnl)

$(out)/bench/parse-jansson: $(out)/contrib/bench/parse-jansson.o
	@mkdir -p $(@D)
	$(call link,$^)

$(out)/bench/parse-simdjson: contrib/bench/parse-simdjson.cc
	@mkdir -p $(@D)
	$(call say,LD)$(CXX) -O2 -o $@.$$$$ $< -lsimdjson && mv $@.$$$$ $@

$(out)/%.o: %.c Makefile | $(out)/libraries
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(flags) -MMD -MP -c -o $@ $<

# The inner loops gain from -O3; nothing else does.
$(out)/lib/num/kernel_%.o $(out)/lib/num/func_%.o $(out)/lib/num/func.o $(out)/lib/num/matrix.o \
    $(out)/lib/num/product.o $(out)/lib/layer/unary.o $(out)/lib/layer/activations.o $(out)/lib/num/narrow.o \
    $(out)/lib/num/loss.o: opt = $(if $(filter release,$(BUILD)),-O3)

# Each set of them is compiled for its own instructions; which one runs is chosen at run time.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
avx2   := -mavx2 -mfma
avx512 := -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma -mprefer-vector-width=512
$(out)/lib/num/kernel_avx2.o $(out)/lib/num/func_avx2.o: opt += $(avx2)
$(out)/lib/num/kernel_avx512.o $(out)/lib/num/func_avx512.o: opt += $(avx512)
# Compilers older than gcc 11 and clang 11 have no int8 tiles.
tiles  := -mamx-tile -mamx-int8
amx    := $(if $(shell $(CC) $(tiles) -E -xc /dev/null -o /dev/null 2>/dev/null && echo yes),\
          $(avx512) -mavx512vnni $(tiles))
$(out)/lib/num/kernel_amx.o $(out)/test/unit/residues.o: opt += $(amx)
endif

$(out)/libraries:
	@mkdir -p $(@D)
	@CC='$(CC)' CFLAGS='$(CPPFLAGS) $(CFLAGS)' contrib/install-deps --headers
	@touch $@

-include $(wildcard $(addprefix $(out)/,lib/*/*.d cmd/*.d test/*/*.d contrib/*/*.d))
-include contrib/bedrocks.mk contrib/bedrocks-own.mk contrib/networks.mk

make_again = @+$(MAKE) --no-print-directory
run_env    = OUT='$(out)' CC='$(CC)' BUILD='$(BUILD)' VERSION='$(VERSION)' \
             PYTHON="$${PYTHON:-$(or $(PYTHON),$(CURDIR)/build/venv/bin/python)}" \
             PYTHONPATH='$(CURDIR)/contrib/python'

check:
	@contrib/install-deps check
	$(make_again) everything
	@$(run_env) test/run $(SUITES)

# Mistakes planted one at a time, each of which a test has to notice; MUTANTS="words" or EVERY=10 picks some.
mutants:
	@contrib/install-deps check
	@CC='$(CC)' PYTHON="$${PYTHON:-$(or $(PYTHON),$(CURDIR)/build/venv/bin/python)}" \
	    test/mutants/run $(if $(EVERY),--every $(EVERY)) $(MUTANTS)

lint:
	@contrib/install-deps lint
	$(make_again) everything
	@$(run_env) test/run lint

format:
	clang-format -i $(wildcard lib/*.h lib/*/*.[ch] cmd/*.[ch] test/*/*.[ch] contrib/*/*.[ch])

fuzz:
	@contrib/install-deps fuzz
	$(make_again) everything CC=clang BUILD=fuzzing
	@OUT=build/clang-fuzzing test/fuzz/run $(TARGETS)

# Each function, or FN, over all its inputs: minutes, then hours where there are few processors.
exhaustive:
	@contrib/install-deps exhaustive
	$(make_again) $(exhaustive)
	@FIXTURES='$(CURDIR)/fixtures' $(exhaustive) $(FN)

bench:
	@contrib/install-deps bench
	$(make_again) programs contestants
	@$(run_env) PYTHON='$(or $(PYTHON),$(CURDIR)/build/planets/bin/python)' \
	    contrib/bench/run $(if $(QUICK),--quick) $(BENCHES)

demo:
	@CHECK=1 contrib/demo '$(PLANET)'
	@contrib/install-deps $(if $(filter-out sklearn,$(PLANET)),planets,demo)
	$(make_again) programs
	@$(run_env) PLANET='$(PLANET)' contrib/demo

planets:
	@contrib/install-deps planets

# The library's bits on other processors, C libraries and compilers, by emulation; whole programs on two.
# TARGETS=s390x-gcc is one of them, FULL=1 leaves nothing out.
cross:
	@contrib/install-deps cross
	$(make_again) programs
	@$(run_env) FULL='$(FULL)' contrib/cross/run $(TARGETS)

# For ARCHS='x86_64 aarch64', whatever compiles here; zig is never the user's PYTHON.
wheel:
	@PYTHON= contrib/install-deps wheel
	@PYTHON= contrib/make-wheel $(ARCHS)

# What a stranger makes of the wheels; programs of the other processor run where there is a qemu.
check-wheel: wheel
	@contrib/install-deps planets
	@OUT='$(out)' PYTHON='$(or $(PYTHON),$(CURDIR)/build/planets/bin/python)' test/wheel/run

# Exported files in the engines that they are for, and those engines' files in ours.
check-interop:
	@contrib/install-deps planets
	$(make_again) programs
	@$(run_env) PYTHON='$(or $(PYTHON),$(CURDIR)/build/planets/bin/python)' test/interop/run $(INTEROP)

install: programs
	mkdir -p '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib' '$(DESTDIR)$(PREFIX)/include'
	install -m 755 $(programs) '$(DESTDIR)$(PREFIX)/bin'
	install -m 644 $(out)/libloom.a '$(DESTDIR)$(PREFIX)/lib'
	install -m 644 lib/loom.h '$(DESTDIR)$(PREFIX)/include'
	for shell in bash:bash-completion/completions/ zsh:zsh/site-functions/_; do \
	    for program in $(programs); do to='$(DESTDIR)$(PREFIX)'/share/$${shell#*:}$${program##*/}; \
	    mkdir -p "$${to%/*}" && $$program --completion=$${shell%%:*} >"$$to" || exit; done; done
	for page in man/*.[1-9]; do dir='$(DESTDIR)$(PREFIX)'/share/man/man$${page##*.}; \
	    mkdir -p "$$dir" && install -m 644 $$page "$$dir" || exit; done

clean:
	rm -rf build

.PHONY: all programs everything contestants check lint format fuzz exhaustive bench demo planets cross wheel check-wheel check-interop install clean
