# Two commands: `make demo` and `make test`. Each sets up what is missing first.
.DEFAULT_GOAL := help
.NOTPARALLEL:
HARNESS := .venv/bin/harness
# Else each process compiles all modules again, and each pytest rewrites all assertions.
unexport PYTHONDONTWRITEBYTECODE
# The places of harness/state_folder.py; the harness itself may be gone already.
JOURNALS := $${XDG_STATE_HOME:-/none}/harness/*/journal.jsonl \
  $$HOME/.local/state/harness/*/journal.jsonl \
  /tmp/harness-$$(id -u)/*/journal.jsonl .harness/*/journal.jsonl
CHECKED := .venv/check.log
# The first four take longest, and mostly wait.
LONGEST_FIRST := $(patsubst %,tests/integration/test_%.py,images watchdog data_faults faults) tests/integration
HEADLINE := app-server-crash redis-outage db-primary-failover

help:            ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: setup      ## Set up everything, run the three headline experiments, write the reports
	$(HARNESS) run --scale auto $(HEADLINE)

test:            ## Set up everything, then lint, types, layers and all tests
	@scripts/bootstrap.sh --no-images --promtool
	@# Beside tests that wait for containers run those that need the CPU, in a session that Ctrl-C ends.
	@setsid $(MAKE) --no-print-directory check > $(CHECKED) 2>&1 & check=$$!; \
	  trap "kill -- -$$check" INT TERM; \
	  scripts/bootstrap.sh && .venv/bin/pytest $(LONGEST_FIRST) -m 'not measures' --timeout 180 \
	    --numprocesses 3 --dist loadfile --no-loadscope-reorder; waited=$$?; \
	  wait $$check; checked=$$?; cat $(CHECKED); exit $$((waited | checked))
	.venv/bin/pytest tests/integration -m measures --timeout 180
	.venv/bin/pytest tests/e2e

setup:           ## Install what is missing: engine, .venv, base image, the stack's images
	@scripts/bootstrap.sh

up: setup        ## Start the stack and wait until it is healthy
	$(HARNESS) up

down:            ## Stop the stack; the data stays
	$(HARNESS) down

lint:            ## Format, lint, types, import layers, alert rules, tables of results; needs no Docker
	@scripts/bootstrap.sh --no-docker --promtool
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/promtool check rules target/monitoring/rules/*.yml
	printf '%s\n' target/monitoring/rules/tests/*.yml | xargs -P 2 -n 1 .venv/bin/promtool test rules
	.venv/bin/python -m campaigns.results --check

check: lint      ## Lint and the tests that need no Docker
	.venv/bin/pytest tests/unit --numprocesses logical --timeout 60

bench: setup     ## Run what measures the harness itself (benchmarks/)
	@benchmarks/install_peers.sh
	@$(HARNESS) down  # the first ones need both cores for themselves
	@missed=; for each in $(filter-out %/common.py %/recovery.py,$(wildcard benchmarks/*.py)); do \
	  echo "==> $$each"; .venv/bin/python "$$each" || missed="$$missed $$each"; done; \
	[ -z "$$missed" ] || { echo "error: a limit was missed, see above:$$missed" >&2; exit 1; }

experiments: setup ## Run all shipped experiments once (FAMILY=cache, NAMES="a b", RESUME=1)
	.venv/bin/python -m campaigns.experiments $(NAMES) $(if $(FAMILY),--family $(FAMILY)) $(if $(RESUME),--resume)

defects: setup   ## Plant the defects of tests/defects; all must be caught (NAMES="a b", RESUME=1, HOGS=1)
	.venv/bin/python -m campaigns.defects $(NAMES) $(if $(RESUME),--resume) $(if $(HOGS),--hogs $(HOGS))

soak: setup      ## Repeat the shipped experiments in turn, count false alarms (N=60, FAMILY=cache, NAMES="a b", RESUME=1, HOGS=1)
	.venv/bin/python -m campaigns.soak $(NAMES) --runs $(or $(N),60) $(if $(FAMILY),--family $(FAMILY)) $(if $(RESUME),--resume) $(if $(HOGS),--hogs $(HOGS))

fuzz:            ## Mutate experiment files; needs no Docker (N=10000)
	@scripts/bootstrap.sh --no-docker
	.venv/bin/python -m campaigns.fuzz $(or $(N),10000)

mutants:         ## Change the modules that judge a little; tests must notice (NAMES="undo guard", RESUME=1)
	@scripts/bootstrap.sh --no-docker --promtool
	$(if $(NAMES),,.venv/bin/python scripts/rule_mutants.py)
	.venv/bin/python scripts/mutants.py $(NAMES) $(if $(RESUME),--resume)

interrupt: setup ## Interrupt runs on the real stack in every way, and look for what is left
	.venv/bin/python -m campaigns.interrupt $(if $(RESTART_ENGINE),--restart-engine "$(RESTART_ENGINE)")

clean:           ## Remove stack, data, .venv and reports; refuses while a fault is not healed
	@if [ -n "$$(cat $(JOURNALS) 2>/dev/null)" ]; then \
	  echo "error: a fault is not healed yet; run: $(HARNESS) heal" >&2; exit 4; fi
	@if [ -x $(HARNESS) ] && [ -f .env ]; then $(HARNESS) down --volumes; fi
	rm -rf .venv .harness .env target/secrets.env target/ca-certificates.crt
	rm -rf .mutants .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	find reports -mindepth 1 -maxdepth 1 ! -name sample -exec rm -rf {} +

.PHONY: help demo test setup up down lint check bench experiments defects soak fuzz mutants interrupt clean
