# dplaned: `make` alone lists the targets. Needs git, make and node with npm (or a bun); everything else comes with
# `npm ci`, the two runtimes among it, so that bun and deno are always those of package-lock.json.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
INSTALL ?= install

BIN := node_modules/.bin
BUN := $(BIN)/bun
# By Debian's names, amd64 or arm64. What is built for another machine has its architecture in its name.
HOST_ARCH := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
ARCH ?= $(HOST_ARCH)
IS_FOREIGN := $(filter-out $(HOST_ARCH),$(ARCH))
BINARY := dist/dplaned$(addprefix -,$(IS_FOREIGN))
SOURCES := $(shell find main.ts core providers ffi -type f 2>/dev/null) \
           packaging/build.ts packaging/architectures.ts package.json package-lock.json tsconfig.json

BINDIR := $(DESTDIR)$(PREFIX)/bin
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
CONFDIR := $(DESTDIR)$(SYSCONFDIR)/dplaned
SHAREDIR := $(DESTDIR)$(PREFIX)/share
BASH_COMPLETION := $(SHAREDIR)/bash-completion/completions/dplaned
# Where zsh looks for what a package brings differs between systems; below /usr/local all have it here.
ZSH_SITE ?= $(PREFIX)/share/zsh/site-functions
ZSH_COMPLETION := $(DESTDIR)$(ZSH_SITE)/_dplaned
FISH_COMPLETION := $(SHAREDIR)/fish/vendor_completions.d/dplaned.fish
# What prints the completions: a binary for another machine does not run here.
COMPLETION := $(if $(IS_FOREIGN),$(BUN) main.ts,$(BINARY)) completion
MAN_PAGES := $(notdir $(wildcard packaging/man/*.[1-9]))

.PHONY: help deps build deb run test check types fmt sim fuzz soak reliability bench sbom audit install uninstall clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

deps: ## Get the dependencies into node_modules (again only when package-lock.json changed)
	@scripts/deps.sh

build: $(BINARY) ## Compile dist/dplaned, one self-contained executable (ARCH=arm64: dist/dplaned-arm64)

$(BINARY): $(SOURCES) | deps
	@$(BUN) packaging/build.ts $(ARCH)

deb: $(BINARY) ## Make dist/dplaned_VERSION_ARCH.deb, a Debian package (ARCH=arm64: of that architecture)
	@$(BUN) packaging/deb/build_deb.ts $(ARCH)

run: $(BINARY) ## Demo in a network namespace of its own, with a real routing table (ONCE=1: end after the summary)
	@$(BUN) scripts/demo.ts $(if $(filter 1,$(ONCE)),--once)

test: $(BINARY) ## Every test there is, on Bun and on Deno (ONLY="SUITE|PATH ...": some of them)
	@$(BUN) scripts/test.ts $(ONLY)

check: types ## The fast gate: format, lint, types, import rules, unit tests on Bun and Deno
	@$(BUN) scripts/test.ts unit

types: deps
	@$(BUN) $(BIN)/biome check --error-on-warnings --no-errors-on-unmatched
	@$(BUN) $(BIN)/tsc -p .
	@$(BUN) $(BIN)/tsc -p core/northbound/web
	@$(BIN)/deno check --quiet main.ts core providers ffi tests

fmt: deps ## Format the code and sort the imports
	@$(BUN) $(BIN)/biome check --write --linter-enabled=false

sim: deps ## Simulations of the whole daemon (SEEDS=N: as many; FROM=S: from this seed; SEED=S: that one, with all that happens)
	@$(BUN) tests/sim/run.ts $(if $(SEED),--seed $(SEED) --trace,--seeds $(or $(SEEDS),1000) --from $(or $(FROM),1))

fuzz: deps ## Fuzz every decoder for MINUTES (5), or TARGET alone, from SEED on, or for so many CASES
	@$(BUN) scripts/fuzz.ts $(foreach option,minutes target seed cases,$(if $($(shell echo $(option) | tr a-z A-Z)),--$(option)=$($(shell echo $(option) | tr a-z A-Z))))

soak: $(BINARY) ## The compiled daemon under high churn for MINUTES (20), from SEED on
	@$(BUN) tests/soak/run.ts $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

reliability: $(BINARY) ## Simulations, canaries, fuzzing and soak in figures (SEEDS=N MINUTES=N FUZZ_MINUTES=N ONLY="PART ..."; WRITE=1: into docs/ too)
	@$(BUN) scripts/reliability.ts $(ONLY) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FUZZ_MINUTES),--fuzz-minutes $(FUZZ_MINUTES)) $(if $(filter 1,$(WRITE)),--write)

bench: $(BINARY) ## The benchmarks, against other programs (ONLY="SECTION ...", CONTENDERS=A,B RUNS=N; WRITE=1: into docs/ too)
	@$(BUN) tests/bench/bench.ts $(ONLY) $(if $(RUNS),--runs $(RUNS)) $(if $(CONTENDERS),--contenders "$(CONTENDERS)") $(if $(filter 1,$(WRITE)),--write) $(if $(filter 1,$(FORCE)),--force)

sbom: deps ## The bill of materials of the binary, as dist/dplaned.cdx.json (CycloneDX)
	@$(BUN) scripts/sbom.ts

audit: ## Ask the registry for known faults in what is in the binary
	@npm audit --omit=dev

# A binary that is there is installed as it is, so that `make && sudo make install` compiles nothing as root.
install: $(if $(wildcard $(BINARY)),,$(BINARY)) ## Install into PREFIX (default /usr/local), below DESTDIR
	$(INSTALL) -d $(BINDIR) $(UNITDIR) $(CONFDIR)
	$(INSTALL) -m 0755 $(BINARY) $(BINDIR)/dplaned
	sed 's|@BINDIR@|$(PREFIX)/bin|g' packaging/systemd/dplaned.service > $(UNITDIR)/dplaned.service
	chmod 0644 $(UNITDIR)/dplaned.service
	test -e $(CONFDIR)/dplaned.toml || $(INSTALL) -m 0640 packaging/dplaned.toml $(CONFDIR)/dplaned.toml
	for page in $(MAN_PAGES); do \
	  $(INSTALL) -D -m 0644 "packaging/man/$$page" "$(SHAREDIR)/man/man$${page##*.}/$$page" || exit 1; \
	done
	$(INSTALL) -d $(dir $(BASH_COMPLETION)) $(dir $(ZSH_COMPLETION)) $(dir $(FISH_COMPLETION))
	$(COMPLETION) bash > $(BASH_COMPLETION)
	$(COMPLETION) zsh > $(ZSH_COMPLETION)
	$(COMPLETION) fish > $(FISH_COMPLETION)

uninstall: ## Remove what install put there; the configuration stays
	rm -f $(BINDIR)/dplaned $(UNITDIR)/dplaned.service $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION)
	for page in $(MAN_PAGES); do rm -f "$(SHAREDIR)/man/man$${page##*.}/$$page"; done

clean: ## Remove what was built (and `make clean ALL=1` the dependencies too)
	rm -rf dist $(if $(filter 1,$(ALL)),node_modules)
