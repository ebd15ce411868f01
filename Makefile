# Everything Python lives in .venv; a stamp per dependency group says what is installed there.
PYTHON ?= $(shell test -x /usr/bin/python3 && echo /usr/bin/python3 || echo python3)
BIN := .venv/bin
UV := $(BIN)/uv
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SMALL := -DREMOVAL_SHARE=7 -DFLOW_MOST=9 -DRING_BYTES=131072 -DEVENT_BYTES=262144 -DCOMMAND_BYTES=131072
INSTALL = VIRTUAL_ENV="$(CURDIR)/.venv" $(UV) pip install --quiet --compile-bytecode

.DEFAULT_GOAL := help
.PHONY: help run demo-agent test explore test-asan test-systemd fuzz fuzz-native lint audit fmt bench campaign soak deb sdk lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: .venv/.runtime ## start the appliance and print the page's URL; CONFIG=FILE for your own
	@exec $(BIN)/tandem run $(if $(CONFIG),-c "$(CONFIG)")

demo-agent: .venv/.runtime .venv/.agent ## an appliance and a voice agent that needs no network: talk to it in the browser
	@$(BIN)/python examples/voice_agent.py & agent=$$!; trap "kill $$agent" EXIT; trap : INT TERM; \
	  $(BIN)/tandem run -c examples/agent.toml

test: .venv/.test .venv/.peers lint audit ## everything a change must pass: style, types, rules, tests with real peers
	$(BIN)/python -m pytest --numprocesses $(or $(JOBS),3) --dist loadfile \
	    --basetemp "$$(mktemp -d /tmp/t.XXXX)"

explore: .venv/.test ## properties with many new random examples; TESTS=path for some
	$(BIN)/python -m pytest --hypothesis-profile explore --numprocesses 2 -m hypothesis $(TESTS)

lint: .venv/.test ## style, types and the import rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: .venv/.runtime .venv/.supply ## known vulnerabilities of what is locked, where advisories can be had
	@$(BIN)/python .ci/audit.py requirements/runtime.txt

fmt: .venv/.test ## format the tree
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-asan: .venv/.test ## tests of datapath and media plane against C that is built with ASan and UBSan
	rm -rf build/asan && mkdir -p build/asan
	cp -r config ipc workers tests pyproject.toml README.md setup.py build/asan/
	cd build/asan && rm -f workers/native/*.so && CFLAGS="-O1 -g $(SANITIZE)" LDFLAGS="$(SANITIZE)" \
	    $(CURDIR)/$(BIN)/python setup.py -q build_ext --inplace
	cd build/asan && ASAN_OPTIONS=detect_leaks=0 \
	    LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	    $(CURDIR)/$(BIN)/python -m pytest -q -p no:cacheprovider tests/workers/relay/datapath \
	    tests/workers/transceiver/media tests/workers/caller

fuzz: .venv/.fuzz ## every parser, coverage-guided; MINUTES=n each, ONLY="stun sdp" for some
	@for name in $(or $(ONLY),$$($(BIN)/python -c "from tests.fuzz.targets import TARGETS; print(*TARGETS)")); do \
	  echo "fuzz $$name"; $(BIN)/python -m tests.fuzz $$name $$((60 * $(or $(MINUTES),1))) 2>build/fuzz-$$name.log \
	    || { tail -40 build/fuzz-$$name.log; exit 1; }; grep -E "number_of_executed|DONE" build/fuzz-$$name.log; done

fuzz-native: .venv/.clang ## all C under ASan and UBSan: coverage-guided, then random traffic and damage; MINUTES=n each
	@mkdir -p build/fuzz && $(BIN)/python -m tests.workers.native.seeds build/fuzz
	@for name in relay media calls; do echo "fuzz $$name"; \
	  clang -O1 -g -pthread $(SMALL) $(SANITIZE) -fsanitize=fuzzer tests/workers/native/guided_$$name.c -o build/guided-$$name -lm && \
	  ASAN_OPTIONS=quarantine_size_mb=1 build/guided-$$name build/fuzz/c-$$name -max_total_time=$$((60 * $(or $(MINUTES),1))) \
	    -max_len=4096 -len_control=20 -timeout=10 -print_final_stats=1 -artifact_prefix=build/fuzz/c-$$name- 2>build/fuzz-c-$$name.log \
	    || { tail -40 build/fuzz-c-$$name.log; exit 1; }; grep -E "number_of_executed|DONE" build/fuzz-c-$$name.log; done
	cc -O1 -g -pthread -DREMOVAL_SHARE=7 -DFLOW_MOST=9 $(SANITIZE) tests/workers/native/fuzz.c \
	    workers/native/fastpath.c workers/native/life.c -o build/fuzz-native
	cc -O1 -g -pthread $(SANITIZE) tests/workers/native/fuzz_media.c workers/native/media*.c -o build/fuzz-media -lm
	@end=$$(($$(date +%s) + 60 * $(or $(MINUTES),1))); seed=$$(date +%s); \
	while [ $$(date +%s) -lt $$end ]; do seed=$$((seed + 1)); echo "seed $$seed"; \
	  build/fuzz-native $$seed 20000 && build/fuzz-media $$seed 20000 || exit; done

test-systemd: .venv/.test .venv/.peers .venv/.supply ## install, run, break, upgrade and purge the package under a real systemd; needs root; RELEASE=trixie on that
	$(BIN)/python -m pytest tests/systemd

deb: $(if $(RELEASE),,.venv/.runtime .venv/.supply) ## build build/tandem_VERSION_ARCH.deb, and what is in it as CycloneDX; RELEASE=trixie for that Debian release
	@systemd/build-deb build

sdk: .venv/.runtime ## build build/tandem_backend-VERSION-py3-none-any.whl, the SDK of back ends alone
	@$(BIN)/python .ci/sdk.py

campaign: .venv/.test .venv/.peers ## faults of every kind on live calls, and the docs' table of them; FAULTS=n SEED=n CALLS=n
	$(BIN)/python -m tests.campaign --faults $(or $(FAULTS),100) --calls $(or $(CALLS),200) $(if $(SEED),--seed $(SEED)) \
	    --save docs/campaign.json --page docs/reliability.md

soak: .venv/.runtime ## does anything grow? and the docs' picture of it; MINUTES=n SESSIONS=n
	$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),30) --sessions $(or $(SESSIONS),500) --save docs/soak.json

bench: .venv/.bench ## the benches, short form
	$(BIN)/python -m bench.relay --quick --json
	$(BIN)/python -m bench.transceiver --quick --json

lock: $(UV) ## resolve the dependencies anew and pin them with hashes
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command "make lock" pyproject.toml -o requirements/runtime.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command "make lock" --group tools -o requirements/tools.txt
	for group in test bench fuzz agent supply; do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command "make lock" -c requirements/runtime.txt \
	    pyproject.toml --group $$group -o requirements/$$group.txt; done

clean: ## remove everything that was built
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(UV):
	@PYTHON="$(PYTHON)" .ci/bootstrap venv

.venv/.runtime: $(UV) requirements/runtime.txt pyproject.toml $(wildcard setup.py workers/native/*.[ch])
	@echo "installing what running needs" >&2
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'from workers.native import load; load()' 2>/dev/null || echo "tandem: no C compiler or\
	 headers, so relays forward in Python, slower; to change that: apt install gcc python3-dev libffi-dev,\
	 rm .venv/.runtime and make again" >&2
	@$(BIN)/python -m compileall -q appliance workers ipc config
	@touch $@

.venv/.test: .venv/.runtime requirements/test.txt
	@echo "installing what the tests need" >&2
	@$(INSTALL) --require-hashes -r requirements/test.txt
	@touch $@

.venv/.agent: .venv/.runtime requirements/agent.txt
	@echo "installing what the voice agent needs" >&2
	@$(INSTALL) --require-hashes -r requirements/agent.txt
	@.ci/bootstrap agent
	@touch $@

.venv/.supply: .venv/.runtime requirements/supply.txt
	@echo "installing what audits need" >&2
	@$(INSTALL) --require-hashes -r requirements/supply.txt
	@touch $@

.venv/.bench: .venv/.runtime requirements/bench.txt
	@echo "installing what the benches need" >&2
	@$(INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@

.venv/.fuzz: .venv/.test requirements/fuzz.txt
	@echo "installing what fuzzing needs" >&2
	@$(INSTALL) --require-hashes -r requirements/fuzz.txt
	@mkdir -p build
	@touch $@

.venv/.peers: $(UV)
	@.ci/bootstrap peers
	@touch $@

.venv/.clang: .venv/.test
	@.ci/bootstrap clang
	@touch $@
