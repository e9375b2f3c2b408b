# SPDX-License-Identifier: MIT
# What is handed out: `make dist`. The portable program has every library linked in that Debian 12
# has a static form of; libcjson and libmd4c, which it has not, lie beside it.
# Included by the Makefile; what it builds from is installed by `scripts/setup --dist`.

PORTABLE := $(O)/portable
PORTABLE_STATIC := -lcurl -lgit2 -larchive -lsqlite3 -lsodium -l:libuv_a.a -lmbedtls -lmbedx509 \
	-lmbedcrypto -lhttp_parser -lpcre2-8 -lnghttp2 -lpsl -lidn2 -lunistring -lssh2 -lssl -lcrypto \
	-lnettle -lacl -lzstd -llz4 -lbz2 -llzma -lbrotlidec -lbrotlicommon -lz
# Sources with a table of functions that are loaded when they are first needed.
DL_SOURCES := $(shell grep -lw kt_dl_load lib/*/*.c lib/*/*/*.c | grep '\.c$$' | grep -v '^lib/base/')

$(PORTABLE)/builtins.c: scripts/dist/builtins $(DL_SOURCES) $(BUILD)/gen/store/schema.h
	@mkdir -p $(@D)
	$(Q)for f in $(DL_SOURCES); do \
		$(CC) $(filter-out -MMD -MP,$(CFLAGS_ALL)) -E -P $$f || exit 1; done >$(@D)/sources.i
	$(Q)scripts/dist/builtins <$(@D)/sources.i >$@
$(PORTABLE)/builtins.o: $(PORTABLE)/builtins.c
	$(Q)$(CC) $(filter-out -MMD -MP,$(CFLAGS_ALL)) -c -o $@ $<
$(PORTABLE)/absent.o: scripts/dist/absent.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(CFLAGS_ALL)) -c -o $@ $<
$(PORTABLE)/karta: $(CMD_OBJS) $(LIB_OBJS) $(ASSETS) $(PORTABLE)/builtins.o $(PORTABLE)/absent.o
	$(call note,LD $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -Wl,--wrap=mbedtls_x509_crt_parse_file -Wl,--wrap=mbedtls_x509_crt_parse_path -Wl,--enable-new-dtags -Wl,-rpath,'$$ORIGIN/../lib/karta' -o $@ $^ \
		-lcjson -lmd4c -Wl,-Bstatic $(PORTABLE_STATIC) -Wl,-Bdynamic -ldl -lpthread -lm

# Who made a package, as the .deb names them.
MAINTAINER ?= karta <karta@example.org>
# Where the files will be found, for install.sh; empty: its user says it.
INSTALL_URL ?=
PORTABLE_LIBS := $(patsubst -l%,lib%.a,$(filter-out -l:%,$(PORTABLE_STATIC))) \
	$(patsubst -l:%,%,$(filter -l:%,$(PORTABLE_STATIC)))

# What the functions in builtins.c need of the system's libraries: dpkg-shlibdeps reads it.
$(PORTABLE)/needs.so: $(PORTABLE)/builtins.c
	$(Q)$(CC) -std=gnu17 -Ilib -fPIC -shared -Wl,--no-as-needed -o $@ $< -lcurl -lgit2 -larchive \
		-lsqlite3 -lsodium -lcrypto -lz

DIST_INPUTS := $(shell find scripts/dist scripts/systemd man completions -type f) LICENSE README.md \
	scripts/install.sh $(shell git rev-parse --git-path logs/HEAD 2>/dev/null)
DIST ?= $(BUILD)/dist
$(DIST)/SHA256SUMS: $(KARTA) $(O)/karta-credential-secretservice $(PORTABLE)/karta \
		$(PORTABLE)/needs.so $(wildcard $(DIST_INPUTS))
	@VERSION=$(VERSION) OBJECTS=$(O) OUT=$(DIST) MAKE='$(MAKE)' CC='$(CC)' \
		MAINTAINER='$(MAINTAINER)' INSTALL_URL='$(INSTALL_URL)' LIBS='$(PORTABLE_LIBS)' scripts/dist/build

dist: $(DIST)/SHA256SUMS
