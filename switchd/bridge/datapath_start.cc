// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/datapath_start.h"

#include <algorithm>
#include <exception>

#include "switchd/base/privileges.h"
#include "switchd/db/database.h"

namespace vswitch::bridge {

namespace {

DatapathOptions datapath_options(const model::DatapathSettings& settings, fastpath::FastPath* fast_path,
                                 std::function<void()> frame_caught) {
  return {.workers = settings.at_start.worker_threads,
          .mirror_threads = settings.at_start.mirror_threads,
          .copy_queue_bytes = settings.at_start.mirror_queue_kib * 1024,
          .frame_caught = std::move(frame_caught),
          .fast_path = fast_path};
}

/// Without the capability, the verifier follows what a processor may speculate about for half a minute before it refuses.
bool may_load_programs() {
  const std::vector<std::string> capabilities = privileges::state().capabilities;
  return std::any_of(capabilities.begin(), capabilities.end(),
                     [](const std::string& name) { return name == "perfmon" || name == "sys_admin"; });
}

}  // namespace

model::DatapathSettings settings_at_start(const ovsdb::Database& database, std::size_t worker_option,
                                          const std::vector<unsigned>& processors) {
  model::DatapathSettings settings;
  for (const ovsdb::Row& root : database.table("Open_vSwitch"))
    settings = model::read_datapath_settings(root, processors);
  settings.complaints.clear();  // reported when the settings are applied
  std::size_t& workers = settings.at_start.worker_threads;
  if (worker_option != 0) workers = worker_option;
  if (workers == 0) workers = std::clamp<std::size_t>(processors.size(), 1, 4);
  return settings;
}

std::unique_ptr<fastpath::FastPath> start_fast_path(const model::DatapathSettings& settings, bool wanted,
                                                    std::string& trouble) {
  if (!wanted) {
    trouble = "vswitchd was started with --no-kernel-fast-path";
    return nullptr;
  }
  if (!settings.kernel_fast_path) {
    trouble = "other_config:kernel-fast-path was false when vswitchd started";
    return nullptr;
  }
  if (!may_load_programs()) {
    trouble = "CAP_PERFMON is missing, without which the kernel does not take its programs";
    return nullptr;
  }
  try {
    return std::make_unique<fastpath::FastPath>();
  } catch (const std::exception& error) {
    trouble = error.what();
    return nullptr;
  }
}

std::unique_ptr<Datapath> start_datapath(model::DatapathSettings& settings, fastpath::FastPath* fast_path,
                                         const std::function<void()>& frame_caught, std::string& trouble) {
  try {
    return std::make_unique<Datapath>(datapath_options(settings, fast_path, frame_caught));
  } catch (const std::exception& error) {
    const model::DatapathSettings::AtStart usual{.worker_threads = 1};
    if (settings.at_start == usual) throw;
    trouble =
        std::string(
            "Open_vSwitch other_config: vswitchd runs with one worker, one mirror thread and the default ") +
        "queue, because worker-threads, mirror-threads or mirror-queue-kib could not be satisfied "
        "(" +
        error.what() + "); use smaller values and restart it";
    settings.at_start = usual;
    return std::make_unique<Datapath>(datapath_options(settings, fast_path, frame_caught));
  }
}

}  // namespace vswitch::bridge
