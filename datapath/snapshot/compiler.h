// SPDX-License-Identifier: Apache-2.0
// From SwitchSpec to Snapshot: names become numbers, sessions become candidate lists at the ports they
// select.
//
// The compiler owns what outlives a change of settings: port numbers, counters and MAC tables, found again by
// the names and ids of the spec. compile() touches nothing that a worker reads. finish() is called once all
// workers use the new snapshot: addresses that became wrong are forgotten then (before, an old snapshot could
// have taught them again), and only then a port number may be given away.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "datapath/snapshot/snapshot.h"
#include "datapath/snapshot/spec.h"

namespace vswitch {

struct CompileResult {
  std::unique_ptr<Snapshot> snapshot;
  std::vector<SessionStatus> sessions;  ///< every session of the spec
};

class SnapshotCompiler {
 public:
  /// `quota_used_up` is called on a worker's thread when a session has copied all it may: compile() then
  /// finds it ended.
  SnapshotCompiler(std::size_t senders, std::size_t workers, std::function<void()> quota_used_up = {})
      : senders_(senders), workers_(workers), quota_used_up_(std::move(quota_used_up)) {}

  CompileResult compile(const SwitchSpec& spec);
  /// After Datapath::publish() of the last compiled snapshot.
  void finish();

  /// Counters and tables by the names of the spec, null if there is no such thing.
  std::shared_ptr<PortCounters> port_counters(const std::string& bridge, const std::string& port) const;
  std::shared_ptr<MacTable> macs(const std::string& bridge) const;
  struct SessionEntry {
    std::shared_ptr<SessionCounters> counters;
    std::shared_ptr<QueuedBytes> queued_bytes;
    /// With an output VLAN; they begin anew in another one.
    std::shared_ptr<ForeignCounters> foreign;
    std::optional<VlanId> output_vlan;
    std::map<std::string, std::shared_ptr<DestinationCounters>>
        destinations;  ///< by name of the port or endpoint; kept while the session lives
    /// What it did before it asked for something that cannot be honoured; it goes on doing that.
    std::optional<SessionSpec> last_honoured;
    std::shared_ptr<RateLimit> rate;  ///< null = no limit
    std::shared_ptr<Quota> quota;     ///< null = no limit
    struct End {
      std::optional<std::int64_t> at;  ///< SessionSpec::ends_at
      std::string reason;
    };
    std::optional<End> end;  ///< it has come
    bool used = false;
  };
  const SessionEntry* session(const std::string& id) const;

 private:
  using PortId = std::pair<std::string, std::string>;  // bridge, port

  struct PortEntry {
    PortNo number = kNoPort;
    std::shared_ptr<PortCounters> counters;
    // What its addresses were learned under.
    VlanPolicy vlan;
    bool is_protected = false;
    bool link_up = true;
    bool stale_addresses = false;
    bool used = false;
  };
  struct BridgeEntry {
    std::shared_ptr<MacTable> macs;
    VlanSet flood_vlans;
    bool stale_addresses = false;
    bool used = false;
  };

  PortEntry& port_entry(const BridgeSpec& bridge, const PortSpec& port);
  BridgeEntry& bridge_entry(const BridgeSpec& bridge);
  SessionEntry& session_entry(const SessionSpec& session);
  void add_bridge(const BridgeSpec& bridge, Snapshot& snapshot);
  void update_limits(SessionEntry& entry, const SessionSpec& session) const;
  static void update_end(SessionEntry& entry, const SessionSpec& session, std::int64_t now_ms);
  SessionStatus add_session(const BridgeSpec& bridge, BridgeIndex at, const SessionSpec& session,
                            std::int64_t now_ms, Snapshot& snapshot);
  void connect_patches(const SwitchSpec& spec, Snapshot& snapshot);
  static bool reaches_peer(const Snapshot& snapshot, const PortConfig& patch, VlanId vlan);
  static void make_flood_lists(Snapshot& snapshot);
  void add_vlan_destinations(Snapshot& snapshot);
  std::shared_ptr<DestinationCounters> destination_counters(SessionEntry& entry,
                                                            const std::string& name) const;

  const std::size_t senders_;
  const std::size_t workers_;
  const std::function<void()> quota_used_up_;
  std::map<PortId, PortEntry> ports_;
  std::set<std::string> connected_;  ///< patch ports whose peer points back
  std::map<std::string, BridgeEntry> bridges_;
  std::map<std::string, SessionEntry> sessions_;
  std::vector<PortNo> free_numbers_;
  std::uint32_t next_number_ = 0;
};

}  // namespace vswitch
