// SPDX-License-Identifier: Apache-2.0
// The ports that the source patterns of sessions select (switchd/model/source_pattern.h).
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "switchd/bridge/desired.h"
#include "switchd/model/source_pattern.h"

namespace vswitch::bridge {

/// Finds the ports of one bridge. Identifiers are read from rows only when one is needed.
class PatternBinder {
 public:
  PatternBinder(const ovsdb::Database& database, const DesiredBridge& bridge)
      : database_(database), bridge_(bridge) {}

  /// Their names, sorted.
  std::vector<std::string> ports(const model::SourcePattern& pattern);
  /// Whether external_ids of interfaces were used.
  bool has_read_ids() const { return has_read_ids_; }

 private:
  using Index = std::unordered_multimap<std::string, std::string>;  ///< identifier -> port

  void read_ids();
  std::vector<std::string> identified(const model::SourcePattern& pattern);
  std::vector<std::string> matching(const std::string& glob) const;

  const ovsdb::Database& database_;
  const DesiredBridge& bridge_;
  bool has_read_ids_ = false;
  Index by_iface_id_, by_mac_;
};

}  // namespace vswitch::bridge
