// SPDX-License-Identifier: Apache-2.0
// A whole switch in one process: memory ports, a fake clock, no threads, no root.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datapath/engine/datapath.h"
#include "datapath/port/memory_port.h"
#include "datapath/snapshot/registry.h"
#include "datapath/snapshot/spec.h"
#include "switchd/bridge/session_state.h"
#include "tests/support/frame_builder.h"

namespace vswitch::test {

/// Frames by the name of the port they left through. A port that is not named has sent nothing.
using Sent = std::map<std::string, std::vector<MemoryFrame>>;

/// The differences, decoded and in words; empty if there are none.
std::string difference(const Sent& expected, const Sent& actual);

// The words of tests about sessions.
using bridge::DesiredSession;
using bridge::SessionState;
using bridge::SessionStatus;

class SwitchLab {
 public:
  explicit SwitchLab(std::size_t workers = 1);

  /// Change it at will, then apply(), which decides on the sessions.
  SwitchSpec spec;
  std::int64_t now_ms = 0;  ///< the wall clock

  BridgeSpec& bridge(const std::string& name = "br0");
  /// The port, created with a memory device if missing; port names are unique over all bridges. A reference
  /// is valid until the next port().
  PortSpec& port(const std::string& name, const std::string& bridge = "br0");
  bridge::DesiredSession& session(const std::string& name, const std::string& bridge = "br0");
  std::vector<bridge::DesiredSession>& sessions(const std::string& bridge = "br0") { return asked_[bridge]; }
  MemoryPort& device(const std::string& name) { return *devices_.at(name); }
  std::shared_ptr<MemoryPort> shared_device(const std::string& name) { return devices_.at(name); }

  void apply();
  void inject(const std::string& port, const MemoryFrame& frame) { device(port).inject(frame); }
  /// Handles everything and returns what left through which port.
  Sent run();
  /// inject, run, and a test failure that shows the difference.
  void expect(const std::string& port, const MemoryFrame& frame, const Sent& expected,
              const std::string& what = "");

  bridge::SessionStatus status(const std::string& session) const;
  std::uint64_t received_drops(const std::string& port, DropReason reason,
                               const std::string& bridge = "br0") const;
  std::uint64_t sent_drops(const std::string& port, DropReason reason,
                           const std::string& bridge = "br0") const;
  /// matched, delivered and lost of one session and destination.
  struct Account {
    std::uint64_t matched = 0, delivered = 0, lost = 0;
    bool operator==(const Account&) const = default;
  };
  Account account(const std::string& session, const std::string& destination) const;
  std::uint64_t lost(const std::string& session, const std::string& destination, DropReason reason) const;
  std::uint64_t frames_of(const std::string& session) const;
  std::size_t addresses(const std::string& bridge = "br0") const { return registry.macs(bridge)->size(); }

  TimeNs now = 1000 * kSecondNs;
  std::unique_ptr<Datapath> datapath;
  SnapshotRegistry registry;
  std::vector<bridge::SessionStatus> statuses;

 private:
  std::map<std::string, std::vector<bridge::DesiredSession>> asked_;  ///< by bridge
  bridge::SessionStates states_;
  std::map<std::string, std::shared_ptr<MemoryPort>> devices_;
};

}  // namespace vswitch::test
