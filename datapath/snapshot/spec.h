// SPDX-License-Identifier: Apache-2.0
// What the switch shall be, in plain values: the input of the snapshot compiler. switchd makes it from the
// database, tests write it down. Of what is pointed to, == compares which it is.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datapath/mirror/copy_shape.h"
#include "datapath/mirror/filter_rules.h"
#include "datapath/mirror/limits.h"
#include "datapath/port/port.h"
#include "datapath/switching/mac_table.h"
#include "datapath/switching/vlan.h"
#include "datapath/tunnel/tunnel_endpoint.h"

namespace vswitch {

/// The end of a tunnel: an endpoint and what is wrong with the way there.
struct EndpointSpec {
  std::string name;                                  ///< unique in its session, and lasting
  std::string label;                                 ///< for people: "10.0.0.1 (erspan2)"
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< null while it cannot be made
  std::optional<IpAddress> source;                   ///< the address its packets carry, where it is known
  std::string trouble;  ///< not empty: nothing reaches it at present, as a sentence

  bool operator==(const EndpointSpec&) const = default;
};

struct PortSpec {
  std::string name;  ///< unique in its bridge
  VlanPolicy vlan;
  bool is_protected = false;
  std::shared_ptr<Port> device;  ///< null while there is none
  bool link_up = true;           ///< frames sent to the device arrive somewhere
  bool is_patch = false;
  std::string patch_peer;                            ///< name of the other end
  std::shared_ptr<tunnel::TunnelEndpoint> endpoint;  ///< of a tunnel port
  std::optional<IpAddress> tunnel_source = {};
  std::string tunnel_trouble;  ///< not empty: why nothing gets through the tunnel, as a sentence

  bool operator==(const PortSpec&) const = default;
};

enum class Direction : std::uint8_t { from, to, both };

inline constexpr std::size_t kMaxSessions = 4096;  ///< on one bridge

struct SourceSpec {
  std::string port;
  Direction direction = Direction::both;

  bool operator==(const SourceSpec&) const = default;
};

/// A source by description instead of name.
struct PatternSpec {
  std::string text;                ///< for people, such as "glob:vnet*"
  std::vector<std::string> ports;  ///< that answer to it at present; they are among SessionSpec::sources

  bool operator==(const PatternSpec&) const = default;
};

struct SessionSpec {
  std::string id;  ///< unique and lasting: the row's UUID
  std::string name;
  bool enabled = true;
  std::vector<SourceSpec> sources;
  std::vector<PatternSpec> patterns = {};
  bool all_ports = false;     ///< every port but the session's own destinations, to and from
  std::vector<VlanId> vlans;  ///< empty = any
  std::shared_ptr<const FilterRules> rules = {};  ///< what it copies by headers; null = every frame
  std::vector<std::string>
      destinations;  ///< with an output VLAN: only on these; empty = on all that carry it
  std::vector<EndpointSpec> endpoints = {};
  bool normal_io = false;  ///< destinations carry their own traffic too
  CopyTags tags = {};
  std::size_t snaplen = kWholeFrame;  ///< bytes of a copy at most, its tags included
  GsoPackets gso_packets = GsoPackets::by_destination;
  MtuPolicy mtu_policy = MtuPolicy::truncate;  ///< for copies to endpoints
  std::uint32_t sample = 1;                    ///< one frame in this many is copied, by chance
  RateSpec rate = {};
  QuotaSpec quota = {};
  /// When it ends, ms since 1970. Only compared: an end that has come counts until it is another one.
  std::optional<std::int64_t> ends_at = {};
  std::string expired = {};  ///< not empty: its end has come, as a sentence
  std::string
      refusal;  ///< not empty: a setting that cannot be honoured, as a sentence; the session copies nothing

  bool operator==(const SessionSpec&) const = default;
};

struct BridgeSpec {
  std::string name;
  std::vector<PortSpec> ports;
  std::vector<SessionSpec> sessions;
  std::vector<VlanId> flood_vlans;
  bool forward_bpdu = false;
  bool secure = false;
  std::size_t mac_table_size = MacTable::kDefaultCapacity;
  TimeNs mac_aging = MacTable::kDefaultAging;

  bool operator==(const BridgeSpec&) const = default;
};

/// How the threads of the datapath go about their work.
struct WorkSpec {
  TimeNs spin =
      0;  ///< how long a worker looks for frames before it sleeps (datapath/engine/spin.h); 0 = never
  std::size_t session_queue_bytes = 0;  ///< of one session in each worker's mirror queue; 0 = half of it
  std::uint64_t sample_seed = 0;        ///< a change of it starts the workers' random numbers anew
  /// Thread i runs on the processor at i modulo their number; empty = on any.
  std::vector<unsigned> worker_cpus = {};
  std::vector<unsigned> mirror_cpus = {};

  bool operator==(const WorkSpec&) const = default;
};

struct SwitchSpec {
  std::vector<BridgeSpec> bridges;
  WorkSpec work = {};
  std::int64_t now_ms = 0;  ///< the time of the wall clock, ms since 1970
};

enum class SessionState : std::uint8_t { active, degraded, waiting, disabled, expired, error };
std::string_view name(SessionState state);

struct SessionStatus {
  std::string id;
  SessionState state = SessionState::active;
  std::string reason;                         ///< empty when active or disabled
  std::optional<std::int64_t> ended_at = {};  ///< ms since 1970: its end has come, and has to be remembered

  bool operator==(const SessionStatus&) const = default;
};

}  // namespace vswitch
