# SPDX-License-Identifier: Apache-2.0
"""A bare Debian 12 that boots systemd in namespaces of its own, for tests of packages.

Its files are an overlay over a root that mmdebstrap made once (build/package/root), its network is empty, and its pid 1 is systemd in
a cgroup of its own. What a test does in it is gone with it. Needs root, and a cgroup2 hierarchy (mounted by systemd, hybrid or not).
"""
from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Self, TypeVar

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "package"
BARE = PACKAGES / "root"
# Besides what every Debian has: the service manager, and what the tests look with.
INCLUDED = "systemd-sysv,dbus,iproute2,iputils-ping,procps,ca-certificates"
PATIENCE_S = 60

Result = TypeVar("Result")

BOOT = r"""
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs "$SCRATCH"
mkdir "$SCRATCH"/upper "$SCRATCH"/work "$SCRATCH"/root
mount -t overlay -o "lowerdir=$BARE,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work" overlay "$SCRATCH/root"
cd "$SCRATCH/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir -p dev/pts dev/shm dev/net old
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
while read -r name major minor; do mknod -m 666 "dev/$name" c "$major" "$minor"; done <<DEVICES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
net/tun 10 200
DEVICES
cp -L /etc/resolv.conf etc/resolv.conf
pivot_root . old
umount -l old
hostname bare
ip link set lo up
exec env -i container=vswitch-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init --log-target=null
"""


def wait_until(condition: Callable[[], Result], what: str, timeout: float = PATIENCE_S) -> Result:
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def cgroup2() -> pathlib.Path:
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(where)
    raise FileNotFoundError("no cgroup2 hierarchy is mounted")


def make_bare_root() -> None:
    """Once; takes a minute or two."""
    if (BARE / "etc/debian_version").exists():
        return
    shutil.rmtree(BARE, ignore_errors=True)
    subprocess.run(["mmdebstrap", "--quiet", "--variant=apt", f"--include={INCLUDED}", "bookworm", str(BARE)], check=True, timeout=600)


def package(name: str) -> pathlib.Path:
    [found] = PACKAGES.glob(f"{name}_*.deb")
    return found


class Machine(contextlib.AbstractContextManager["Machine"]):
    def __init__(self) -> None:
        make_bare_root()
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="vswitch-machine-"))
        self.cgroup = cgroup2() / self.scratch.name
        self.cgroup.mkdir()

        def enter_cgroup() -> None:
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

        self.outside = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child", "bash", "-euc", BOOT],
            env={**os.environ, "BARE": str(BARE), "SCRATCH": str(self.scratch)}, stdin=subprocess.DEVNULL, preexec_fn=enter_cgroup)
        try:
            self.pid = wait_until(self._find_init, "systemd is there")
            wait_until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                       "the machine has booted")
        except BaseException:
            self.__exit__()
            raise

    def _find_init(self) -> int:
        assert self.outside.poll() is None, "the machine did not start"
        children = pathlib.Path(f"/proc/{self.outside.pid}/task/{self.outside.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{child}/exe").endswith("/systemd"):
                    return int(child)
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.outside.poll() is None:
            self.outside.send_signal(signal.SIGKILL)  # with its child, and so with all that is in the pid namespace
        self.outside.wait(PATIENCE_S)
        wait_until(self._remove_cgroups, "all processes of the machine are gone")
        shutil.rmtree(self.scratch)

    def _remove_cgroups(self) -> bool:
        try:
            for group in sorted((path.parent for path in self.cgroup.rglob("cgroup.procs")), key=lambda path: -len(path.parts)):
                group.rmdir()
        except OSError:
            return not self.cgroup.exists()
        return True

    def popen(self, *command: str, with_network: bool = False) -> subprocess.Popen[str]:
        """Runs in the machine; with_network: in its file system, but with the network of the host, for apt's downloads."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-C", *([] if with_network else ["-n"])]
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        return subprocess.Popen([*enter, *environment, *command], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run(self, *command: str, check: bool = True, with_network: bool = False, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        process = self.popen(*command, with_network=with_network)
        out, err = process.communicate(timeout=timeout)
        assert not check or process.returncode == 0, f"{' '.join(command)}: {out}{err}"
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def shell(self, script: str, check: bool = True) -> str:
        return self.run("sh", "-euc", script, check=check).stdout

    def put(self, file: pathlib.Path, where: str) -> str:
        """Copies a file of the host into the machine; returns its path there."""
        target = f"{where}/{file.name}"
        with file.open("rb") as content:
            subprocess.run(["nsenter", "-t", str(self.pid), "-m", "sh", "-c", f"mkdir -p {where} && cat > {target}"], stdin=content,
                           check=True)
        return target

    def install(self, *files: pathlib.Path) -> None:
        """apt install ./FILE...: downloads what the files depend on, then installs in the machine's own network."""
        paths = [self.put(file, "/srv") for file in files]
        apt = ["apt-get", "-y", "-qq", "--no-install-recommends", "--allow-downgrades", "install"]
        self.run("apt-get", "-qq", "update", with_network=True)
        self.run(*apt, "--download-only", *paths, with_network=True)
        self.run(*apt, *paths)  # finds everything in its cache

    def main_pid(self, unit: str = "vswitch.service") -> int:
        """In the machine's pid namespace."""
        return int(self.run("systemctl", "show", "-P", "MainPID", unit).stdout)

    def files(self) -> set[str]:
        """All that is on the root file system, apart from what apt, dpkg and logs keep about every package."""
        out = self.run("find", "/", "-xdev", "(", "-path", "/var/cache", "-o", "-path", "/var/lib/apt", "-o", "-path", "/var/lib/dpkg/info",
                       "-o", "-path", "/srv", "-o", "-path", "/tmp", "-o", "-path", "/var/tmp", "-o", "-path", "/var/log/journal", ")",
                       "-prune", "-o", "-print").stdout
        return set(out.splitlines())
