// SPDX-License-Identifier: Apache-2.0
// The datapath's threads and queues: made once, when the daemon starts.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "datapath/engine/datapath.h"
#include "switchd/model/datapath_settings.h"

namespace vswitch::ovsdb {
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// What the database says at the start, without its complaints: those are made when the settings are applied.
/// `worker_option`: of the command line, which goes before the database; 0 = not given. `processors`: those
/// the daemon may run on.
model::DatapathSettings settings_at_start(const ovsdb::Database& database, std::size_t worker_option,
                                          const std::vector<unsigned>& processors);

/// Starts it as `settings` say. If the machine refuses that, it starts with the usual numbers, changes
/// `settings` to them and puts the reason into `trouble`: a daemon that does not start could not be told to
/// ask for less. Throws if the machine refuses those as well. `frame_caught` is called on a worker's thread.
std::unique_ptr<Datapath> start_datapath(model::DatapathSettings& settings,
                                         const std::function<void()>& frame_caught, std::string& trouble);

}  // namespace vswitch::bridge
