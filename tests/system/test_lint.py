# SPDX-License-Identifier: Apache-2.0
"""The test of the lint's eyes: each rule of tests/layering is broken in a small tree, and seen."""
import pathlib
import subprocess

import pytest

CHECKS = pathlib.Path(__file__).parents[1] / "layering"
SOUND = {
    "schemas/json.cc": '#include "schemas/json.h"\n',
    "schemas/json.h": "namespace vswitch { struct Json {}; }\n",
    "datapath/base/types.cc": '#include "datapath/base/types.h"\n',
    "datapath/base/types.h": "namespace vswitch { enum class PortNo {}; }\n",
    "datapath/frame/frame.cc": '#include "datapath/base/types.h"\nnamespace vswitch { namespace { struct Part {}; } }\n',
    "ctl/main.cc": '#include "schemas/json.h"\nnamespace vswitch { namespace { struct Part {}; } }\n',
    "switchd/main.cc": '#include "switchd/base/log.h"\n',
    "switchd/base/log.h": "namespace vswitch { class Log {}; }\n",
    "README.md": "# A title\n\nA line that is short.\n",
}


def check(script: str, root: pathlib.Path, files: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    for name, text in (SOUND | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run(["/usr/bin/python3", CHECKS / script, root, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("files, complaint", [
    ({"datapath/base/types.h": '#include "datapath/frame/frame.h"\n', "datapath/frame/frame.h": ""},
     "datapath/base may not include datapath/frame"),
    ({"switchd/base/log.h": '#include "datapath/engine/worker.h"\n', "datapath/engine/worker.h": ""},
     "switchd/base may not include datapath/engine"),
    ({"ctl/main.cc": '#include "datapath/base/types.h"\n'}, "ctl may not include datapath/base"),
    ({"datapath/base/types.h": '#include "datapath/base/more.h"\n', "datapath/base/more.h": '#include "datapath/base/types.h"\n'},
     "a circle in files: datapath/base/"),
    ({"datapath/attic/old.h": ""}, "the folder datapath/attic has no line"),
    ({"ctl/main.cc": '#include "json.h"\n'}, '"json.h" is not a path from the source root'),
])
def test_a_forbidden_include_is_seen(tmp_path: pathlib.Path, files: dict[str, str], complaint: str) -> None:
    found = check("check_includes.py", tmp_path, files)
    assert found.returncode == 1 and complaint in found.stdout, found.stdout + found.stderr


def test_a_sound_tree_passes(tmp_path: pathlib.Path) -> None:
    for script, arguments in (("check_includes.py", ()), ("check_types.py", ("schemas", "datapath", "switchd", "ctl"))):
        found = check(script, tmp_path, {}, *arguments)
        assert found.returncode == 0, found.stdout + found.stderr


def test_a_tree_without_sources_does_not_pass(tmp_path: pathlib.Path) -> None:
    for script in ("check_includes.py", "check_types.py"):
        (tmp_path / "ctl").mkdir(exist_ok=True)
        found = subprocess.run(["/usr/bin/python3", CHECKS / script, tmp_path, *(["ctl"] if "types" in script else [])],
                               capture_output=True, text=True, timeout=60)
        assert found.returncode == 1 and "nothing was checked" in found.stdout


def test_a_type_that_two_files_define_is_seen(tmp_path: pathlib.Path) -> None:
    twice = {"switchd/base/log.h": "namespace vswitch { class Endpoint {}; }\n",
             "datapath/base/types.h": "namespace vswitch { class Endpoint { int n; }; }\n"}
    found = check("check_types.py", tmp_path, twice, "datapath", "switchd")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "Endpoint is defined in datapath/base/types.h, switchd/base/log.h" in found.stdout
