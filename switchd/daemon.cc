// SPDX-License-Identifier: Apache-2.0
#include "switchd/daemon.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "schemas/ovsdb/schema.h"
#include "switchd/api/api.h"
#include "switchd/base/files.h"
#include "switchd/base/heap.h"
#include "switchd/base/limits.h"
#include "switchd/base/log.h"
#include "switchd/base/memory_reserve.h"
#include "switchd/base/privileges.h"
#include "switchd/bridge/switch.h"
#include "switchd/control/dispatcher.h"
#include "switchd/control/managers.h"
#include "switchd/control/server.h"
#include "switchd/control/tls_identity.h"
#include "switchd/db/database.h"
#include "switchd/document/document.h"
#include "switchd/group_commit.h"
#include "switchd/history/history.h"
#include "switchd/ovsdb_server/ovsdb_server.h"
#include "switchd/run_directory.h"
#include "switchd/service.h"
#include "switchd/unixctl/commands.h"
#include "switchd/unixctl/common.h"
#include "switchd/unixctl/registry.h"
#include "switchd/vsphere/vsphere.h"

namespace vswitch {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

const log::Module kLog{"daemon"};

constexpr std::chrono::seconds kFarewell{2};  // for answers still on their way to clients at shutdown

constexpr std::chrono::seconds kBetweenReports{10};

std::optional<gid_t> find_group(const std::string& group) {
  if (group.empty()) return std::nullopt;
  if (const auto number = privileges::group_called(group)) return number;
  throw std::runtime_error("no group \"" + group + "\" on this host");
}

// Warnings are not failures: a tail torn by a power failure was cut off and kept beside the file.
std::unique_ptr<ovsdb::Database> open_database(const DaemonOptions& options) {
  const std::string& path = options.database;
  if (const std::error_code error = make_directories(std::filesystem::path(path).parent_path()))
    throw std::system_error(error, "cannot make the directory of the database " + path);
  std::vector<std::string> warnings;
  auto database = ovsdb::Database::open(path, ovsdb::vswitch_schema(), warnings);
  for (const std::string& warning : warnings) log::warn(kLog, "{}", warning);
  end_bound_sessions(*database);
  if (options.delete_transient_ports) {
    for (const std::string& port : remove_transient_ports(*database))
      log::info(kLog, "port {} is transient and is removed", port);
  }
  return database;
}

bridge::SwitchOptions switch_options(const DaemonOptions& options) {
  bridge::SwitchOptions result;
  result.workers = options.workers;
  result.kernel_fast_path = options.kernel_fast_path;
  result.rundir = options.rundir;
  result.accounts = options.database + ".accounts";
  return result;
}

/// A part of the descriptors is for clients, so that they leave some for ports.
control::ServerOptions server_options(const RunDirectory& directory, const std::optional<gid_t>& group,
                                      const std::shared_ptr<control::ClientMemory>& memory,
                                      std::size_t part_of_files, control::OutputGate* gate = nullptr) {
  control::ServerOptions options;
  options.memory = memory;
  options.clients = std::clamp(open_files_limit() / part_of_files, limits::kFewestClients, limits::kClients);
  options.directory = directory.path();
  options.endpoint.group = group;
  options.gate = gate;
  return options;
}

/// Any user of the host may connect: fewer clients, and memory of their own.
control::ServerOptions readers_options(const RunDirectory& directory, control::OutputGate* gate) {
  const control::ClientMemory::Limits memory{
      .client = limits::kReaderBytes, .all = limits::kAllReadersBytes, .always = limits::kReaderAlwaysBytes};
  control::ServerOptions options = server_options(
      directory, std::nullopt, std::make_shared<control::ClientMemory>(memory), limits::kReadersPart, gate);
  options.clients = std::min(options.clients, limits::kReaders);
  options.endpoint.mode = 0666;
  return options;
}

control::ServerOptions with_keys(control::ServerOptions options,
                                 const std::shared_ptr<control::TlsIdentity>& keys) {
  options.tls = keys;
  return options;
}

std::uint64_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

}  // namespace

// Members in order of creation; the destructor goes through them backwards.
class Daemon::Parts {
 public:
  explicit Parts(const DaemonOptions& options)
      : directory_(options.rundir),
        database_(open_database(options)),
        history_(io_, *database_, options.database + ".events"),
        switch_(io_, *database_, switch_options(options)),
        tls_(std::make_shared<control::TlsIdentity>(options.tls)),
        control_(io_, dispatcher_,
                 with_keys(server_options(directory_, find_group(options.group), client_memory_,
                                          limits::kControlPart, &gate_),
                           tls_)),
        readers_(io_, dispatcher_, readers_options(directory_, &gate_)),
        operator_(
            io_, operator_dispatcher_,
            server_options(directory_, find_group(options.group), client_memory_, limits::kOperatorPart)),
        signals_(io_, SIGTERM, SIGINT, SIGHUP) {
    wait_for_signal();
    add_handlers();
    open_control_sockets(options);
    wait_until_applied();
    for (const std::string& socket : directory_.operator_sockets()) operator_.open("punix:" + socket);
    log::info(kLog, "vswitchd {} serves {}", VSWITCH_VERSION, directory_.control_socket());
    history_.daemon("started", "vswitchd " VSWITCH_VERSION);
  }

  void run() REQUIRES(roles::control) {
    report();
    while (!step([this] { io_.run(); })) {
    }
    notify_service_manager("STOPPING=1");
    say_farewell();
  }

 private:
  /// Requests and connections catch what fails in them. Whatever is left ends one handler of the event loop,
  /// not the switch. False if something was caught.
  template <typename Work>
  static bool step(Work work) {
    try {
      work();
      return true;
    } catch (const std::exception& error) {
      log::err(kLog, "a step failed and was given up: {}", error.what());
      memory::refill_reserve();
      return false;
    }
  }

  void wait_for_signal() {
    signals_.async_wait([this](error_code error, int signal) {
      if (error) return;
      if (signal == SIGHUP) {
        reopen_log();
        wait_for_signal();
      } else {
        stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
      }
    });
  }

  static void reopen_log() {
    try {
      log::reopen();
    } catch (const std::system_error& error) {
      log::err(kLog, "{}", error.what());
    }
  }

  /// To the service manager, at intervals: the event loop turns, and no worker has kept it from publishing.
  void report() {
    const std::optional<std::chrono::microseconds> watchdog = watchdog_interval();
    notify_service_manager((watchdog ? "WATCHDOG=1\nSTATUS=" : "STATUS=") + summary());
    reports_.expires_after(watchdog ? std::min<std::chrono::microseconds>(*watchdog, kBetweenReports)
                                    : kBetweenReports);
    reports_.async_wait([this](error_code error) {
      if (!error) report();
    });
  }

  std::string summary() const {
    const auto number_of = [this](const char* table, const char* what) {
      const std::size_t count = database_->table(table).size();
      return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
    };
    return number_of("Bridge", "bridge") + ", " + number_of("Port", "port") + ", " +
           number_of("Mirror", "mirror session");
  }

  void exit(bool cleanup) {
    if (cleanup) switch_.remove_internal_devices_at_end();
    stop(cleanup ? "operator command exit --cleanup" : "operator command exit");
  }

  void stop(const std::string& why) {
    log::info(kLog, "ends: {}", why);
    history_.daemon("ends", why);
    io_.stop();
  }

  void add_handlers() {
    database_->on_commit([this](const ovsdb::Changes&) { committed(); });
    dispatcher_.add_echo();
    const bridge::SwitchView view = switch_.view();
    register_api(dispatcher_, *database_, view, history_);
    document::register_methods(dispatcher_, *database_, view.applied, history_);
    vsphere::register_methods(dispatcher_, *database_, view.applied, history_);
    ovsdb_server_.on_refused([this](const std::string& who, const std::string& reason) {
      history_.refused(who, "transact", reason);
    });
    unixctl::add_common(commands_, {.exit = [this](bool cleanup) { exit(cleanup); },
                                    .memory = [this] { return memory(); },
                                    .coverage = [this] { return coverage(); }});
    unixctl::add_fdb_commands(commands_, *database_, view.fdb);
    unixctl::add_datapath_commands(commands_, *database_, view.counters, view.datapath);
    unixctl::add_mirror_commands(commands_, *database_, view.counters, view.applied);
    unixctl::add_tunnel_commands(commands_, *database_, view.datapath);
    unixctl::add_unsupported_commands(commands_, *database_);
    unixctl::add_trace_command(commands_, *database_, view.explain, view.datapath);
    unixctl::add_ovsdb_commands(commands_, *database_, control_);
    commands_.serve(operator_dispatcher_);
  }

  void open_control_sockets(const DaemonOptions& options) {
    control_.open("punix:" + directory_.control_socket());
    tls_->set_table(control::Managers::keys_of(*database_));
    for (const std::string& remote : options.remotes) control_.open(remote);
    for (const std::string& remote : options.read_only_remotes)
      control_.open(remote, control::Access::read_only);
    readers_.open("punix:" + directory_.read_only_socket(), control::Access::read_only);
    managers_.emplace(io_, *database_, control_);
  }

  /// Serves clients meanwhile. A signal ends the wait.
  void wait_until_applied() {
    const auto applied = std::make_shared<bool>(false);
    switch_.when_applied([applied] { *applied = true; });
    bool goes_on = true;
    while (!*applied && goes_on) step([&] { goes_on = io_.run_one() > 0; });
  }

  /// The changes are neither acknowledged nor known to be undone: clients ask again after they reconnect.
  void disk_failed(const std::string& why) {
    log::err(kLog, "the last changes are not on disk: {}; the clients that wait for them are disconnected",
             why);
    control_.drop_clients();
    readers_.drop_clients();
  }

  void committed() {
    ++commits_;
    for (const std::string& warning : database_->take_warnings()) log::warn(kLog, "{}", warning);
  }

  unixctl::Figures memory() {
    const bridge::DatapathState datapath = switch_.view().datapath.datapath_state();
    std::size_t queues = 0;
    for (const bridge::WorkerState& worker : datapath.workers) queues += worker.copy_queue_bytes;
    return {{"resident-kib", resident_kib()},
            {"sessions", control_.clients() + readers_.clients()},
            {"backlog", control_.backlog() + readers_.backlog()},
            {"in-the-works", client_memory_->used()},
            {"monitors", ovsdb_server_.monitors()},
            {"receive-ring-bytes", datapath.receive_memory_bytes},
            {"send-ring-bytes", datapath.send_memory_bytes},
            {"copy-queue-bytes", queues},
            {"queued-copy-bytes", switch_.queued_copy_bytes()}};
  }

  unixctl::Figures coverage() const {
    return {{"commits", commits_},
            {"database_syncs", group_commit_.syncs()},
            {"control_clients", control_.admitted() + readers_.admitted()},
            {"control_requests", dispatcher_.requests()},
            {"operator_requests", operator_dispatcher_.requests()}};
  }

  // Closes the sockets at once; clients still get what was queued for them, including the answer to `exit`.
  void say_farewell() REQUIRES(roles::control) {
    const auto deadline = std::chrono::steady_clock::now() + kFarewell;
    group_commit_.flush();
    managers_.reset();
    control_.stop();
    readers_.stop();
    operator_.stop();
    io_.restart();
    bool goes_on = true;
    while (control_.clients() + readers_.clients() + operator_.clients() > 0 && goes_on)
      step([&] { goes_on = io_.run_one_until(deadline) > 0; });
  }

  RunDirectory directory_;
  const std::shared_ptr<control::ClientMemory> client_memory_ = std::make_shared<control::ClientMemory>();
  boost::asio::io_context io_{1};
  heap::Trimmer trimmer_{io_};
  std::unique_ptr<ovsdb::Database> database_;
  history::History history_;
  bridge::Switch switch_;
  control::OutputGate gate_;
  control::Dispatcher dispatcher_;
  ovsdb::OvsdbServer ovsdb_server_{io_, dispatcher_, *database_};
  control::Dispatcher operator_dispatcher_;
  unixctl::Registry commands_;
  const std::shared_ptr<control::TlsIdentity> tls_;
  control::Server control_;
  control::Server readers_;
  control::Server operator_;
  std::optional<control::Managers> managers_;
  GroupCommit group_commit_{io_, *database_, gate_, [this](const std::string& why) { disk_failed(why); }};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer reports_{io_};
  std::uint64_t commits_ = 0;
};

Daemon::Daemon(const DaemonOptions& options) : parts_(std::make_unique<Parts>(options)) {}
Daemon::~Daemon() = default;
void Daemon::run() {
  parts_->run();
}

}  // namespace vswitch
