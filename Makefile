# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

PYTHON ?= python3
# `make test TESTS=unit` runs the unit tests alone; see tox.ini.
TESTS ?= all
TOX = .venv-tox/bin/tox

.PHONY: help bindep demo watcher test lab zipapp shim deb docs clean

help:
	@echo 'make demo [KEEP=1]  a simulated cloud with Arm64 hosts, in a minute'
	@echo "make watcher        Watcher's audits of that cloud, in some minutes"
	@echo 'make test           style, types, unit, functional, packaging tests'
	@echo 'make lab            real migrations between emulated hosts (root)'
	@echo 'make bindep         the system packages that are missing'
	@echo 'make zipapp         dist/nova-arm-migrate.pyz: probe and compare'
	@echo 'make shim           build/nova-arm-baseline.so, for arm64 (experimental)'
	@echo 'make deb            dist/python3-nova-arm-migrate_*.deb'
	@echo 'make docs           the documentation, into doc/build/html'
	@echo 'make clean          remove what the above have made'

# Before anything is installed: one line on what the system lacks.
.PHONY: needs-demo needs-test needs-watcher
needs-demo needs-test needs-watcher:
	@$(PYTHON) tools/check_needs.py make $(@:needs-%=%)

.venv-tox/.done: constraints.txt Makefile
	$(PYTHON) -m venv .venv-tox
	.venv-tox/bin/pip install --quiet --constraint constraints.txt tox bindep
	@touch $@

test: needs-test .venv-tox/.done
	$(TOX) run -e $(TESTS)

# What the system lacks; PROFILES is of those in bindep.txt.
PROFILES ?= test demo
bindep: .venv-tox/.done
	@.venv-tox/bin/bindep -b $(PROFILES)

lab: .venv-tox/.done
	$(TOX) run -e lab

docs: .venv-tox/.done
	$(TOX) run -e docs,releasenotes

.venv-demo/.done: constraints.txt requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --constraint constraints.txt \
		--editable '.[demo]'
	@touch $@

demo: needs-demo .venv-demo/.done
	.venv-demo/bin/python -m demo $(if $(KEEP),--keep)

watcher: needs-watcher .venv-demo/.done
	.venv-demo/bin/python -m demo.watcher --venv .venv-watcher

zipapp:
	$(PYTHON) tools/build_zipapp.py dist/nova-arm-migrate.pyz

# For arm64: the native compiler there, the cross compiler elsewhere.
SHIM_CC ?= $(if $(filter aarch64,$(shell uname -m)),cc,aarch64-linux-gnu-gcc)
SHIM_CFLAGS = -std=c11 -O2 -g -Wall -Wextra -Werror -D_FORTIFY_SOURCE=2 \
	-fstack-protector-strong -fPIC -fvisibility=hidden
SHIM_LDFLAGS = -shared -Wl,-z,defs -Wl,-z,relro -Wl,-z,now

SHIM = build/nova-arm-baseline.so

shim: $(SHIM)

$(SHIM): shim/nova_arm_baseline.c Makefile
	@mkdir -p $(@D)
	$(SHIM_CC) $(SHIM_CFLAGS) $(SHIM_LDFLAGS) -o $@ $<

deb:
	tools/build_deb.sh dist

clean:
	rm -rf .venv-tox .venv-demo .venv-watcher .tox .stestr .mypy_cache \
		build cover dist doc/build releasenotes/build *.egg-info \
		.coverage .coverage.*
