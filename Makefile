# A thin front over Meson. `make help` lists the goals.
#
#   BUILD=dir      where to build              PREFIX=dir, DESTDIR=dir   where to install
#   T=text         only tests with this name   FUZZ_SECONDS=n            for each fuzz target
#   DEPS=:         do not look for packages    VARVE_SEED=n              repeat a run

BUILD ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 30
DEPS ?= scripts/deps.sh
T ?=

MAIN = tools/build $(BUILD) "$(1)" -Dprefix=$(PREFIX)
CLANG = $(shell command -v clang-14 || echo clang)
CLANG_FORMAT = $(shell command -v clang-format-14 || echo clang-format)
# ThreadSanitizer cannot map its shadow under strong address randomisation.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)
# A debug-checked build: structures verify themselves after each change.
SANITIZED = -Dparanoid=true -Db_lundef=false -Dc_args=-fno-sanitize-recover=all

.PHONY: all run test bench soak fuzz lint format asan tsan install install-leveldb clean help

all:
	@$(DEPS) build
	@$(call MAIN,all)

run: all
	@scripts/run.sh

test:
	@$(DEPS) build test
	@$(call MAIN,all tests)
	@tools/run-tests $(BUILD) $(T)

bench:
	@$(DEPS) build bench
	@$(call MAIN,all bench)
	@$(BUILD)/bench

soak:
	@$(DEPS) build test
	@$(call MAIN,all tests)
	@VARVE_SOAK=1 VARVE_SEED=$${VARVE_SEED:-$$(date +%s)} TEST_TIMEOUT=$${TEST_TIMEOUT:-14400} \
		tools/run-tests $(BUILD) $(T)

asan:
	@$(DEPS) build test
	@tools/build $(BUILD)/asan "all tests" -Db_sanitize=address,undefined $(SANITIZED)
	@tools/run-tests $(BUILD)/asan $(T)

tsan:
	@$(DEPS) build test
	@tools/build $(BUILD)/tsan "all tests" -Db_sanitize=thread $(SANITIZED)
	@$(FIXED_ADDRESSES) tools/run-tests $(BUILD)/tsan $(T)

fuzz:
	@$(DEPS) build fuzz
	@CC=$(CLANG) CFLAGS="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all" \
		tools/build $(BUILD)/fuzz fuzzers \
		-Dfuzz=true -Dparanoid=true -Db_sanitize=address,undefined -Db_lundef=false
	@tools/run-fuzz $(BUILD)/fuzz $(FUZZ_SECONDS) $(T)

lint:
	@$(DEPS) build test lint
	@tools/lint --build $(BUILD)/lint

format:
	@$(DEPS) lint
	@find src include cli compat test bench fuzz -name '*.[ch]' 2>/dev/null | xargs -r $(CLANG_FORMAT) -i

install: all
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

install-leveldb: all
	@for dir in include/leveldb lib; do mkdir -p $(DESTDIR)$(PREFIX)/$$dir; done
	@cp compat/leveldb/leveldb/c.h $(DESTDIR)$(PREFIX)/include/leveldb/
	@cp -P $(BUILD)/compat/leveldb/libleveldb.a $(BUILD)/compat/leveldb/libleveldb.so \
		$(BUILD)/compat/leveldb/libleveldb.so.1d $(DESTDIR)$(PREFIX)/lib/
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

clean:
	@rm -rf $(BUILD)

help:
	@echo 'make            build/varve, build/libvarve.a, build/libvarve.so'
	@echo 'make run        load real data into a store and look around in it'
	@echo 'make test       all tests; T=text picks by name'
	@echo 'make soak       the same tests, for hours, with a fresh seed'
	@echo 'make asan tsan  the tests under sanitizers'
	@echo 'make fuzz       each decoder for FUZZ_SECONDS'
	@echo 'make bench      varve beside its peers'
	@echo 'make lint       floors, symbols, lengths, formatting, clang-tidy, warnings'
	@echo 'make format     clang-format in place'
	@echo 'make install    PREFIX=/usr/local, DESTDIR='
	@echo 'make install-leveldb  in place of LevelDB, see README.md; PREFIX, DESTDIR'
	@echo 'make clean      remove the build directory'
