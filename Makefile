# SPDX-License-Identifier: Apache-2.0
# ayni: a volunteer network that runs open language models on spare CPUs.
#
#   make            build/ayni                    make test     build and run all tests
#   make demo       a whole network on this machine, from nothing
#   make check      structure and style, seconds  make lint     clang-tidy, cppcheck, clang-format
#   make test-adversary  every kind of donor that lies, and what becomes of it
#   make bench      speed figures (bench-pool: of a pool under load; bench-ledger, bench-http)
#   make test-web   the gateway's page in a real browser (test-clients: clients of npm)
#   make fuzz       fuzz each parser for FUZZ_SECONDS
#   make install    PREFIX, DESTDIR               make clean
#   make SANITIZE=address,undefined test          (or SANITIZE=thread)
#   make CROSS=aarch64                            build-aarch64/ayni; test-kernels runs under qemu

PREFIX ?= /usr/local
comma := ,
ARCH := $(or $(CROSS),$(shell uname -m))
BUILD := build$(if $(CROSS),-$(CROSS))$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))

CC ?= cc
PKG_CONFIG := pkg-config
# For another processor: Debian's cross compiler, and its libraries beside the native ones.
ifneq ($(CROSS),)
CC := $(CROSS)-linux-gnu-gcc
AR := $(CROSS)-linux-gnu-ar
PKG_CONFIG := PKG_CONFIG_LIBDIR=/usr/lib/$(CROSS)-linux-gnu/pkgconfig:/usr/share/pkgconfig pkg-config
RUNNER ?= qemu-$(CROSS) -cpu max
endif
PKGS := libzmq libsodium sqlite3 libprotobuf-c libpcre2-8 jansson inih openblas libcurl libmicrohttpd libedit libxml-2.0 zlib
OPT ?= -O2 -g
WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wvla $(if $(CI),-Werror)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)

# pkg-config is asked once, and only by goals that compile: the packages may not be there yet.
ifneq ($(filter-out packages cross-packages clean demo check help,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS))
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS))
endif

CPPFLAGS += -D_GNU_SOURCE -I. -I$(BUILD)/gen -MMD -MP $(PKG_CFLAGS)
# -ffp-contract=off: canonical arithmetic fuses only where it says so.
CFLAGS_ALL = -std=c17 $(OPT) -ffp-contract=off -pthread -fstack-protector-strong $(WARN) $(SAN) $(CFLAGS)
LDFLAGS_ALL = $(SAN) -pthread $(LDFLAGS)

# What is done, a line each; `make V=1` shows the commands.
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-5s %s\n' $(1) $(2))

sources = $(sort $(shell find $(1) -name '*.c' 2>/dev/null))
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

GEN_C := $(BUILD)/gen/protocol/ayni.pb-c.c
GEN_O := $(BUILD)/gen/protocol/ayni.pb-c.o
PROTOCOL_O := $(call objects,$(call sources,protocol)) $(GEN_O)
COMPUTE_O := $(call objects,$(call sources,compute))
STORAGE_O := $(call objects,$(call sources,storage)) $(BUILD)/gen/storage/schema.o
# All of node but main is a library too, so that tests reach its state machines.
NODE_O := $(call objects,$(filter-out node/main.c,$(call sources,node))) $(BUILD)/gen/node/gateway/web.o
LIBS := $(BUILD)/libnode.a $(BUILD)/libprotocol.a $(BUILD)/libcompute.a $(BUILD)/libstorage.a

.PHONY: all
all: $(BUILD)/ayni

$(BUILD)/ayni: $(BUILD)/node/main.o $(LIBS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lm

$(BUILD)/libprotocol.a: $(PROTOCOL_O)
$(BUILD)/libcompute.a: $(COMPUTE_O)
$(BUILD)/libstorage.a: $(STORAGE_O)
$(BUILD)/libnode.a: $(NODE_O)
%.a:
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_FILE) -c -o $@ $<

# One file an instruction set: only these are compiled for more than the baseline.
kernels = $(patsubst %.c,$(BUILD)/%.o,$(wildcard compute/kernels/$(1)*.c))
ifeq ($(ARCH),x86_64)
$(call kernels,avx2): CFLAGS_FILE := -mavx2 -mfma -mf16c
$(call kernels,avxvnni): CFLAGS_FILE := -mavx2 -mfma -mf16c -mavxvnni
$(call kernels,avx512): CFLAGS_FILE := \
    -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512vnni
endif
# gcc schedules before it has chosen registers on this processor, and then a tile lacks some.
ifeq ($(ARCH),aarch64)
$(call kernels,neon_dotprod): CFLAGS_FILE := -march=armv8.2-a+dotprod -fno-schedule-insns
$(call kernels,neon_i8mm): CFLAGS_FILE := -march=armv8.2-a+dotprod+i8mm -fno-schedule-insns
endif
# Panels are unrolled code: to follow each variable through it, and to watch each access at -O2, takes
# a compiler longer than all the rest.
$(call kernels,*_panels): CFLAGS_FILE += $(if $(filter -g,$(OPT)),-g1) $(if $(SANITIZE),-O1) \
    $(if $(findstring fuzzer,$(CFLAGS)),-fno-sanitize=all)
# scalar.c calls fma() by its definition; without -mfma the C library gives the same bits, slower.

# Generated code: the wire schema, the SQL schema and migrations as C strings, the page as bytes.
$(GEN_C): protocol/ayni.proto
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)protoc-c --proto_path=protocol --c_out=$(@D) $<
$(GEN_O): CFLAGS_FILE := -Wno-conversion
$(GEN_O): $(GEN_C)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_FILE) -c -o $@ $<
$(PROTOCOL_O): | $(GEN_C)

SQL := storage/schema.sql $(sort $(wildcard storage/migrations/*.sql))
$(BUILD)/gen/storage/schema.c: $(SQL) storage/embed_sql.sh
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)sh storage/embed_sql.sh $(SQL) > $@.tmp && mv $@.tmp $@

# The page that the gateway serves, as bytes in C.
WEB := $(sort $(shell find node/gateway/web -type f -name '*.*' ! -name README.md))
$(BUILD)/gen/node/gateway/web.c: $(WEB) $(sort $(dir $(WEB))) node/gateway/embed_web.sh
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)sh node/gateway/embed_web.sh node/gateway/web $(WEB) > $@.tmp && mv $@.tmp $@

$(BUILD)/gen/storage/schema.o $(BUILD)/gen/node/gateway/web.o: %.o: %.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

# ---- tests ----------------------------------------------------------------------------------
UNIT_C := $(call sources,tests/unit)
E2E_C := $(sort $(wildcard tests/e2e/test_*.c))
SIM_C := $(sort $(wildcard tests/sim/test_*.c))
TEST_SUPPORT_C := $(sort $(wildcard tests/support/*.c))
TEST_C := $(filter tests/%,$(foreach f,$(UNIT_C) $(SIM_C) $(E2E_C),$(if $(filter test_%,$(notdir $(f))),$(f))))
TEST_BIN := $(patsubst %.c,$(BUILD)/%,$(TEST_C))
TEST_SUPPORT_O := $(call objects,$(TEST_SUPPORT_C))
TEST_TOOLS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/tools/*.c)))
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/bench/bench_*.c)))

# Kernels for more than AVX2 once more, in emulation, for processors that have no more.
EMULATED_O := $(patsubst compute/kernels/%.c,$(BUILD)/tests/emulated/%.o,$(if $(filter x86_64,$(ARCH)),\
    $(wildcard compute/kernels/avx512*.c compute/kernels/avxvnni*.c)))
$(EMULATED_O): CFLAGS_FILE := -mavx2 -mfma -mf16c -g1 -Wno-psabi $(if $(SANITIZE),-fno-sanitize=all) \
    -include tests/emulated/intrinsics.h
$(EMULATED_O): $(BUILD)/tests/emulated/%.o: compute/kernels/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_FILE) -c -o $@ $<
EMULATED := $(BUILD)/tests/emulated/libemulated.a
$(EMULATED): $(EMULATED_O) $(BUILD)/tests/emulated/tables.o

$(TEST_BIN) $(TEST_TOOLS) $(BENCH_BIN): $(BUILD)/%: $(BUILD)/%.o $(TEST_SUPPORT_O) $(EMULATED) $(LIBS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS) -lcmocka -lm

.PHONY: test test-build
test: packages
	@$(MAKE) --no-print-directory test-run
test-build: $(BUILD)/ayni $(TEST_BIN) $(TEST_TOOLS)
.PHONY: test-run
test-run: test-build
	@AYNI_BUILD=$(BUILD) sh tests/run.sh $(TEST_BIN)

# What shows that this processor's kernels, and whole models, give the bits of the definition.
KERNEL_TESTS := $(addprefix $(BUILD)/tests/unit/compute/test_, \
    kernels matmul kv_kernels canon quant_types reference)
.PHONY: test-kernels test-kernels-build
test-kernels-build: $(KERNEL_TESTS)
test-kernels: test-kernels-build
	@RUNNER='$(RUNNER)' sh tests/run.sh $(KERNEL_TESTS)

.PHONY: test-adversary
ADVERSARY_TESTS := $(addprefix $(BUILD)/tests/,e2e/test_adversary e2e/test_crooks e2e/test_checkers unit/node/test_trust)
test-adversary: $(BUILD)/ayni $(ADVERSARY_TESTS)
	@AYNI_BUILD=$(BUILD) AYNI_ADVERSARIES=all sh tests/adversary.sh $(ADVERSARY_TESTS)

# The gateway asked by clients of npm, which are installed below $(BUILD): needs npm and its registry.
.PHONY: test-clients
test-clients: $(BUILD)/ayni
	@sh tests/clients/run.sh $(BUILD)/ayni tests/clients $(BUILD)/clients

# Its page in a real browser; screenshots are left in $(BUILD)/web/screens. Needs the registry likewise.
.PHONY: test-web
test-web: $(BUILD)/ayni
	@sh configs/install-packages.sh configs/browser-packages.txt
	@sh tests/clients/run.sh $(BUILD)/ayni tests/web $(BUILD)/web

# The library in node/gateway/web/vendor once more from npm: fails if it is another than SHA256SUMS says.
.PHONY: vendor-web
vendor-web:
	@sh node/gateway/vendor_web.sh node/gateway/web/vendor

.PHONY: bench
bench: $(BUILD)/ayni $(BENCH_BIN)
	@$(BUILD)/ayni bench
	@for b in $(BENCH_BIN); do $$b || exit 1; done

BENCH_POOL := $(addprefix $(BUILD)/tests/bench/bench_, pool waiting uneven)
.PHONY: bench-pool
bench-pool: $(BUILD)/ayni $(BENCH_POOL)
	@for b in $(BENCH_POOL); do $$b || exit 1; done

BENCH_LEDGER := $(BUILD)/tests/bench/bench_ledger
.PHONY: bench-ledger
bench-ledger: $(BENCH_LEDGER)
	@$(BENCH_LEDGER)

BENCH_HTTP := $(BUILD)/tests/bench/bench_http
.PHONY: bench-http
bench-http: $(BUILD)/ayni $(BENCH_HTTP)
	@$(BENCH_HTTP)

# ---- fuzzing: clang's libFuzzer, one program a parser -----------------------------------------
FUZZ_SECONDS ?= 30
FUZZ_C := $(sort $(wildcard tests/fuzz/fuzz_*.c))
.PHONY: fuzz fuzz-build
fuzz-build:
	@$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang OPT='-O1 -g' \
	    CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' fuzz-link
.PHONY: fuzz-link
fuzz-link: $(patsubst %.c,$(BUILD)/%,$(FUZZ_C))
$(patsubst %.c,$(BUILD)/%,$(FUZZ_C)): $(BUILD)/%: $(BUILD)/%.o $(LIBS)
	$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer,address,undefined -o $@ $^ $(PKG_LIBS) -lm
fuzz: lint-packages
	@$(MAKE) --no-print-directory fuzz-build
	@sh tests/fuzz/run.sh build-fuzz/tests/fuzz $(FUZZ_SECONDS)

# ---- packages, demo, install ------------------------------------------------------------------
.PHONY: packages cross-packages demo install clean
packages:
	@sh configs/install-packages.sh configs/debian-packages.txt
cross-packages: packages
	@sh configs/install-packages.sh configs/cross-packages.txt
demo: packages
	@$(MAKE) --no-print-directory all
	@$(BUILD)/ayni demo

install: $(BUILD)/ayni
	install -D -m 755 $(BUILD)/ayni $(DESTDIR)$(PREFIX)/bin/ayni
	install -D -m 644 configs/donor.conf $(DESTDIR)$(PREFIX)/share/ayni/donor.conf
	install -D -m 644 configs/pool.conf $(DESTDIR)$(PREFIX)/share/ayni/pool.conf
	install -D -m 644 configs/completions/ayni.bash \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ayni
	install -D -m 644 configs/completions/_ayni $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ayni
	install -D -m 644 configs/completions/ayni.fish \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ayni.fish
	install -D -m 644 configs/models/ayni-demo.gguf $(DESTDIR)$(PREFIX)/share/ayni/ayni-demo.gguf

clean:
	rm -rf build build-*

# ---- checks -----------------------------------------------------------------------------------
.PHONY: check lint lint-run lint-packages
check:
	@sh tests/tools/check.sh
	@sh tests/tools/check_selftest.sh
lint-packages: packages
	@sh configs/install-packages.sh configs/lint-packages.txt
lint: lint-packages
	@$(MAKE) --no-print-directory lint-run
lint-run: $(GEN_C)
	@sh tests/tools/lint.sh "$(CPPFLAGS)" $(FILES)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
