# make            build/mlgate
# make help       all targets
#
# CC=gcc|clang, V=1 shows the commands. Objects go to build/$(VARIANT)/; a changed flag or compiler rebuilds.

ifeq ($(origin CC),default)
CC := gcc
endif
VARIANT ?= release
B := build/$(VARIANT)
ifeq ($(VARIANT),release)
BIN := build/mlgate
else
BIN := $(B)/mlgate
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory
export LC_ALL := C

ifeq ($(V),)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

# --- flags -----------------------------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wundef -Wvla -Wstrict-prototypes \
  -Wmissing-prototypes -Wimplicit-fallthrough -Wcast-qual -Wpointer-arith -Wwrite-strings -Werror

# Looked up when first used, so that `make deps` runs where there is neither compiler nor library yet.
HARDEN = $(eval HARDEN := $(shell sh scripts/probe.sh '$(CC)' $(HARDEN_WANTED)))$(HARDEN)
HARDEN_LD = $(eval HARDEN_LD := $(shell sh scripts/probe.sh '$(CC)' $(HARDEN_LD_WANTED)))$(HARDEN_LD)
HARDEN_WANTED := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full \
  -fstrict-flex-arrays=3 -fno-delete-null-pointer-checks -fno-strict-overflow \
  '-ftrivial-auto-var-init=zero|-ftrivial-auto-var-init=zero -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang'
HARDEN_LD_WANTED := '-pie -Wl,-z,relro,-z,now,-z,noexecstack' -Wl,-z,separate-code

OPT_release = -O2 -g $(HARDEN) -fPIE
# Sanitizers make gcc's flow warnings wrong; the release build and lint have judged them.
OPT_asan = -w -O1 -g -ftrivial-auto-var-init=pattern -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -fPIE
# Counts every line; what threads count at the same time must not get lost.
OPT_coverage = -w -O0 -g -ftrivial-auto-var-init=pattern --coverage -fprofile-update=atomic -DMG_COVERAGE -fPIE
OPT_tsan = -w -O1 -g -fno-omit-frame-pointer -fsanitize=thread -fPIE
OPT_fuzz = -w -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fPIE
LD_release = $(HARDEN_LD)
LD_asan = -fsanitize=address,undefined -fno-sanitize-recover=all -pie
LD_coverage = --coverage -pie
LD_tsan = -fsanitize=thread -pie
LD_fuzz = -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -pie -Wl,--wrap=getrandom

PACKAGES := libmicrohttpd openssl jansson yaml-0.1 libpcre2-8 libcurl zlib libzstd gnutls
LIBS = $(eval LIBS := $(shell pkg-config --libs $(PACKAGES)))$(LIBS)
INCS = $(eval INCS := $(shell pkg-config --cflags $(PACKAGES)))$(INCS)

CPPFLAGS_ALL = -I webhook $(INCS) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 $(WARN) $(OPT_$(VARIANT)) -pthread -ffile-prefix-map=$(CURDIR)=. $(CFLAGS)
LDFLAGS_ALL = $(LD_$(VARIANT)) -pthread -Wl,--as-needed $(LDFLAGS)

VERSION_TEXT = $(eval VERSION_TEXT := $(shell sh scripts/version.sh))$(VERSION_TEXT)

# --- files -----------------------------------------------------------------------------------------------------------

SRC := $(sort $(wildcard webhook/*/*.c))
OBJ := $(SRC:webhook/%.c=$(B)/obj/%.o)
LIB_OBJ := $(filter-out $(B)/obj/app/main.o,$(OBJ)) $(B)/obj/embedded.o
EMBEDDED := $(filter-out %.test.yaml,$(sort $(wildcard webhook/*/*.yaml webhook/report/page.* policies/baseline/*.yaml)))
UNIT := $(patsubst test/unit/%.c,$(B)/unit/%,$(sort $(wildcard test/unit/test_*.c)))
TORTURE := $(patsubst test/%.c,$(B)/%.o,$(sort $(wildcard test/torture/*.c))) $(B)/torture/main.o
DRIVER := $(patsubst test/%.c,$(B)/%,$(sort $(wildcard test/*_driver.c)))
# A target of fuzzing is a file fuzz_NAME.c; the others are what they share, and replay.c, which stands in for libFuzzer.
FUZZ := $(patsubst test/fuzz/%.c,$(B)/fuzz/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
FUZZ_TOOL := $(patsubst test/fuzz/%.c,$(B)/fuzz/%.o,$(filter-out test/fuzz/fuzz_%,$(sort $(wildcard test/fuzz/*.c))))
ifeq ($(VARIANT),fuzz)
FUZZ_TOOL := $(filter-out %/replay.o,$(FUZZ_TOOL))
endif

# --- build -----------------------------------------------------------------------------------------------------------

.PHONY: all
all: $(BIN)  ## build/mlgate

$(BIN): $(B)/obj/app/main.o $(B)/libmlgate.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o %.a,$^) $(LIBS)

$(B)/libmlgate.a: $(LIB_OBJ) $(B)/.files
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar qcsD $@ $(LIB_OBJ)

$(B)/obj/%.o: webhook/%.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/obj/embedded.o: $(B)/embedded.c $(B)/.version
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -DMG_VERSION='"$(VERSION_TEXT)"' -MMD -MP -c -o $@ $<

$(B)/embedded.c: $(EMBEDDED) scripts/embed.sh $(B)/.files
	$(call say,EMBED,$@)
	$(Q)sh scripts/embed.sh $(EMBEDDED) >$@

# A stamp is rewritten, and so newer than what was made with it, only if its text changes.
define stamp
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' >$@
endef
$(B)/.flags: FORCE
	@command -v $(firstword $(CC)) pkg-config >/dev/null || { echo '$(CC) or pkg-config is missing: `make deps` installs them' >&2; exit 1; }
	$(call stamp,$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL))
$(B)/.version: FORCE
	$(call stamp,$(VERSION_TEXT))
$(B)/.files: FORCE
	$(call stamp,$(SRC) $(EMBEDDED))
FORCE:

$(B)/unit/%: test/unit/%.c $(B)/libmlgate.a $(B)/.flags
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) -I test $(CFLAGS_ALL) -MMD -MP $(LDFLAGS_ALL) -o $@ $< $(B)/libmlgate.a $(LIBS) -lcmocka

$(DRIVER): $(B)/%: test/%.c $(B)/libmlgate.a $(B)/.flags
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS_ALL) -o $@ $< $(B)/libmlgate.a $(LIBS)

$(B)/fuzz/%.o: test/fuzz/%.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/fuzz/fuzz_git: private LDFLAGS += -Wl,--wrap=mg_spawn_run
$(B)/fuzz/fuzz_listing: private LDFLAGS += -Wl,--wrap=mg_api_call
$(FUZZ): $(B)/fuzz/%: $(B)/fuzz/%.o $(FUZZ_TOOL) $(B)/libmlgate.a
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# What fails calls on purpose is not itself watched by the sanitizers, whose own definitions it calls (gcc's; VARIANT=asan).
$(B)/torture/%.o: test/torture/%.c $(B)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu17 $(WARN) -O1 -g -fno-omit-frame-pointer -fPIE -MMD -MP -c -o $@ $<

$(B)/torture/main.o: webhook/app/main.c $(B)/.flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -Dmain=mlgate_main -MMD -MP -c -o $@ $<

$(B)/torture/torture: $(TORTURE) $(B)/libmlgate.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -rdynamic -o $@ $^ $(LIBS)

# The clients of make abuse and make soak; the server is what a VARIANT is of.
ABUSE := build/abuse/victim build/abuse/attack build/abuse/clock.so
build/abuse/%.so: test/abuse/%.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -std=gnu17 -O2 -g $(WARN) -fPIC -shared -o $@ $<
build/abuse/%: test/abuse/%.c test/abuse/tool.h
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -std=gnu17 -O2 -g $(WARN) -o $@ $< -lssl -lcrypto -lm

-include $(OBJ:.o=.d) $(B)/obj/embedded.d $(UNIT:=.d) $(DRIVER:=.d) $(TORTURE:.o=.d) $(FUZZ:=.d) $(FUZZ_TOOL:.o=.d)

# --- what people run -------------------------------------------------------------------------------------------------

JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: deps run test asan tsan unit golden integration regress fuzz coverage lint torture abuse soak rolling bench drawings \
  instructions connections e2e e2e-load e2e-build \
  identity conditions limits manifests monitoring promtool sarif-schema readme policies \
  container man install uninstall binaries clean distclean help
deps:  ## install the Debian packages that building and testing need, if any is missing
	@scripts/deps.sh build test

run: deps  ## build, show a denial and a patch, then serve on 127.0.0.1 until Ctrl-C (ONCE=1: stop after the show)
	@$(MAKE) $(JOBS) build/mlgate
	@ONCE='$(ONCE)' PORT='$(PORT)' PLAIN_PORT='$(PLAIN_PORT)' test/show/run.sh build/mlgate

test: deps  ## unit, golden and integration tests, and what fuzzing has found
	@$(MAKE) $(JOBS) binaries
	@test/run $(B) $(BIN)

asan:  ## the same tests, built with the address and undefined-behaviour sanitizers
	@$(MAKE) VARIANT=asan test

# What has threads: the server, its registry, its watches; and what asks them.
THREADS := test_(cluster_api|context|crew|feed|http|log|metrics|registry|registry_look|registry_parts|registry_trouble|reload|tls|wait|worker)
THREADS := $(THREADS)|(certs|images|input|live|registry[a-z_]*|reload|serve)[.]py
tsan: deps  ## tests of what has threads, built with the thread sanitizer (ONLY=REGEXP: other programs)
	@$(MAKE) $(JOBS) VARIANT=tsan binaries
	@ONLY='$(or $(ONLY),$(THREADS))' test/run build/tsan build/tsan/mlgate unit integration

unit golden integration regress: deps  ## one suite of them; UPDATE=1 make golden rewrites what is expected
	@$(MAKE) $(JOBS) binaries
	@test/run $(B) $(BIN) $@

binaries: $(BIN) $(UNIT) $(DRIVER) $(FUZZ)

fuzz:  ## T=SECONDS of each target of fuzzing, or of TARGET='json yaml …' (clang; JOBS=N at a time; CORPUS=FOLDERS of manifests)
	@scripts/deps.sh build test fuzz
	@$(MAKE) $(FUZZ_JOBS) build/mlgate
	@$(MAKE) $(FUZZ_JOBS) VARIANT=fuzz CC=clang fuzzers
	@JOBS='$(patsubst -j%,1,$(JOBS))' CORPUS='$(CORPUS)' test/fuzz/run.sh '$(or $(T),60)' $(TARGET)

fuzzers: $(FUZZ)
FUZZ_JOBS = $(if $(filter -j%,$(JOBS)),$(JOBS),$(if $(JOBS),-j$(JOBS)))

lint:  ## layers, sizes, banned functions, headers alone, both compilers, clang-tidy, cppcheck, gcc -fanalyzer, shellcheck, yamllint
	@scripts/deps.sh build test lint
	@CPPFLAGS='$(CPPFLAGS_ALL)' WARN='$(WARN)' test/lint/run.sh

coverage: deps  ## the same tests in a build that counts lines; what of parsers, rules and the whole they run (test/coverage/report.py)
	@$(MAKE) $(JOBS) CC=gcc VARIANT=coverage binaries
	@rm -rf build/coverage/counts && find build/coverage -name '*.gcda' -delete
	@COUNTS='$(CURDIR)/build/coverage/counts' GCOV_PREFIX_STRIP=$(words $(subst /, ,$(CURDIR))) GCOV_ERROR_FILE='$(CURDIR)/build/coverage/trouble' \
	  test/run build/coverage build/coverage/mlgate
	@test/coverage/report.py build/coverage

torture:  ## every allocation and system call of whole lives of mlgate fails once (SAMPLE=N points a scene; TIMES=N in a row; SCENE=serve, …)
	@scripts/deps.sh build test
	@$(MAKE) $(JOBS) CC=gcc VARIANT=asan build/asan/mlgate build/asan/torture/torture
	@MLGATE='$(CURDIR)/build/asan/mlgate' MLGATE_BUILD='$(CURDIR)/build/asan' PYTHONDONTWRITEBYTECODE=1 test/torture/torture.py \
	  $(if $(SAMPLE),--sample '$(SAMPLE)') $(if $(SCENE),--scene '$(SCENE)') $(if $(WORKERS),--workers '$(WORKERS)') $(if $(TIMES),--times '$(TIMES)')
abuse: deps  ## every row of what a network can do to a server, beside a load that must not notice (ROW=N; VARIANT=asan|tsan)
	@$(MAKE) $(JOBS) $(BIN) $(DRIVER) $(ABUSE)
	@$(ABUSED) test/abuse/abuse.py $(ROW)

soak: deps  ## reloads and rotations every 100 ms, abuse and valid load together (TIME=600 seconds; VARIANT=asan|tsan)
	@$(MAKE) $(JOBS) $(BIN) $(DRIVER) $(ABUSE)
	@$(ABUSED) test/abuse/soak.py $(TIME)

rolling: deps  ## SIGTERM at full load beside a second replica (TIMES=100)
	@$(MAKE) $(JOBS) $(BIN) $(DRIVER) $(ABUSE)
	@$(ABUSED) test/abuse/rolling.py $(TIMES)

ABUSED = MLGATE='$(CURDIR)/$(BIN)' MLGATE_BUILD='$(CURDIR)/$(B)' VARIANT='$(VARIANT)' PYTHONDONTWRITEBYTECODE=1

bench:  ## benchmarks, beside other servers in the same run (Go 1.26 for one of them; PART=compare|mallocs|start|micro; QUICK=1)
	@scripts/deps.sh build test
	@$(MAKE) $(JOBS) build/mlgate
	@test/bench/run.sh build/mlgate $(PART)

drawings:  ## docs/benchmarks.md and its drawing, out of what make bench measured last
	@test/bench/draw.py build/bench.json docs/benchmarks.svg docs/benchmarks.md

instructions:  ## instructions of the hot path, counted, against test/bench/instructions (UPDATE=1 writes it)
	@scripts/deps.sh build test bench
	@$(MAKE) $(JOBS) build/mlgate
	@test/bench/run.sh build/mlgate build_only
	@UPDATE='$(UPDATE)' test/bench/instructions.py build/bench

connections:  ## benchmarks of handshakes and idle connections, beside a webhook in Go (Go 1.26; test/bench/connections.sh)
	@scripts/deps.sh build test
	@$(MAKE) $(JOBS) build/mlgate
	@test/bench/connections.sh build/mlgate

e2e:  ## a real control plane in front of it (Go 1.26; CORE=1: without operators; RUN=REGEXP: only these cases)
	@$(MAKE) $(JOBS) build/mlgate
	@CORE='$(CORE)' MLGATE='$(CURDIR)/build/mlgate' test/e2e/run.sh cases $(if $(RUN),-test.run '$(RUN)')

e2e-load:  ## Pods in numbers through that control plane: certificates rotate, replicas restart, bursts, CPU (COUNT=10000; PARTS=soak,burst,…)
	@$(MAKE) $(JOBS) build/mlgate
	@CORE=1 MLGATE='$(CURDIR)/build/mlgate' test/e2e/run.sh load $(if $(COUNT),-count '$(COUNT)') $(if $(PARTS),-parts '$(PARTS)')

e2e-build:  ## only the programs that make e2e needs, for a CI that bounds or keeps that (MLGATE_E2E_BIN: the folder)
	@CORE='$(CORE)' test/e2e/run.sh build

limits:  ## limitRange, quota and what check foresees of a Pod, against the API server's own plugins (Go 1.26; PAIRS=2000 QUANTITIES=10000 SEED=…)
	@$(MAKE) $(JOBS) build/mlgate
	@MLGATE='$(CURDIR)/build/mlgate' PAIRS='$(PAIRS)' QUANTITIES='$(QUANTITIES)' SEED='$(SEED)' test/e2e/limits/run.sh

conditions:  ## derived match conditions, in the API server's own library, against the server (Go 1.26)
	@$(MAKE) $(JOBS) build/mlgate $(B)/golden_driver
	@MLGATE='$(CURDIR)/build/mlgate' GOLDEN_DRIVER='$(CURDIR)/$(B)/golden_driver' test/e2e/conditions/run.sh

identity:  ## DIR=…: mlgate check and a real API server must say the same of every manifest there (FAULTS=1: of spoiled ones too)
	@test -n '$(DIR)' || { echo 'make identity DIR=FOLDER' >&2; exit 2; }
	@$(MAKE) $(JOBS) build/mlgate
	@CORE=1 MLGATE='$(CURDIR)/build/mlgate' test/e2e/run.sh identity $(if $(FAULTS),-faults) \
	  $(foreach p,$(POLICIES),-policies '$(abspath $(p))') $(foreach d,$(DIR),'$(abspath $(d))')

manifests: $(BIN)  ## write what is generated of manifests/, from policies/baseline
	@scripts/manifests.sh $(BIN) manifests

monitoring: $(BIN)  ## write what is generated of manifests/monitoring, from its rules and a server's metrics
	@scripts/monitoring.sh $(BIN) manifests/monitoring

promtool:  ## build/tools/promtool, out of Debian's package and without installing it; tests of alerts are left out where it is absent
	@scripts/promtool.sh build/tools

sarif-schema:  ## build/tools/sarif-2.1.0.json, the public schema, by npm; that part of the tests is left out where it is absent
	@scripts/sarif-schema.sh build/tools

readme: $(BIN)  ## write README's table of rules
	@scripts/readme.sh $(BIN) README.md

policies: $(BIN)  ## write what is generated of docs/: a page about the policies that ship, and their schema
	@scripts/policies.sh $(BIN) docs

.PHONY: docs reproducible sbom
docs: readme policies  ## write what is generated of README and docs/: rules, reference, workloads, options, policies
	@scripts/docs.py $(BIN) docs

reproducible:  ## two builds, in two folders and at two times, must be the same bytes
	@scripts/reproducible.sh build/reproducible

sbom: $(BIN)  ## build/mlgate.spdx.json: what the binary is made of, and by which packages
	@scripts/sbom.py $(BIN) build/mlgate.spdx.json

container:  ## build the image on a base made here, start it, ask it for a review; as root (test/container/run.sh)
	@scripts/deps.sh test
	@test/container/run.sh

man: $(BIN)  ## manual pages: build/man/mlgate*.1
	@scripts/man.sh $(BIN) build/man

PREFIX ?= /usr/local
install: man  ## binary, manual pages, completions and policies below PREFIX=/usr/local (DESTDIR=: somewhere else, for packages)
	@scripts/install.sh $(BIN) build/man '$(DESTDIR)$(PREFIX)'

uninstall:  ## remove what install put there
	@scripts/install.sh --remove '$(DESTDIR)$(PREFIX)'

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z][a-z0-9 ]*\):.*## \(.*\)/  \1 - \2/p' Makefile
