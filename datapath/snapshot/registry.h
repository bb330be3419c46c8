// SPDX-License-Identifier: Apache-2.0
// State that outlives a change of settings: port numbers, counters, MAC tables, rates and quotas, found again
// by the names and ids of the spec; and the bridges that compile() made, as long as they are valid.
//
// A bridge whose spec is equal to its last one costs a comparison, and nothing else of it is touched.
//
// A change consists of update(spec), compile(spec, registry), Datapath::publish(), finish(). Addresses that
// became wrong are removed in finish(), when all workers use the new snapshot (before that, an old snapshot
// could have learned them again), and only then may a port number be reused.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/base/types.h"
#include "datapath/mirror/limits.h"
#include "datapath/snapshot/account_totals.h"
#include "datapath/snapshot/candidates.h"
#include "datapath/snapshot/spec.h"
#include "datapath/switching/address_watcher.h"
#include "datapath/switching/mac_table.h"
#include "datapath/switching/vlan.h"

namespace vswitch {

struct BridgeConfig;

/// The other end of a patch port.
struct PatchPeer {
  PortNo number = kNoPort;
  VlanPolicy vlan;

  bool operator==(const PatchPeer&) const = default;
};
/// By the name of the patch port; those without a connected peer are missing.
using PatchPeers = std::map<std::string, PatchPeer>;

/// Control thread.
class SnapshotRegistry {
 public:
  /// `senders` and `workers` are those of the Datapath. `quota_used_up` is called on a worker's thread when a
  /// session has used up its quota; is_used_up() then returns true.
  /// `watcher`: of the addresses of all bridges, or null.
  SnapshotRegistry(std::size_t senders, std::size_t workers, std::function<void()> quota_used_up = {},
                   AddressWatcher* watcher = nullptr)
      : senders_(senders), workers_(workers), quota_used_up_(std::move(quota_used_up)), watcher_(watcher) {}

  /// Creates what `spec` names and does not exist yet, and marks what it does not name any more.
  void update(const SwitchSpec& spec) REQUIRES(roles::control);
  /// Call after Datapath::publish() of the snapshot compiled from the spec of the last update(): removes what
  /// was not named.
  void finish() REQUIRES(roles::control);

  /// A number that no other call returns; never 0.
  std::uint64_t next_generation() { return ++generation_; }

  /// The worker that receives from the port.
  std::uint32_t worker_of(PortNo port) const { return index(port) % static_cast<std::uint32_t>(workers_); }

  struct PortEntry {
    PortNo number = kNoPort;
    std::shared_ptr<PortCounters> counters;
    // The settings under which its addresses were learned.
    VlanPolicy vlan;
    bool is_protected = false;
    bool link_up = true;
    bool stale_addresses = false;
    bool used = false;  ///< named by the bridge's last spec
  };
  struct BridgeEntry {
    std::shared_ptr<MacTable> macs;
    VlanSet flood_vlans;      ///< the requested ones, and those that hold copies
    VlanSet stale_vlans;      ///< those that have joined them: what was learned there is not used any more
    VlanSet requested_vlans;  ///< BridgeSpec::flood_vlans
    bool stale_addresses = false;            ///< they have changed: all is learned again, as in Open vSwitch
    std::map<std::string, PortEntry> ports;  ///< by name
    std::vector<std::string> sessions;       ///< ids of those in `spec`
    BridgeSpec spec;                         ///< the last one
    bool used = false;                       ///< named by the last spec
    bool unfinished = false;                 ///< changed since the last finish()
    /// A range of SessionIndex, disjoint from those of other bridges; it stays as long as the bridge's
    /// sessions fit into it.
    SessionIndex first_session = 0;
    std::size_t session_capacity = 0;
    /// What compile() made of `spec` and these peers; null: not compiled yet.
    std::shared_ptr<const BridgeConfig> compiled;
    PatchPeers peers;
  };
  struct SessionEntry {
    std::shared_ptr<SessionCounters> counters;
    std::shared_ptr<QueuedBytes> queued_bytes;
    /// Only with an output VLAN; they start at zero in another one.
    std::shared_ptr<ForeignCounters> foreign;
    std::optional<VlanId> output_vlan;
    std::map<std::string, std::shared_ptr<DestinationCounters>>
        destinations;                 ///< by name of the port or endpoint; kept as long as the session
    std::shared_ptr<RateLimit> rate;  ///< null = no limit
    std::shared_ptr<Quota> quota;     ///< null = no limit
    std::uint64_t life = 0;           ///< the SessionSpec::life that the quota counts for
    bool used = false;
  };

  // Handles by the names of the spec, null if there is no such object. A port that the last spec does not
  // name does not exist, though it keeps its number until finish().
  const PortEntry* port(const std::string& bridge, const std::string& port) const;
  const BridgeEntry* bridge(const std::string& bridge) const;
  /// Keeps what was compiled from the bridge's last spec and these peers, until the spec changes.
  void keep(const std::string& bridge, std::shared_ptr<const BridgeConfig> compiled, PatchPeers peers);
  const SessionEntry* session(const std::string& id) const;
  std::shared_ptr<PortCounters> port_counters(const std::string& bridge, const std::string& port) const;
  std::shared_ptr<MacTable> macs(const std::string& bridge) const;
  /// The counters of the session and its destinations start anew with the next compile(). Copies that are
  /// queued meanwhile belong to the account that ends, so both balance.
  void restart_account(const std::string& session) REQUIRES(roles::control);
  /// Sessions of these ids continue these accounts when they are first named by a spec. Before the first update().
  void resume(AccountTotals totals) REQUIRES(roles::control) { resumed_ = std::move(totals); }
  /// What is left of those.
  const AccountTotals& resumed() const REQUIRES(roles::control) { return resumed_; }
  using Sessions = std::map<std::string, SessionEntry>;  ///< by id
  const Sessions& sessions() const { return sessions_; }
  /// For a session of the last spec; created on first use.
  std::shared_ptr<DestinationCounters> destination_counters(const std::string& session,
                                                            const std::string& destination);

  /// Whether the session has used up its quota, if it is this one, in this life.
  bool is_used_up(const std::string& session, const QuotaSpec& quota, std::uint64_t life) const;

 private:
  void disuse(BridgeEntry& entry);
  void update_bridge(BridgeEntry& entry, const BridgeSpec& bridge);
  void update_port(BridgeEntry& entry, const PortSpec& port);
  void update_session(const SessionSpec& session);
  void resume_account(const std::string& id, SessionEntry& entry);
  void place_sessions(BridgeEntry& entry, std::size_t count);
  void finish_bridge(BridgeEntry& entry);

  const std::size_t senders_;
  const std::size_t workers_;
  const std::function<void()> quota_used_up_;
  AddressWatcher* const watcher_;
  std::uint64_t generation_ = 0;
  std::map<std::string, BridgeEntry> bridges_;
  Sessions sessions_;
  std::vector<std::string> perhaps_gone_;  ///< sessions that bridges had before they changed
  AccountTotals resumed_;                  ///< of sessions that no spec has named yet
  std::vector<PortNo> free_numbers_;
  std::uint32_t next_number_ = 0;
};

/// The accounts of these sessions, added to those of `others`.
AccountTotals totals_of(const SnapshotRegistry::Sessions& sessions, AccountTotals others);

}  // namespace vswitch
