# karta: every target a user needs.
#
## make            build build/release/karta
## make demo       set up, build, and run the main job end to end
## make check      set up, build, and run every test; ONLY=text those whose names hold text
## make check-long the same with much more fuzzing, crash points and power cuts
## make bench      measure, side by side with a baseline
## make install    into $(DESTDIR)$(PREFIX); make uninstall takes it away
## make lint       static checks; make format lays out the sources
## make fuzz       run the fuzz targets, FUZZ_SECONDS each (default 60)
## make generated  write what is generated and committed (completions, docs/limits.md)
## make dist       what is handed out, into build/dist: tarball, .deb, npm packages, checksums
## make clean      remove build/
#
# Objects live under $(BUILD)/$(VARIANT); VARIANT is release, asan (address and undefined behavior
# sanitizers), tsan or fuzz. Other compilers: `make CC=clang`. Nothing is written outside $(BUILD)
# but what npm installs.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
VARIANT ?= release
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif

O := $(BUILD)/$(VARIANT)
# make V=1 shows the commands.
Q := $(if $(V),,@)
note = $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,@echo "  $(1)")
# In the order of the import ladder: lowest first (scripts/check-imports reads this list).
MODULES := base text crypto cli net http proc event app sandbox pack store git client harness control session api

PKGS := libuv libcjson md4c
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wwrite-strings -Wpointer-arith -Wundef -Wcast-qual \
	-Wimplicit-fallthrough -Wswitch-enum -Wnull-dereference -Werror=format-security \
	-Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion \
	-Werror=return-type -Wno-unused-parameter -Wno-missing-field-initializers
ifdef CI
WARN += -Werror
endif
ifdef WERROR
WARN += -Werror
endif

# Libraries that are loaded when they are first needed (lib/base/dl.h), by the names that the
# packages with the headers have.
soname = $(or $(shell objdump -p "$$($(CC) -print-file-name=lib$(1).so)" 2>/dev/null | \
	sed -n 's/^ *SONAME *//p'),lib$(1).so)
SONAMES := -DKT_SO_SODIUM='"$(call soname,sodium)"' -DKT_SO_CRYPTO='"$(call soname,crypto)"' \
	-DKT_SO_SQLITE3='"$(call soname,sqlite3)"' -DKT_SO_GIT2='"$(call soname,git2)"' \
	-DKT_SO_ARCHIVE='"$(call soname,archive)"' -DKT_SO_Z='"$(call soname,z)"'

BASE_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DKT_VERSION='"$(VERSION)"' -Ilib -I. -I$(BUILD)/gen \
	-include base/banned.h -fvisibility=hidden -fPIE -MMD -MP -g \
	-ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(CURDIR)/= -fno-strict-aliasing $(WARN) $(PKG_CFLAGS) $(SONAMES)
# Flags of the hardening guide that the compiler at hand takes.
try = $(shell echo 'int main(void){return 0;}' | $(CC) -Werror $(1) -x c -c -o /dev/null - 2>/dev/null && echo $(1))
ifeq ($(VARIANT),release)
HARDEN := -O2 -U_FORTIFY_SOURCE $(or $(call try,-D_FORTIFY_SOURCE=3 -O2),-D_FORTIFY_SOURCE=2) \
	-fstack-protector-strong $(call try,-fstack-clash-protection) $(call try,-fcf-protection=full) \
	$(call try,-ftrivial-auto-var-init=zero) -fno-strict-overflow -fno-delete-null-pointer-checks \
	-ffunction-sections -fdata-sections
# Nothing unwinds the stripped program; with -g the tables are in .debug_frame, for debuggers.
HARDEN += -fno-asynchronous-unwind-tables
# Commands wait for people, servers and disks.
SMALL := -Os
LDHARDEN := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code -Wl,--as-needed \
	-Wl,--gc-sections -Wl,--build-id=none
else ifeq ($(VARIANT),asan)
# Lines are what a report needs; `make CFLAGS=-g` has the rest, for a debugger.
HARDEN := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDHARDEN := -pie -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
# Clang's too, so that its warnings are seen without compiling once more (scripts/lint).
CC := clang
HARDEN := -O1 -g1 -fno-omit-frame-pointer -fsanitize=thread
LDHARDEN := -pie -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
CC := clang
HARDEN := -O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
LDHARDEN := -pie -fsanitize=fuzzer,address,undefined
else
$(error VARIANT is release, asan, tsan or fuzz, not $(VARIANT))
endif
CFLAGS_ALL = $(BASE_CFLAGS) $(HARDEN) $(SIZE) $(CFLAGS)
# What libgit2 is to find in the program instead of in a library: see git_tls.c.
LDEXPORT := -Wl,--export-dynamic-symbol=mbedtls_x509_crt_parse_file -Wl,--export-dynamic-symbol=mbedtls_x509_crt_parse_path
LDFLAGS_ALL := $(LDHARDEN) $(LDEXPORT) $(LDFLAGS)
LIBS := $(PKG_LIBS) -ldl -lpthread -lm

src_of = $(wildcard lib/$(1)/*.c lib/$(1)/*/*.c)
obj_of = $(patsubst %.c,$(O)/%.o,$(call src_of,$(1)))
LIB_OBJS := $(foreach m,$(MODULES),$(call obj_of,$(m)))
CMD_OBJS := $(patsubst %.c,$(O)/%.o,$(filter-out cmd/credential/%,$(wildcard cmd/*.c cmd/*/*.c)))
ASSETS := $(O)/gen/assets.o
KARTA := $(O)/karta

.DELETE_ON_ERROR:
.PHONY: all help demo check check-long bench install uninstall dist clean lint format fuzz generated \
	print-base-cflags
.DEFAULT_GOAL := all

all: $(KARTA) $(O)/git-remote-karta $(O)/karta-credential-secretservice

help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))

$(CMD_OBJS) $(call obj_of,cli) $(call obj_of,client): SIZE = $(SMALL)

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call note,CC $<)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# Pages, templates and documents that the binary carries: see scripts/embed.
EMBED_LIST := lib/api/web/manifest.txt
WEB_DEPS := $(wildcard lib/api/web/src/* lib/api/web/*.html lib/api/web/*.css lib/api/web/*.svg)
lib/api/web/node_modules/.karta-lock: lib/api/web/package-lock.json
	cd lib/api/web && npm ci --silent --no-progress >&2
	cp $< $@
$(BUILD)/gen/assets.S: scripts/embed $(EMBED_LIST) $(WEB_DEPS) $(wildcard lib/api/openapi.json) \
		lib/api/web/node_modules/.karta-lock $(shell find docs/examples/support-bot -type f 2>/dev/null)
	@mkdir -p $(@D)
	$(Q)scripts/embed $@
# The database's migrations: see scripts/embed-schema.
$(BUILD)/gen/store/schema.h: scripts/embed-schema $(wildcard lib/store/schema/*.sql)
	@mkdir -p $(@D)
	$(Q)scripts/embed-schema $@ $(filter %.sql,$^)
$(call obj_of,store): $(BUILD)/gen/store/schema.h
# Tables of Unicode's data, which Debian's package unicode-data has: see scripts/embed-unicode.
UNICODE_DATA ?= /usr/share/unicode
$(BUILD)/gen/text/unicode_tables.h: scripts/embed-unicode $(wildcard $(UNICODE_DATA)/UnicodeData.txt)
	@mkdir -p $(@D)
	$(Q)scripts/embed-unicode $@ $(UNICODE_DATA)
$(O)/lib/text/unicode.o: $(BUILD)/gen/text/unicode_tables.h

$(ASSETS): $(BUILD)/gen/assets.S
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

$(KARTA): $(CMD_OBJS) $(LIB_OBJS) $(ASSETS)
	$(call note,LD $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# git finds its helper by this name; it is the same program.
$(O)/git-remote-karta: $(KARTA)
	$(Q)ln -sf karta $@

# Keeps GLib and D-Bus out of karta itself.
$(O)/karta-credential-secretservice: cmd/credential/secretservice.c
	@mkdir -p $(@D)
	$(call note,CC $<)
	$(Q)$(CC) $(filter-out -include base/banned.h -MMD -MP,$(CFLAGS_ALL)) \
		$$(pkg-config --cflags libsecret-1) $(LDFLAGS_ALL) -o $@ $< $$(pkg-config --libs libsecret-1)

# --- unit tests: tests/unit/MODULE/test_*.c, one program each, under ASan and UBSan ------------
# A module's tests link the module and what stands below it, so that they do not wait for the rest.
BELOW_base :=
BELOW_text := base
BELOW_cli := base text
BELOW_net := base text
BELOW_http := base text net
BELOW_proc := base text net
BELOW_event := base text net
BELOW_crypto := base
BELOW_app := base text
BELOW_pack := base text crypto net proc
BELOW_store := base text crypto net
BELOW_git := base text crypto net proc pack
BELOW_client := base text crypto net proc pack git
BELOW_sandbox := base text net proc
BELOW_harness := base text crypto net proc event app sandbox
# (with git, of whose folders its tests make bundles)
BELOW_control := base text crypto net proc event app pack store git
BELOW_session := $(BELOW_control) sandbox harness
BELOW_api := $(BELOW_session) control http session
UV := $(if $(UNIT_VARIANT),$(UNIT_VARIANT),asan)

define unit_rules
unit-$(1):
	@$$(MAKE) --no-print-directory VARIANT=$(UV) run-unit-$(1)
run-unit-$(1): $$(patsubst tests/unit/$(1)/%.c,$(O)/tests/unit/$(1)/%.run,$$(wildcard tests/unit/$(1)/test_*.c))
$(O)/tests/unit/$(1)/%: $(O)/tests/unit/$(1)/%.o $(foreach m,$(1) $(BELOW_$(1)),$(call obj_of,$(m))) $(if $(filter api,$(1)),$(ASSETS))
	$$(Q)$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(LIBS) -lcmocka
lint-$(1):$(if $(filter store,$(1)), $(BUILD)/gen/store/schema.h)$(if $(filter text,$(1)), $(BUILD)/gen/text/unicode_tables.h)
	@for f in $(call src_of,$(1)); do clang -fsyntax-only $$(filter-out -MMD -MP -Werror=%,$$(BASE_CFLAGS)) -Werror $$$$f || exit 1; done
.PHONY: unit-$(1) run-unit-$(1) lint-$(1)
endef
$(foreach m,$(MODULES),$(eval $(call unit_rules,$(m))))
$(O)/tests/unit/%.run: $(O)/tests/unit/%
	@echo "# $*"
	@CMOCKA_MESSAGE_OUTPUT=TAP UBSAN_OPTIONS=print_stacktrace=1 KARTA_TEST_ROOT=$(CURDIR) $<
.SECONDARY:
.PHONY: $(O)/tests/unit/%.run

# --- fuzzing: tests/fuzz/fuzz_NAME.c with tests/fuzz/corpus/NAME ---------------------------------
FUZZ_SECONDS ?= 60
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MODULES := base text crypto net http proc pack git
FUZZ_OBJS := $(foreach m,$(FUZZ_MODULES),$(call obj_of,$(m)))
fuzz-build:
	@$(MAKE) --no-print-directory VARIANT=fuzz run-fuzz-build
run-fuzz-build: $(FUZZ_NAMES:%=$(O)/fuzz_%)
$(O)/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(FUZZ_OBJS)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
fuzz: fuzz-build
	@set -e; for n in $(FUZZ_NAMES); do scripts/fuzz $(BUILD)/fuzz/fuzz_$$n $$n $(FUZZ_SECONDS); done

# --- tests -------------------------------------------------------------------------------------
UNIT_NAMES := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*/test_*.c))
unit-build: $(foreach n,$(UNIT_NAMES),$(O)/tests/unit/$(n))
# Where threads or processes meet.
TSAN_NAMES := $(filter net/% proc/% http/% store/%,$(UNIT_NAMES))
unit-build-tsan: $(TSAN_NAMES:%=$(O)/tests/unit/%)
print-base-cflags: $(BUILD)/gen/store/schema.h $(BUILD)/gen/text/unicode_tables.h
	@echo $(filter-out -MMD -MP -Werror%,$(BASE_CFLAGS))
# What clang has compiled with all warnings once these are built.
print-clang-saw:
	@echo lib/ cmd/ tests/fuzz/ $(sort $(foreach n,$(TSAN_NAMES),tests/unit/$(n).c))
.PHONY: unit-build unit-build-tsan fuzz-build run-fuzz-build print-clang-saw

check:
	scripts/setup --test
	@BUILD=$(BUILD) scripts/check

check-long:
	scripts/setup --test --long
	@BUILD=$(BUILD) LONG=1 scripts/check

lint: $(KARTA)
	@KARTA=$(KARTA) scripts/lint

format:
	clang-format-14 -i $(shell git ls-files '*.c' '*.h' ':!tests/unit')

generated: $(KARTA)
	scripts/gen-completions $(KARTA)
	scripts/check-docs --limits >build/limits.md && mv build/limits.md docs/limits.md
	scripts/check-docs --foreign $(KARTA) >build/foreign.7 && mv build/foreign.7 man/karta-foreign.7

bench: $(KARTA)
	scripts/setup --bench
	@tests/bench/run KARTA=$(KARTA) $(BENCH)

demo:
	scripts/setup
	@$(MAKE) --no-print-directory -j2 all >/dev/null
	@KARTA=$(KARTA) scripts/demo

# --- installing ----------------------------------------------------------------------------------
bindir := $(DESTDIR)$(PREFIX)/bin
libexecdir := $(DESTDIR)$(PREFIX)/libexec/karta
mandir := $(DESTDIR)$(PREFIX)/share/man
bashdir := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

# The program that is installed: `make dist` also installs the portable one.
PROGRAM ?= $(KARTA)

install: all $(PROGRAM)
	install -D -m 0755 -s $(PROGRAM) $(bindir)/karta
	ln -sf karta $(bindir)/git-remote-karta
	install -D -m 0755 -s $(O)/karta-credential-secretservice \
		$(libexecdir)/karta-credential-secretservice
	@for f in man/*.[1578]; do \
		install -D -m 0644 $$f $(mandir)/man$${f##*.}/$${f##*/} || exit 1; done
	install -D -m 0644 completions/karta.bash $(bashdir)/karta
	install -D -m 0644 completions/_karta $(zshdir)/_karta
	install -D -m 0644 completions/karta.fish $(fishdir)/karta.fish

uninstall:
	rm -f $(bindir)/karta $(bindir)/git-remote-karta $(libexecdir)/karta-credential-secretservice \
		$(bashdir)/karta $(zshdir)/_karta $(fishdir)/karta.fish
	@for f in man/*.[1578]; do rm -f $(mandir)/man$${f##*.}/$${f##*/}; done

include scripts/dist/dist.mk

clean:
	rm -rf $(BUILD)

-include $(LIB_OBJS:.o=.d) $(CMD_OBJS:.o=.d) $(wildcard $(O)/tests/unit/*/*.d $(O)/tests/fuzz/*.d)
