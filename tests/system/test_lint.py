# SPDX-License-Identifier: Apache-2.0
"""The test of the lint's eyes: each rule of tests/layering is broken in a small tree, and seen."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest

CHECKS = pathlib.Path(__file__).parents[1] / "layering"
PRODUCT = CHECKS.parents[1]
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


@pytest.mark.parametrize("first, second, is_clash", [
    ("ctl/port.cc", "ctl/mirror.cc", True),
    ("ctl/port.cc", "ctl/main.cc", False),  # main.cc is compiled by itself
    ("switchd/api/port.cc", "switchd/bridge/port.cc", False),
    ("datapath/port/tap.cc", "datapath/port/memory.cc", False),
])
def test_a_name_that_two_sources_of_a_folder_define_is_seen(tmp_path: pathlib.Path, first: str, second: str,
                                                            is_clash: bool) -> None:
    both = {first: "namespace vswitch {\nnamespace {\nint limit() { return 1; }\n}\n}\n",
            second: "namespace vswitch {\nnamespace {\nconstexpr int limit = 2;\n}\nclass Other {};\n}\n"}
    found = check("check_types.py", tmp_path, both, "datapath", "switchd", "ctl")
    assert found.returncode == is_clash, found.stdout + found.stderr
    assert (f"limit is defined in {', '.join(sorted(both))}" in found.stdout) == is_clash


def check_cxx(root: pathlib.Path, source: str) -> subprocess.CompletedProcess[str]:
    """check_cxx.py on a tree with this one source, which may include headers of the product."""
    path = root / "datapath/engine/example.cc"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    shutil.copy(PRODUCT / ".clang-tidy", root)
    build = root / "build"
    build.mkdir()
    (build / "compile_commands.json").write_text(json.dumps([{
        "directory": str(build), "file": str(path),
        "command": f"clang++-14 -std=c++20 -Wthread-safety -I{PRODUCT} -c {path}"}]))
    return subprocess.run(["/usr/bin/python3", CHECKS / "check_cxx.py", root, build], capture_output=True, text=True,
                          timeout=300)


ANNOTATED = """
#include "datapath/base/thread_annotations.h"
namespace vswitch {{
class Settings {{
 public:
  void publish() {requires} {{ ++generation_; }}
  void work() {{
    const RoleScope role(roles::worker);
    publish();
  }}
  void count() {{
    {lock}
    ++counter_;
  }}

 private:
  Mutex mutex_;
  int generation_ {owner} = 0;
  int counter_ GUARDED_BY(mutex_) = 0;
}};
void use(Settings& settings) {{ settings.work(); }}
}}  // namespace vswitch
"""
LOCK = "const MutexLock lock(mutex_);"


@pytest.mark.parametrize("requires, owner, lock, complaint", [
    ("", "", LOCK, ""),
    ("REQUIRES(roles::worker)", "GUARDED_BY(roles::worker)", LOCK, ""),
    ("REQUIRES(roles::control)", "", LOCK, "calling function 'publish' requires holding role 'control'"),
    ("", "GUARDED_BY(roles::control)", LOCK, "variable 'generation_' requires holding role 'control'"),
    ("", "", "", "variable 'counter_' requires holding mutex 'mutex_'"),
])
def test_a_broken_thread_rule_is_seen(tmp_path: pathlib.Path, requires: str, owner: str, lock: str, complaint: str) -> None:
    found = check_cxx(tmp_path, ANNOTATED.format(requires=requires, owner=owner, lock=lock))
    assert found.returncode == (1 if complaint else 0) and complaint in found.stdout, found.stdout + found.stderr


THREADS = ("control", "worker", "mirror")
BELONGS_TO = {
    "datapath.publish(nullptr)": "control",
    "datapath.free_old_snapshots()": "control",
    "frames.take()": "control",
    "worker.step(0)": "worker",
    "port.release()": "worker",
    "queue.begin(0)": "worker",
    "queue.release()": "mirror",
    "mirror_thread.step()": "mirror",
}


def test_the_threads_of_the_datapath_keep_apart(tmp_path: pathlib.Path) -> None:
    """Every thread calls everything: the check refuses what belongs to another thread, and nothing else."""
    lines = ['#include "datapath/engine/datapath.h"', "namespace vswitch {"]
    refused = {}
    for thread in THREADS:
        lines.append(f"void as_{thread}(Datapath& datapath, NextFrames& frames, CopyQueue& queue, Worker& worker, "
                     f"MirrorThread& mirror_thread, Port& port) REQUIRES(roles::{thread}) {{")
        for call, owner in BELONGS_TO.items():
            lines.append(f"  {call};")
            if owner != thread:
                refused[len(lines)] = owner
        lines.append("}")
    lines.append("}  // namespace vswitch\n")
    found = check_cxx(tmp_path, "\n".join(lines))
    complaints = re.findall(r"example.cc:(\d+):\d+: error: .* requires holding role '(\w+)'", found.stdout)
    assert {int(line): owner for line, owner in complaints} == refused, found.stdout + found.stderr
    assert found.stdout.count("error:") == len(refused), found.stdout
