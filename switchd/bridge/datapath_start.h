// SPDX-License-Identifier: Apache-2.0
// The datapath's threads and queues: created once, when the daemon starts.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "datapath/base/thread_annotations.h"
#include "datapath/engine/datapath.h"
#include "switchd/model/datapath_settings.h"

namespace vswitch::ovsdb {
class Database;
}  // namespace vswitch::ovsdb

namespace vswitch::bridge {

/// The settings in the database at the start, without complaints: those are made when the settings are
/// applied. `worker_option`: from the command line, which overrides the database; 0 = not given.
/// `processors`: those that the daemon may run on.
model::DatapathSettings settings_at_start(const ovsdb::Database& database, std::size_t worker_option,
                                          const std::vector<unsigned>& processors);

/// The fast path, or null with the reason in `trouble`: it is not wanted, or the kernel cannot do it. `wanted`: by the
/// command line.
std::unique_ptr<fastpath::FastPath> start_fast_path(const model::DatapathSettings& settings, bool wanted,
                                                    std::string& trouble);

/// Starts it according to `settings`. If the machine refuses that, it starts with the defaults, changes
/// `settings` to them and puts the reason into `trouble`: a daemon that does not start could not be
/// reconfigured to use less. Throws if the machine refuses the defaults as well. `frame_caught` is called on
/// a worker's thread.
std::unique_ptr<Datapath> start_datapath(model::DatapathSettings& settings, fastpath::FastPath* fast_path,
                                         const std::function<void()>& frame_caught, std::string& trouble)
    REQUIRES(roles::control);

}  // namespace vswitch::bridge
