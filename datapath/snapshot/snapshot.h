// SPDX-License-Identifier: Apache-2.0
// All settings of the datapath, immutable.
//
// A snapshot is compiled (compile.h), published whole, and never changed: a worker sees all of a commit or
// nothing of it. Counters, MAC tables and devices are shared between snapshots through pointers, and so are
// bridges whose settings have not changed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/types.h"
#include "datapath/port/port.h"
#include "datapath/snapshot/candidates.h"
#include "datapath/snapshot/spec.h"
#include "datapath/switching/mac_table.h"
#include "datapath/switching/vlan.h"
#include "datapath/tunnel/own_copies.h"

namespace vswitch {

struct BridgeConfig;

struct PortConfig {
  PortNo number = kNoPort;
  std::string name;
  const BridgeConfig* bridge = nullptr;
  VlanPolicy vlan;
  bool is_protected = false;
  bool only_copies = false;  ///< destination of a session that does not allow normal I/O
  bool keeps_gso = false;    ///< and of one that has GSO packets copied whole
  bool is_patch = false;
  PortNo patch_peer = kNoPort;                       ///< the other end, if its peer is this port
  std::size_t mtu = 0;                               ///< PortSpec::mtu
  std::shared_ptr<Port> device;                      ///< null until the port has its device
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< of a tunnel port
  tunnel::OwnCopies
      own_packets;  ///< of a tunnel port: copies of these packets never enter it, not even through a patch
  bool link_up = true;       ///< of a tunnel port: no copy of them enters it, by a patch either
  bool no_host = false;      ///< PortSpec::no_host
  std::uint32_t worker = 0;  ///< the worker that receives from it
  std::shared_ptr<PortCounters> counters;

  // Candidate sessions:
  Candidates mirrors_from;       ///< frames that this port's host sends into the switch
  Candidates mirrors_to;         ///< production frames that the switch delivers to this port
  Candidates mirrors_of_copies;  ///< copies delivered here: sessions with this port among their `to` sources
};

/// A port of the session's bridge that receives copies (with an output VLAN: if it carries the VLAN), or an
/// endpoint across a network. A tunnel port is both.
struct MirrorDestination {
  PortNo port = kNoPort;
  std::string label = {};  ///< of an endpoint, for display
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint = {};
  std::shared_ptr<CaptureSink> capture = {};  ///< a program that reads the copies: neither port nor endpoint
  std::shared_ptr<DestinationCounters> counters;
};

/// An enabled session that has at least one destination at present, or an output VLAN.
struct CompiledSession : CopySettings {
  std::string id;  ///< SessionSpec::id
  std::string name;
  const BridgeConfig* bridge = nullptr;
  std::unique_ptr<const VlanSet> select_vlans;  ///< null = any VLAN
  std::shared_ptr<RateLimit> rate;              ///< null = no limit
  std::shared_ptr<Quota> quota;                 ///< null = no limit
  std::uint32_t cpu_budget = 0;                 ///< SessionSpec::cpu_budget
  std::vector<MirrorDestination> destinations;
  std::shared_ptr<SessionCounters> counters;
  std::shared_ptr<ForeignCounters> foreign;  ///< with an output VLAN
  std::shared_ptr<QueuedBytes> queued_bytes;
};

/// A bridge with its ports and sessions, which point to each other.
struct BridgeConfig {
  BridgeConfig() = default;
  BridgeConfig(const BridgeConfig&) = delete;
  BridgeConfig& operator=(const BridgeConfig&) = delete;

  std::string name;
  std::uint64_t generation = 0;                ///< of its settings: every compilation has another, never 0
  std::vector<PortConfig> ports;               ///< all of them, ascending by number
  std::vector<const PortConfig*> flood_ports;  ///< without ports that carry only copies
  VlanSet flood_vlans;                         ///< VLANs without learning
  bool forward_bpdu = false;
  bool secure = false;  ///< fail_mode=secure without a controller: nothing is forwarded
  std::shared_ptr<MacTable> macs;
  SessionIndex first_session = 0;         ///< sessions[i] is session first_session + i of the snapshot
  std::vector<CompiledSession> sessions;  ///< in the order in which they are tried
  /// Sessions that put copies into a VLAN of the bridge, ascending by VLAN. All of these VLANs are among
  /// flood_vlans.
  std::vector<std::pair<VlanId, SessionIndex>> output_vlans;
  tunnel::OwnCopies own_copies;  ///< of its sessions
};

struct Snapshot {
  std::uint64_t generation = 0;  ///< set by Datapath::publish
  std::vector<std::shared_ptr<const BridgeConfig>> bridges;
  std::vector<const PortConfig*> ports;          ///< of all bridges, by PortNo; null: no such port
  std::vector<const CompiledSession*> sessions;  ///< of all bridges, by SessionIndex; null: no such session
  tunnel::OwnCopies own_copies;                  ///< of all sessions
  WorkSpec work;

  /// Null if there is no such port.
  const PortConfig* port(PortNo number) const {
    return index(number) < ports.size() ? ports[index(number)] : nullptr;
  }
  /// Of a session that the snapshot has.
  const CompiledSession& session(SessionIndex at) const { return *sessions[at]; }
};

}  // namespace vswitch
