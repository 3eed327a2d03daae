.PHONY: help check fix test fuzz docs site coverage lock audit

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

check: ## lint, types, catalog, cards, site, tests
	ruff check . && ruff format --check .
	pyright
	effcc check && effcc docs --check
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	pytest

fix: ## format, mend what can be mended, bring the cards up to date
	ruff check --fix . && ruff format .
	effcc docs

test: ## tests only
	pytest

SECONDS ?= 300
fuzz: ## readers fed what they never expected, SECONDS for each and engine; what fails stays in tests/fuzz/corpus
	nice python tests/fuzz/harness.py all --seconds $(SECONDS) --grown .fuzz

docs: ## the site while it is written, at localhost:8000
	effcc docs && mkdocs serve

site: ## the site to be put somewhere, with a model to try, in site/
	effcc docs --build

coverage: ## lines and branches that the tests reach, floor by floor
	@echo 'every line is traced: tests that hold a time limit may fail, and count all the same'
	coverage erase
	-coverage run -m pytest
	coverage combine --quiet && coverage json --quiet -o .coverage.json
	python .ci/covered.py .coverage.json

lock: ## the newest versions that fit, by hash, into requirements/ci.txt; needs uv
	.ci/lock --upgrade

audit: ## the locked versions against the database of known holes, where it can be reached
	.ci/audit
