// SPDX-License-Identifier: Apache-2.0
// Pairs of sessions of a bridge that use one port for what excludes each other.
//
// The session API refuses such a change (switchd/model/mirror_rules.h). Rows of OVSDB clients may ask for it, as
// in Open vSwitch: the sessions work as far as they can, and both have a notice. Ports are indexed first, so the
// time is linear in what the sessions name, however many of them share a port.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "datapath/snapshot/spec.h"

namespace vswitch::bridge {

class SessionConflicts {
 public:
  /// `sessions`: those of one bridge, which must outlive this. Only enabled ones conflict.
  explicit SessionConflicts(const std::vector<SessionSpec>& sessions);

  /// The conflicts of one of the sessions, as sentences joined by "; "; empty if there are none. The first few
  /// are named.
  std::string notice_of(const SessionSpec& session) const;

 private:
  /// The sessions that use a port, by name, and how.
  struct Uses {
    std::vector<const SessionSpec*> copies_only;  ///< destination without traffic of its own
    std::vector<const SessionSpec*> normal_io;    ///< destination with traffic of its own
    std::vector<const SessionSpec*> from;         ///< source, of frames from the port alone
  };

  std::unordered_map<std::string, Uses> ports_;  ///< those that carry only copies for a session
};

}  // namespace vswitch::bridge
