// SPDX-License-Identifier: Apache-2.0
// What other components need to know of the running switch and cannot read from rows, as one interface per
// purpose. Settings and states are in the rows.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "datapath/base/types.h"
#include "datapath/base/unique_fd.h"
#include "datapath/flow/match.h"
#include "schemas/ovsdb/uuid.h"
#include "switchd/bridge/recording.h"

namespace vswitch::bridge {

class View {
 public:
  View() = default;
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  virtual ~View() = default;
};

/// Tells when a change has taken effect.
class AppliedView : public View {
 public:
  /// Calls back, now or later, when every commit made so far is in the datapath or has failed, with its
  /// reason in the row.
  virtual void when_applied(std::function<void()> done) = 0;
};

struct FdbEntry {
  std::string port;
  VlanId vlan = 0;
  MacAddr mac;
  std::int64_t age_seconds = 0;
  bool pinned = false;
};

struct FdbStatistics {
  std::uint64_t entries = 0, capacity = 0, pinned = 0;
  std::uint64_t learned = 0, expired = 0, evicted = 0,
                moved = 0;  ///< since the last clear_fdb_statistics()
};

/// The learned addresses.
class FdbView : public View {
 public:
  /// Pinned entries first, then the longest unseen; empty for a bridge that is not set up.
  virtual std::vector<FdbEntry> fdb(const std::string& bridge) = 0;
  /// Returns how many addresses were removed; pinned ones stay.
  virtual std::size_t flush_fdb(const std::string& bridge) = 0;
  /// Pins an address to a port. False if the port is not in the datapath or the table is full of pinned
  /// addresses.
  virtual bool pin_fdb(const std::string& bridge, const std::string& port, VlanId vlan,
                       const MacAddr& mac) = 0;
  /// False if the address is not pinned.
  virtual bool unpin_fdb(const std::string& bridge, VlanId vlan, const MacAddr& mac) = 0;

  virtual FdbStatistics fdb_statistics(const std::string& bridge) = 0;
  virtual void clear_fdb_statistics(const std::string& bridge) = 0;
};

using CounterMap = std::map<std::string, std::int64_t>;

/// The counters.
class CountersView : public View {
 public:
  /// Current values, with the keys of the column `statistics` of a Mirror (tx_packets, tx_bytes, matched,
  /// delivered, lost, lost_<cause>, production_frames) or Interface (rx_packets, ...) row. Empty if the row
  /// is not in the datapath.
  virtual CounterMap mirror_counters(const ovsdb::Uuid& mirror) = 0;
  /// The same for each destination, present or past, of the session: by name of the port, or uuid of the
  /// Mirror_Endpoint.
  virtual std::map<std::string, CounterMap> destination_counters(const ovsdb::Uuid& mirror) = 0;
  /// Their counters, and those of their destinations, start from zero: when AppliedView::when_applied() calls
  /// back, it has happened. A session that is not in the datapath has none.
  virtual void reset_mirror_counters(const std::vector<ovsdb::Uuid>& mirrors) = 0;
  /// What is worth knowing about a session that works, as sentences; empty if there is nothing. See notices.h.
  virtual std::string mirror_notice(const ovsdb::Uuid& mirror) = 0;
  virtual CounterMap interface_counters(const ovsdb::Uuid& interface) = 0;
  /// Frames and copies dropped since the start, by name(DropReason); reasons that never occurred may be
  /// missing.
  virtual CounterMap drops() = 0;
};

struct WorkerState {
  std::vector<std::string> ports = {};  ///< the ports it receives from
  std::uint64_t wakeups = 0, batches = 0, frames = 0, busy_ns = 0;
  std::uint64_t cpu_ns = 0;           ///< processor time, the kernel's work included
  std::uint64_t unwatched_ports = 0;  ///< times a port could not be added to the epoll set
  std::size_t queued_copy_bytes = 0, copy_queue_bytes = 0;
};

struct MirrorThreadState {
  std::uint64_t wakeups = 0, passes = 0, frames = 0, cpu_ns = 0;
};

/// The part of the datapath that is in the kernel (datapath/fastpath).
struct FastPathState {
  std::string off;           ///< why user space gets every frame, as a sentence; empty: it does not
  std::size_t flows = 0;     ///< that the kernel carries
  std::uint64_t frames = 0;  ///< that it has carried
  std::uint64_t unread = 0;  ///< of these, that user space was to copy and had no room for
  std::string
      no_taps;  ///< why user space carries the frames that it copies, as a sentence; empty: it does not
};

struct DatapathState {
  FastPathState fast_path;
  std::vector<WorkerState> workers;
  std::vector<MirrorThreadState> mirror_threads;
  std::size_t receive_memory_bytes = 0;  ///< receive rings of all ports, in the kernel
  std::size_t send_memory_bytes = 0;     ///< of ports that send by AF_XDP
  std::vector<std::string> complaints;   ///< settings that are not used as given, as sentences
};

/// The ports that the patterns of a session select, by pattern.
using BoundSources = std::map<std::string, std::vector<std::string>>;

/// The settings as they are in effect in the datapath, and its resources.
class DatapathView : public View {
 public:
  /// The number of a port inside the datapath; nullopt if it is not in the datapath.
  virtual std::optional<std::uint32_t> datapath_number(const std::string& bridge,
                                                       const std::string& port) = 0;
  /// The current binding.
  virtual BoundSources bound_sources(const ovsdb::Uuid& mirror) = 0;
  /// The copies of a session whose row says `capture`, and has been made in this turn of the event loop, go to this
  /// socket. Returns why not, as a sentence, or nothing (captures.h).
  virtual std::string add_capture(const ovsdb::Uuid& mirror, UniqueFd socket) = 0;
  /// What the recorder of a session holds; nullopt if it has none.
  virtual std::optional<Recording> recording(const ovsdb::Uuid& mirror) = 0;
  /// Begins to write what it holds into the socket. Returns why not, as a sentence, or nothing; then `held` is what will
  /// be written (recorders.h).
  virtual std::string dump_record(const ovsdb::Uuid& mirror, UniqueFd socket, bool clear,
                                  Recording& held) = 0;
  virtual std::size_t workers() = 0;
  virtual DatapathState datapath_state() = 0;
};

struct Explanation {
  struct Output {
    std::string port;
    std::vector<std::uint8_t> frame;  ///< as it would be sent
  };
  struct Copy {
    std::string session;
    std::string port;
    std::vector<std::uint8_t> frame;
  };
  struct Verdict {
    std::string session;
    bool copied = false;
    std::string reason;  ///< why, or why not
    /// The limits of a session that copies only some of such frames (sample, rate, end): one sentence each,
    /// in the order in which they apply.
    std::vector<std::string> then = {};
  };
  /// Who carries frames like this one, once user space has seen one.
  struct FastPath {
    bool is_carried = false;                    ///< the kernel
    std::string reason = {};                    ///< why it does not
    std::vector<std::string> user_copies = {};  ///< sessions whose copies user space makes nevertheless
  };
  std::vector<std::string> trace;  ///< one line per step
  std::vector<Output> outputs;
  std::vector<Copy> copies;
  std::vector<Verdict> mirrors;  ///< every session of the bridge
  FastPath fast_path;
};

struct NextFrame {
  std::string in_port;
  std::vector<std::uint8_t> frame;
  std::optional<Explanation> explanation;  ///< nothing: the port has disappeared meanwhile
};

/// Explains what would happen to a frame.
class ExplainView : public View {
 public:
  /// Explains what would happen to a frame (from the destination address on, without FCS) that arrives on a
  /// port. Changes nothing. nullopt if the port is not in the datapath.
  virtual std::optional<Explanation> explain(const std::string& bridge, const std::string& in_port,
                                             std::span<const std::uint8_t> frame) = 0;

  /// Waits for the next frame that arrives on a port of the bridge (`in_port` empty: on any) and fits the
  /// match, and calls back once, later: with the frame explained as of its arrival, or with nothing if none
  /// arrives within `patience`. Returns a number for stop_waiting(), or nothing if the limit of pending
  /// requests is reached.
  virtual std::optional<std::uint64_t> explain_next(const std::string& bridge, const std::string& in_port,
                                                    std::optional<Match> match,
                                                    std::chrono::milliseconds patience,
                                                    std::function<void(std::optional<NextFrame>)> done) = 0;
  /// Cancels without a callback. Does nothing if the request is not pending any more.
  virtual void stop_waiting(std::uint64_t request) = 0;
};

/// All of them; each part lives as long as the switch.
struct SwitchView {
  AppliedView& applied;
  FdbView& fdb;
  CountersView& counters;
  DatapathView& datapath;
  ExplainView& explain;
};

/// What a key of CountersView::drops() means, as a sentence.
std::string meaning_of_drop(std::string_view key);

}  // namespace vswitch::bridge
