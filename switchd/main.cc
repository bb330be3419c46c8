// SPDX-License-Identifier: Apache-2.0
// vswitchd: options, then the daemon (daemon.h). Exit status: 0 success, 1 failure, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "switchd/base/files.h"
#include "switchd/base/heap.h"
#include "switchd/base/journal.h"
#include "switchd/base/limits.h"
#include "switchd/base/log.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/base/privileges.h"
#include "switchd/base/system_calls.h"
#include "switchd/daemon.h"
#include "switchd/release_devices.h"
#include "switchd/service.h"
#include "wire/remote.h"

namespace vswitch {
namespace {

const log::Module kLog{"daemon"};

struct CommandLine {
  DaemonOptions daemon;
  std::string log_file;
  std::string log_level = "info";
  std::string user;
  std::string confine = "on";
  bool detach = false;
  bool release_devices = false;
  bool cleanup = false;
};

std::string check_remote(const std::string& text) {
  try {
    wire::parse_remote(text);
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

/// As ovsdb-server takes them: a file, or the column of the table SSL that names it.
void describe_tls(CLI::App& app, wire::TlsFiles& files) {
  const auto add = [&app](const std::string& name, std::string& file, const std::string& column,
                          const std::string& what) {
    const std::string in_table = "db:Open_vSwitch,SSL," + column;
    app.add_option(
           name, file,
           what + " for ssl: and pssl: remotes; without it, that of the table SSL (ovs-vsctl set-ssl)")
        ->type_name("FILE")
        ->check([in_table](const std::string& text) {
          return text.starts_with("db:") && text != in_table ? "expected a file, or " + in_table
                                                             : std::string();
        });
  };
  add("--private-key,-p", files.private_key, "private_key", "private key");
  add("--certificate,-c", files.certificate, "certificate", "certificate of the private key");
  add("--ca-cert,-C", files.ca_cert, "ca_cert", "certificate of the CA that signs those of peers");
  app.add_option_function<std::string>(
         "--bootstrap-ca-cert",
         [&files](const std::string& file) {
           files.ca_cert = file;
           files.bootstrap_ca_cert = true;
         },
         "the same; while there is no such file, it is taken over from the first peer of an ssl: remote, "
         "unchecked")
      ->type_name("FILE");
}

void describe(CLI::App& app, CommandLine& line) {
  app.set_version_flag("--version,-V", "vswitchd " VSWITCH_VERSION);
  app.add_option("--rundir", line.daemon.rundir,
                 "directory of the sockets and the pid file, created if missing")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--db", line.daemon.database, "database file, created if missing")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option(
         "--remote", line.daemon.remotes,
         "also listen on punix:PATH, pssl:PORT[:ADDRESS] (TLS) or ptcp:PORT[:ADDRESS] (127.0.0.1 unless "
         "an address is given), or connect to unix:PATH, ssl:ADDRESS:PORT or tcp:ADDRESS:PORT; "
         "repeatable")
      ->type_name("REMOTE")
      ->allow_extra_args(false)
      ->check(check_remote);
  app.add_option("--read-only-remote", line.daemon.read_only_remotes,
                 "the same, for clients that may only read; repeatable")
      ->type_name("REMOTE")
      ->allow_extra_args(false)
      ->check(check_remote);
  describe_tls(app, line.daemon.tls);
  app.add_option("--group", line.daemon.group, "group that may use the control socket")->type_name("GROUP");
  app.add_flag_callback(
      "--no-kernel-fast-path", [&line] { line.daemon.kernel_fast_path = false; },
      "user space carries every frame, whatever other_config:kernel-fast-path says");
  app.add_option("--workers", line.daemon.workers, "forwarding threads; 0 lets the switch choose")
      ->type_name("N")
      ->check(CLI::Range(0, 64));
  app.add_flag("--delete-transient-ports", line.daemon.delete_transient_ports,
               "first remove the ports that are marked as transient: for the start after a boot, when the "
               "VMs to which they belonged are gone");
  app.add_option("--log-file", line.log_file,
                 "log to this file instead of standard error, and to the journal if standard error is "
                 "that; with --detach, vswitchd.log in the run directory unless another is given")
      ->type_name("FILE");
  app.add_option("--log-level", line.log_level, "err, warn, info or dbg")
      ->check(CLI::IsMember({"off", "err", "warn", "info", "dbg"}))
      ->capture_default_str();
  app.add_option("--user", line.user,
                 "started by root, become this user; without it vswitch, if the directory of the database "
                 "belongs to vswitch")
      ->type_name("USER");
  app.add_option(
         "--confine", line.confine,
         "on: keep only the capabilities that a switch needs, and filter system calls; off: neither, for "
         "debugging; strict: as on, and a system call that a switch never makes ends the process")
      ->check(CLI::IsMember({"on", "off", "strict"}))
      ->capture_default_str();
  app.add_flag("--detach", line.detach, "run in the background, once the daemon is ready");
  auto* release = app.add_flag("--release-devices", line.release_devices,
                               "start no daemon: give the host back the devices of one that was killed, as "
                               "vswitch-ctl release-devices does");
  app.add_flag("--cleanup", line.cleanup,
               "with --release-devices: also remove the devices of its internal ports")
      ->needs(release);
}

// After --detach, file names must mean the same in any working directory.
void make_absolute(CommandLine& line) {
  wire::TlsFiles& tls = line.daemon.tls;
  for (std::string* path : {&line.daemon.rundir, &line.daemon.database, &line.log_file, &tls.private_key,
                            &tls.certificate, &tls.ca_cert}) {
    if (!path->empty() && !path->starts_with("db:"))
      *path = std::filesystem::absolute(*path).lexically_normal().string();
  }
  while (line.daemon.rundir.size() > 1 && line.daemon.rundir.back() == '/') line.daemon.rundir.pop_back();
}

bool stderr_is_journal() {
  return log::is_journal_stream(std::getenv("JOURNAL_STREAM"), STDERR_FILENO);
}

void complain(const std::exception& error) {
  constexpr const char* kError = "<3>";  // the journal takes it for the priority (sd-daemon(3))
  std::fprintf(stderr, "%svswitchd: %s\n", stderr_is_journal() ? kError : "", error.what());
}

void set_up_log(const CommandLine& line) {
  log::Level level = log::Level::info;
  log::parse_level(line.log_level, level);
  log::set_level("", level);
  if (!line.detach && stderr_is_journal()) log::use_journal();
  if (!line.log_file.empty()) {
    log::open_file(line.log_file);
    log::use_stderr(false);
  } else if (line.detach) {
    // Nobody reads standard error once the parent has returned. Until then, somebody may be waiting there.
    if (const std::error_code error = make_directories(line.daemon.rundir))
      throw std::system_error(error, "cannot make the run directory " + line.daemon.rundir);
    log::open_file(line.daemon.rundir + "/vswitchd.log");
  }
}

// Before the first thread and the first file.
void confine(const CommandLine& line) {
  if (line.confine == "off") return;
  privileges::confine({.user = line.user,
                       .group = line.daemon.group,
                       .rundir = line.daemon.rundir,
                       .directory = std::filesystem::path(line.daemon.database).parent_path().string()});
}

void report_privileges(const CommandLine& line) {
  for (const std::string& sentence : privileges::missing()) log::warn(kLog, "{}", sentence);
  if (line.confine == "off")
    log::warn(kLog, "--confine off: a flaw in the daemon would be one in the whole host");
}

// Once the daemon serves: starting takes more calls than serving.
void filter_system_calls(const CommandLine& line) {
  if (line.confine == "off") return;
  system_calls::restrict_to_those_of_a_switch(line.confine == "strict" ? system_calls::Filter::strict
                                                                       : system_calls::Filter::on);
}

int release(const CommandLine& line) {
  log::use_stderr(false);
  const std::vector<std::string> lines = release_devices(line.daemon.rundir, line.cleanup);
  for (const std::string& text : lines) std::printf("%s\n", text.c_str());
  if (lines.empty()) std::printf("no device is held by a daemon that has ended\n");
  return 0;
}

int serve(const CommandLine& line) {
  const RoleScope role(roles::control);
  std::signal(SIGPIPE, SIG_IGN);
  Detach detach = line.detach ? Detach::go() : Detach();
  try {
    confine(line);
    set_up_log(line);
    report_privileges(line);
    raise_open_files_limit();
    heap::return_large_blocks();
    memory::set_reserve_aside(limits::kReserveBytes);
    Daemon daemon(line.daemon);
    detach.leave_terminal();
    if (line.detach) {
      log::use_stderr(false);
      log::standard_error_is_file(true);
    }
    filter_system_calls(line);
    detach.ready();
    notify_service_manager("READY=1\nMAINPID=" + std::to_string(::getpid()));
    daemon.run();
    return 0;
  } catch (const std::exception& error) {
    log::use_stderr(false);  // complain() writes there
    log::err(kLog, "{}", error.what());
    if (!log::uses_journal()) complain(error);
    return 1;
  }
}

}  // namespace
}  // namespace vswitch

int main(int argc, char** argv) {
  vswitch::CommandLine line;
  CLI::App app("A software switch with reliable port mirroring, managed by Open vSwitch clients.",
               "vswitchd");
  try {
    vswitch::describe(app, line);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    vswitch::make_absolute(line);
    const int status = line.release_devices ? vswitch::release(line) : vswitch::serve(line);
    vswitch::log::flush();
    return status;
  } catch (const std::exception& error) {
    vswitch::complain(error);
    return 1;
  }
}
