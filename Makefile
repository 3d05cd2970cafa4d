# Larder. `make run` builds and starts it, `make test` tests it; README.md names the rest.
#
# VARIANT  release | asan (address, undefined) | tsan (threads); the last two have fault points
# B        where everything built goes
# STATIC=1 a program that needs no file of the system, for docker/
# DEPS=no  do not look for Debian packages before building
# V=1      show the commands
VARIANT ?= release
STATIC  ?=
B       ?= build/$(VARIANT)$(if $(STATIC),-static)
VERSION ?= 0.1.0
PREFIX  ?= /usr/local
SYSCONF ?= /etc
LISTEN  ?= 127.0.0.1:5000
# Seconds for each fuzz target of `make fuzz`, and for `make soak`.
FUZZ_TIME ?= 60
SOAK_TIME ?= 1200
# What pytest is told besides, as in `make e2e PYTEST='-k resume'`.
PYTEST  ?=
# Debian's, for which its packages are, and not one that is first in some PATH.
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3) python3)
Q       := $(if $V,,@)

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef \
           -Wpointer-arith -Wcast-qual -Wwrite-strings -Wimplicit-fallthrough
FLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong
FLAGS_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DFAULTS
FLAGS_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread -DFAULTS
FLAGS_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DFAULTS
# Asked for when first used, because `make` itself may have to install pkg-config before.
PKGS     := libevent_core openssl lmdb jansson
PKGFLAGS  = $(eval PKGFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKGFLAGS)
PKGLIBS   = $(eval PKGLIBS := $$(shell pkg-config $(if $(STATIC),--static) --libs $(PKGS)))$(PKGLIBS)
FLAGS    = -std=c11 -D_GNU_SOURCE -DLARDER_VERSION='"$(VERSION)"' -Isrc $(WARN) -g $(FLAGS_$(VARIANT)) \
           $(PKGFLAGS) $(CFLAGS)
LINK     = $(CC) $(FLAGS_$(VARIANT)) -g $(if $(STATIC),-static-pie) -Wl,--as-needed $(LDFLAGS)
LIBS     = $(PKGLIBS) -lcrypt -pthread

MAIN    := $(wildcard src/cli/main.c)
SRCS    := $(sort $(wildcard src/*/*.c))
OBJS    := $(patsubst %.c,$B/%.o,$(filter-out $(MAIN),$(SRCS)))
UNITS   := $(patsubst %.c,$B/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZERS := $(patsubst %.c,$B/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAYS := $(FUZZERS:%=%.replay)
PROGRAM := $(if $(MAIN),$B/larder)
RUN     := VARIANT=$(VARIANT) B=$(abspath $B) LARDER=$(abspath $B)/larder
TESTS    = $(RUN) PYTEST='$(subst ','\'',$(PYTEST))' $(PYTHON) tests/run.py

all: $B/liblarder.a $(PROGRAM)

# An archive, so that a test may #include the file it looks into: its member is then not taken.
$B/liblarder.a: $(OBJS)
	@rm -f $@
	$Q$(AR) rcs $@ $^
$B/larder: $B/src/cli/main.o $B/liblarder.a
	$Q$(LINK) -o $@ $^ $(LIBS)
$(UNITS): $B/%: $B/%.o $B/liblarder.a
	$Q$(LINK) -o $@ $^ $(LIBS)
$(REPLAYS): %.replay: %.o $B/tests/fuzz/replay.o $B/liblarder.a
	$Q$(LINK) -o $@ $^ $(LIBS)
$(FUZZERS): %: %.o $B/liblarder.a
	$Q$(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)
$B/%.o: %.c Makefile | deps-build
	@mkdir -p $(@D)
	@$(if $V,,echo "  cc $<")
	$Q$(CC) $(FLAGS) -MMD -MP -c -o $@ $<

run: $B/larder
	$B/larder serve --listen $(LISTEN) $(ARGS)

test: all $(UNITS) $(REPLAYS) deps-test
	@$(TESTS) unit fuzz e2e clients
unit: $(UNITS) $(REPLAYS) deps-unit
	@$(TESTS) unit fuzz
e2e clients: all deps-test
	@$(TESTS) $@

# Every fault point, one after the other; tests/e2e/sweep.py says what ARGS may be.
sweep:
	@$(MAKE) --no-print-directory VARIANT=$(if $(filter release,$(VARIANT)),asan,$(VARIANT)) sweeping
sweeping: all deps-test
	@$(RUN) SWEEP='$(ARGS)' $(PYTHON) tests/run.py sweep

# Everything at once, kills and hand-overs, for SOAK_TIME seconds.
soak: all deps-test
	@$(RUN) $(PYTHON) tests/e2e/soak.py --seconds $(SOAK_TIME) $(ARGS)

lint: deps-build deps-lint
	@CC='$(CC)' FLAGS='$(subst ','\'',$(FLAGS))' PYTHON=$(PYTHON) B=$B tests/lint/lint.sh
bench: all deps-bench
	@$(RUN) $(PYTHON) tests/bench/bench.py
fuzz: $(REPLAYS) deps-fuzz
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang B=$B/fuzzing fuzzers
	@REPLAYS=$B/tests/fuzz FUZZERS=$B/fuzzing/tests/fuzz FUZZ_TIME=$(FUZZ_TIME) tests/fuzz/run.sh
fuzzers: $(FUZZERS)

install: $B/larder
	install -D -m 755 $B/larder $(DESTDIR)$(PREFIX)/bin/larder
	test -e $(DESTDIR)$(SYSCONF)/larder/larder.json || \
	    install -D -m 644 config/larder.json $(DESTDIR)$(SYSCONF)/larder/larder.json
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed -e 's|/usr/local/bin/|$(PREFIX)/bin/|' -e 's|/etc/larder/|$(SYSCONF)/larder/|' \
	    config/larder.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/larder.service
	install -m 644 config/larder.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/larder.socket

# For editors and clang-tidy.
compile_commands.json: $(SRCS) Makefile
	@FLAGS='$(subst ','\'',$(FLAGS))' $(PYTHON) -c 'import json, os, sys; print(json.dumps([{"file": f, \
	    "directory": os.getcwd(), "command": "$(CC) " + os.environ["FLAGS"] + " -c " + f} \
	    for f in sys.argv[1:]], indent=1))' $(SRCS) >$@

# deps-SECTION: the Debian packages of a section of docker/packages. A static rule, as make looks
# for no other for what is phony.
SECTIONS := $(addprefix deps-,build unit test bench lint fuzz)
deps: $(SECTIONS)
$(SECTIONS): deps-%:
	@test '$(DEPS)' = no || docker/install-packages $*

clean:
	rm -rf build compile_commands.json

DEPFILES := $(OBJS) $(MAIN:%.c=$B/%.o) $(UNITS:=.o) $(FUZZERS:=.o) $B/tests/fuzz/replay.o
-include $(DEPFILES:.o=.d)
.PHONY: all run test unit e2e clients sweep sweeping soak lint bench fuzz fuzzers install deps clean \
        $(SECTIONS)
.SECONDARY:
.DELETE_ON_ERROR:
