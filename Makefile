# SPDX-License-Identifier: BSD-2-Clause
#
# The usual errands; everything else is CMake's (see CMakePresets.json).

PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export JOBS
# CMake's make is not a part of this one: it gets its own number of jobs.
unexport MAKEFLAGS MAKELEVEL

.PHONY: all check coverage demo bench install format docs clean help

all: ## build the library and the command into build/release
	@tools/install-deps.sh build
	cmake --preset release
	cmake --build build/release -j $(JOBS)

check: ## build and test in every configuration that matters
	@tools/install-deps.sh build check
	@tools/check.sh

coverage: ## print which lines and branches of vm/ the tests come to
	@tools/install-deps.sh build check coverage
	@tools/coverage.sh

demo: ## record a real build, and run it through two reverse-mapping designs
	@tools/install-deps.sh build demo
	@tools/demo.sh

bench: ## measure, beside the kernel that runs here
	@tools/install-deps.sh build
	cmake --preset release
	cmake --build build/release -j $(JOBS)
	@bench/run.sh build/release

install: all ## install below PREFIX (/usr/local); DESTDIR is honoured
	cmake --install build/release --prefix $(PREFIX)

format: ## let clang-format lay out every source file
	@tools/install-deps.sh format
	find include vm port lab tests bench examples -name '*.[ch]' | xargs clang-format-14 -i

docs: ## check the manual pages
	@tools/install-deps.sh docs
	@tools/check-docs.sh

clean: ## remove what was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile
