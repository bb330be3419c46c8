// SPDX-License-Identifier: Apache-2.0
// Threads and memory of the datapath, from Open_vSwitch.other_config. schemas/README.md lists the keys.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "datapath/snapshot/spec.h"

namespace vswitch::ovsdb {
class Row;
}  // namespace vswitch::ovsdb

namespace vswitch::model {

struct DatapathSettings {
  /// Takes effect when the daemon starts.
  struct AtStart {
    std::size_t worker_threads = 0;  ///< 0 = one per processor, at most 4
    std::size_t mirror_threads = 1;
    std::size_t mirror_queue_kib = 16 * 1024;  ///< for each worker

    bool operator==(const AtStart&) const = default;
  } at_start;
  /// Takes effect for devices that are opened afterwards.
  struct Ports {
    std::size_t receive_ring_kib = 2 * 1024;   ///< of a busy port
    std::size_t receive_queue_kib = 4 * 1024;  ///< for pending long frames
    bool xdp_transmit = true;                  ///< for production frames, if available
    bool xdp_copies = false;

    bool operator==(const Ports&) const = default;
  } ports;
  /// Whether the kernel carries known flows by itself. false takes effect at once, and true if it was true at the start.
  bool kernel_fast_path = true;
  /// Takes effect at once.
  WorkSpec work;
  /// Values that are not used as given, as sentences.
  std::vector<std::string> complaints;
};

/// `processors`: those that the daemon may use.
DatapathSettings read_datapath_settings(const ovsdb::Row& root, const std::vector<unsigned>& processors);

}  // namespace vswitch::model
