# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# `make demo` and `make test` install what they need and say what they do; `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SEED ?= 1
TRAIN ?= var/training/long
# Python compiles what it imports; compiling all that a package brings takes as long as installing it.
PIP = -m pip install --quiet --disable-pip-version-check --no-compile

comma := ,
# A lock that changed makes its environment again, and a second run needs no network.
stamp = $(1)/.installed-$(shell sha256sum environments/$(2).lock | cut -c1-12)
SERVICE := $(call stamp,.venv,development)
TRITON := $(call stamp,.venv-triton,triton)
TRAINING := $(call stamp,.venv-training,training)
ENGINES := $(call stamp,.venv-engines,engines)
AUDIT := $(call stamp,.venv-audit,audit)
BURST := $(call stamp,.venv-burst,burst)

.PHONY: bundle images release viewer sbom audit train train-stop train-status train-publish rehearse help demo gallery up down status test test-service test-training test-engines lint types environments system locks clean accuracy

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: $(SERVICE) $(TRITON)  ## three simulated studies through a real Orthanc and a real Triton (SEED=n for others)
	@.venv/bin/python -m deploy.local.demo --seed $(SEED)

up: $(SERVICE) $(TRITON)  ## start Orthanc, Triton and the service on loopback and keep them running
	@.venv/bin/python -m deploy.local up

down: $(SERVICE)  ## stop what `make up` started
	@.venv/bin/python -m deploy.local down

status: $(SERVICE)  ## the servers of `make up`, and studies with state and turnaround
	@servers=0; .venv/bin/python -m deploy.local status || servers=1; .venv/bin/appliance status && exit $$servers

# A bundle is made without it too, and then says that its packages were not audited, and why.
audit_if_possible = @$(MAKE) --no-print-directory $(AUDIT) || echo '.venv-audit could not be made' >&2

bundle: $(SERVICE)  ## one file that installs the appliance on a Debian 12 without a network, in var/bundle
	$(audit_if_possible)
	@.venv/bin/python -m deploy.install.bundle

images: $(SERVICE)  ## the images for containers, in var/images, with checksums and parts lists; needs podman
	$(audit_if_possible)
	@.venv/bin/python -m deploy.containers build --out var/images

release: $(SERVICE)  ## commit and tag this checkout as another version (VERSION=0.2.0); pushes nothing
	@[ -n "$(VERSION)" ] || { echo 'make release VERSION=0.2.0'; exit 1; }
	@[ -z "$$(git status --porcelain)" ] || { echo 'commit or remove what has changed first: git status'; exit 1; }
	@! git rev-parse --quiet --verify v$(VERSION) >/dev/null || { echo 'v$(VERSION) is there already: git tag'; exit 1; }
	@.venv/bin/python -m deploy.release $(VERSION)
	@git commit --quiet --all --message "Release $(VERSION)" && git tag --annotate v$(VERSION) --message "Release $(VERSION)"
	@echo "v$(VERSION) is committed and tagged: git push --follow-tags, then make bundle and make images"

viewer: $(SERVICE)  ## the OHIF viewer for the board, in var/viewer
	@sh deploy/install-system-packages.sh viewer
	@.venv/bin/python -m deploy.viewer

gallery: $(SERVICE)  ## pages of simulated slices to look at, in var/gallery (SEED=n for other heads)
	@.venv/bin/python -m simulator gallery --workers $$(nproc) $(if $(filter command line,$(origin SEED)),--seed $(SEED))

train: $(TRAINING)  ## start or resume the long training run in the background (TRAIN=folder)
	@.venv-training/bin/python -m training long start --folder $(TRAIN)

train-stop: $(TRAINING)  ## end it, with a checkpoint once it has begun
	@.venv-training/bin/python -m training long stop --folder $(TRAIN)

train-status: $(TRAINING)  ## its steps, hours, losses and validation, as a table and a plot
	@.venv-training/bin/python -m training long status --folder $(TRAIN)

train-publish: $(TRAINING)  ## put its averaged weights, their provenance and its log into training/run
	@.venv-training/bin/python -m training long publish --folder $(TRAIN)

rehearse: $(BURST)  ## the burst of training for a GPU, all of it on a processor at a tiny size, in var/rehearsal
	@.venv-burst/bin/python -m training.burst --rehearse --out var/rehearsal

accuracy: $(SERVICE)  ## the paper's evaluation on simulated studies, in var/accuracy (COHORT=name, ACCURACY="--studies 60")
	@.venv/bin/python -m benchmarks.accuracy report $(or $(COHORT),development) --workers $$(nproc) $(ACCURACY)

PARTS = test-service test-training test-engines
# In `make test` the output of a short part is kept until the service's has ended, which would bury it.
kept_output = $(if $(KEEP_OUTPUT),>var/tests/$@.txt 2>&1)
passed = @mkdir -p var/tests && touch var/tests/$@.passed

# Debian's packages first: no test may see them come. What did not pass fails the last line.
test: environments  ## every test, those with a real Orthanc and a real Triton included
	@sh deploy/install-system-packages.sh tests
	@mkdir -p var/tests && rm -f $(PARTS:%=var/tests/%.passed) $(PARTS:%=var/tests/%.txt)
	@$(MAKE) --no-print-directory --jobs --keep-going KEEP_OUTPUT=1 $(PARTS) || true
	@for part in $(PARTS); do [ ! -e var/tests/$$part.txt ] || { echo "$$part:"; cat var/tests/$$part.txt; }; done
	@ended=0; for part in $(PARTS); do \
	  if [ -e var/tests/$$part.passed ]; then echo "$$part passed"; else ended=1; echo "$$part FAILED"; fi; done; exit $$ended

# Three processes on two cores, as many tests wait for a server. Files come in the order of tests/longest_first.py.
test-service: $(SERVICE) $(TRITON)
	@sh deploy/install-system-packages.sh tests
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not training and not engines"
	$(passed)

test-training: $(TRAINING)
	.venv-training/bin/python -m pytest -m training tests/training tests/conversion $(kept_output)
	$(passed)

test-engines: $(ENGINES)
	.venv-engines/bin/python -m pytest -m engines tests/conversion/test_engine.py $(kept_output)
	$(passed)

lint: $(SERVICE)  ## ruff and REUSE
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/reuse lint --quiet || .venv/bin/reuse lint

types: $(SERVICE)  ## mypy, strict
	.venv/bin/mypy

sbom: $(AUDIT)  ## what a site's machine gets, with hashes, as CycloneDX in var/sbom
	@mkdir -p var/sbom
	@for list in service triton; do .venv-audit/bin/cyclonedx-py requirements environments/$$list.lock \
	  --of JSON --output-reproducible -o var/sbom/$$list.cdx.json && echo var/sbom/$$list.cdx.json || exit 1; done

audit: $(AUDIT)  ## known vulnerabilities of what a site's machine gets; asks PyPI
	@.venv-audit/bin/python environments/advisories.py var/sbom

environments:  ## the four Python environments, beside each other
	@$(MAKE) --no-print-directory --jobs $(SERVICE) $(TRITON) $(TRAINING) $(ENGINES)

system:
	@sh deploy/install-system-packages.sh

# $(call environment,folder,lock,what it is for,package to install editable or none): made anew when its lock changes.
define environment
$(1)/.installed-%: environments/$(2).lock | system
	@[ ! -L $(1) ] || { echo '$(1) is a link: update it where it lies, --clear would empty it'; exit 1; }
	@echo "making $(1) ($(3)) ..."
	@$$(PYTHON) -m venv --clear $(1)
	@$(1)/bin/python $$(PIP) --no-deps --require-hashes -r environments/$(2).lock
	$(if $(4),@$(1)/bin/python $$(PIP) --no-deps --no-build-isolation --editable $(4))
	@touch $$@
endef
$(eval $(call environment,.venv,development,service$(comma) simulator$(comma) benchmarks$(comma) tests,.))
$(eval $(call environment,.venv-triton,triton,tritonserver and its model processes))
$(eval $(call environment,.venv-training,training,TensorFlow))
$(eval $(call environment,.venv-engines,engines,TensorRT-RTX))

# $(call on_demand,name,what it is for): an environment that only its own targets need.
define on_demand
.venv-$(1)/.installed-%: environments/$(1).lock | system
	@[ ! -L .venv-$(1) ] || { echo '.venv-$(1) is a link: update it where it lies, --clear would empty it'; exit 1; }
	@echo "making .venv-$(1) ($(2)) ..."
	@$$(PYTHON) -m venv --clear .venv-$(1)
	@.venv-$(1)/bin/python $$(PIP) --no-deps --require-hashes -r environments/$(1).lock
	@touch $$@
endef
$(eval $(call on_demand,audit,SBOM and vulnerabilities))
$(eval $(call on_demand,burst,Keras with JAX))

locks: environments $(AUDIT) $(BURST)
	.venv/bin/python environments/lock.py service
	.venv/bin/python environments/lock.py development
	.venv-triton/bin/python environments/lock.py triton
	.venv-training/bin/python environments/lock.py training
	.venv-engines/bin/python environments/lock.py engines
	.venv-audit/bin/python environments/lock.py audit
	.venv-burst/bin/python environments/lock.py burst

clean:  ## stop what `make up` started, and remove the environments and all state (results of `make up` too)
	@[ ! -x .venv/bin/python ] || .venv/bin/python -m deploy.local down
	rm -rf .venv .venv-triton .venv-training .venv-engines .venv-audit .venv-burst var build *.egg-info .mypy_cache .ruff_cache .pytest_cache
