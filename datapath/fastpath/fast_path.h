// SPDX-License-Identifier: Apache-2.0
// The flows that the kernel carries by itself, and their accounts. User space decides first: a worker offers each verdict
// here, and what kernel_flow.h allows is put into the kernel's map, which answers for the flow from then on, until
// something it rests on changes:
//
// - a setting: every bridge has the generation of its settings, and so has every decision. Datapath::publish() calls
//   publish() before workers see the new snapshot. It decides anew about the flows that have frames, puts those decisions
//   beside the old ones, and then switches the bridge to the new generation with one store: the next frame of each flow
//   follows the new settings, or goes to user space if nothing was prepared for it.
// - an address: the MAC table reports (AddressWatcher) which it forgets or moves, and the flows from and to it go.
// - silence: a flow without frames for ten seconds goes, and while it has some, its source stays fresh in the MAC table.
//
// Counting. The kernel counts for ports, sessions and destinations; collect() adds what is new to their counters, in the
// cells of a sender of its own, so that whoever sums them up gets everything.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "datapath/base/counters.h"
#include "datapath/base/thread_annotations.h"
#include "datapath/base/unique_fd.h"
#include "datapath/fastpath/copy_taps.h"
#include "datapath/fastpath/kernel_flow.h"
#include "datapath/fastpath/programs.h"
#include "datapath/fastpath/slot_table.h"
#include "datapath/pipeline/pipeline.h"
#include "datapath/snapshot/snapshot.h"
#include "datapath/switching/address_watcher.h"

namespace vswitch::fastpath {

/// Why user space gets every frame for a while.
enum class Pause : std::uint8_t { setting, frame_wanted, trouble, count_ };

struct Offer {
  enum class Answer : std::uint8_t {
    refused,  ///< user space goes on with this flow
    taken,    ///< the kernel knows the flow from now on
    known,    ///< it knew the flow already: the frame had to wait for settled()
  };
  Answer answer = Answer::refused;
  bool copies_wait =
      false;  ///< the kernel makes all the copies, as soon as those by user space have been sent
};

class FastPath final : public AddressWatcher {
 public:
  /// Throws std::runtime_error with a sentence if the kernel cannot do it.
  FastPath();
  ~FastPath() override;
  /// `sender`: in whose cells it counts; no thread is that. Before publish().
  void begin(SenderId sender, std::size_t workers) {
    sender_ = sender;
    workers_ = workers;
  }

  /// The programs for the sockets and devices of ports (programs.h).
  const Programs& programs() const { return programs_; }

  // Settings and time:
  /// `snapshot` becomes valid. When it returns, the kernel carries no frame by older settings of a changed bridge.
  void publish(const Snapshot& snapshot, TimeNs now) REQUIRES(roles::control) EXCLUDES(changes_);
  /// Devices for the copies that user space makes, if `snapshot` has such sessions and there are none yet. Until then
  /// user space carries those frames, so the settings need not wait for this.
  void open_taps(const Snapshot& snapshot) REQUIRES(roles::control) EXCLUDES(changes_);
  /// Adds what the kernel has counted since the last call: for one port; for all sessions.
  void collect_port(PortNo port) REQUIRES(roles::control) EXCLUDES(changes_);
  void collect_copies() REQUIRES(roles::control) EXCLUDES(changes_);
  /// Ages flows, and adds what the kernel has counted for everything. Call it once a second.
  void housekeeping(TimeNs now) REQUIRES(roles::control) EXCLUDES(changes_);
  /// While paused for any reason, user space gets every frame. Any thread.
  void pause(Pause why, bool paused) EXCLUDES(changes_);

  // Frames:
  /// The verdict on a frame that has arrived at `in`, decided with `snapshot`.
  Offer offer(const Snapshot& snapshot, PortNo in, const Frame& frame, const Verdict& verdict, TimeNs now)
      REQUIRES(roles::worker) EXCLUDES(changes_);
  /// Copies of frames of `in` had been queued at `time`. Before settled().
  void copies_queued(PortNo in, TimeNs time) REQUIRES(roles::worker);
  /// All frames that the kernel had handed to user space for port `in` before `time` have been sent.
  void settled(PortNo in, TimeNs time) REQUIRES(roles::worker);
  /// Frames arrive faster than they are sent, so that nothing settles: the kernel drops frames of known flows, as it
  /// does if the ring is full, until settled() is called.
  void drain(PortNo in) REQUIRES(roles::worker);
  /// All copies that `worker` had queued at `time` have been sent.
  void copies_sent(std::size_t worker, TimeNs time) REQUIRES(roles::mirror);

  /// Frames that the kernel has forwarded and of which the worker makes copies. Null until a session needs it; once
  /// there is one, it stays.
  CopyTap* copy_tap(std::size_t worker) const REQUIRES(roles::worker) { return taps_.of(worker); }
  /// What the frames with this tag are; null if they are nothing any more.
  std::shared_ptr<TappedFrames> tapped(const VlanTag& tag) const REQUIRES(roles::worker) {
    return taps_.find(tag.tci);
  }
  /// The verdict on one of these frames. If its copies depend only on its header fields, the kernel makes those of frames
  /// with the same fields, as soon as those by user space have been sent: true.
  bool offer_choice(const Snapshot& snapshot, const TappedFrames& tapped, const Frame& frame,
                    const Verdict& verdict, TimeNs now) REQUIRES(roles::worker);
  /// All frames that were in the worker's tap before `time` have been taken.
  void tap_taken(std::size_t worker, TimeNs time) REQUIRES(roles::worker) { taps_.taken(worker, time); }
  /// And their copies have been sent.
  void tap_sent(std::size_t worker, TimeNs time) REQUIRES(roles::worker);

  // AddressWatcher. Any thread.
  void forgotten(const MacTable& table, VlanId vlan, const MacAddr& mac) override EXCLUDES(changes_);

  struct Status {
    std::string off;            ///< why user space gets every frame, as a sentence; empty: it does not
    std::size_t flows = 0;      ///< known to the kernel
    std::uint64_t frames = 0;   ///< carried by the kernel
    std::uint64_t refused = 0;  ///< flows that found no room
    std::uint64_t unread = 0;   ///< frames that the kernel forwarded, but had no room for in a copy tap
    std::string no_taps;        ///< why user space carries the frames that it makes copies of, as a sentence
  };
  Status status() const EXCLUDES(changes_);

 private:
  struct KeyHash {
    std::size_t operator()(const fastpath_key& key) const;
  };
  struct KeyEqual {
    bool operator()(const fastpath_key& a, const fastpath_key& b) const;
  };
  /// An address in a MAC table.
  struct Address {
    const MacTable* table;
    VlanId vlan;
    MacAddr mac;
    bool operator==(const Address&) const = default;
  };
  struct AddressHash {
    std::size_t operator()(const Address& address) const;
  };
  /// A bridge that a flow passes.
  struct Hop {
    std::shared_ptr<MacTable> macs;
    Address src, dst;
    PortNo in;
  };
  struct Flow {
    fastpath_flow in_kernel;
    std::size_t current = 0;  ///< of its decisions: that of the settings in effect
    std::vector<Hop> hops;    ///< the first is the bridge where its frames arrive
    std::uint64_t last_stamp = 0;
    bool copies_wait = false;  ///< Offer::copies_wait
  };
  struct BridgeUse {
    std::uint32_t slot = 0;
    std::uint64_t generation = 0;  ///< in effect
    std::uint64_t next = 0;        ///< of the snapshot that is being published; 0 = the bridge goes
  };
  using Flows = std::unordered_map<fastpath_key, Flow, KeyHash, KeyEqual>;

  /// Adds the set to the map; nothing if a map is full.
  std::optional<std::uint32_t> copy_set_of(const KernelCopies& copies) REQUIRES(changes_);
  std::optional<std::uint32_t> limit_of(const std::shared_ptr<RateLimit>& rate) REQUIRES(changes_);
  std::optional<std::uint32_t> flood_of(const std::vector<KernelSend>& sends) REQUIRES(changes_);
  void release(const fastpath_decision& decision) REQUIRES(changes_);
  void remove(Flows::iterator at) REQUIRES(changes_);
  bool knows(const KernelHop& hop, const Frame& frame, TimeNs now) const REQUIRES(changes_);
  void remove_crossing() REQUIRES(roles::control, changes_);
  void unlink(const Address& address, const fastpath_key& key) REQUIRES(changes_);
  Eligibility eligibility(const Snapshot& snapshot, PortNo in, const Frame& frame, const Verdict& verdict,
                          TimeNs now) REQUIRES(changes_);
  std::optional<fastpath_decision> decision_for(const KernelFlow& flow, TimeNs now) REQUIRES(changes_);
  bool switch_to(const Snapshot& snapshot, TimeNs now) REQUIRES(roles::control) EXCLUDES(changes_);
  void switch_over(BridgeUse& use) REQUIRES(roles::control, changes_);
  void publish_port(std::size_t slot, const PortConfig* port) REQUIRES(roles::control, changes_);
  void prepare(const Snapshot& snapshot, TimeNs now) REQUIRES(roles::control, changes_);
  bool prepare(const Snapshot& snapshot, Flow& flow, const fastpath_key& key, TimeNs now)
      REQUIRES(roles::control, changes_);
  void clean_port(std::size_t slot, const PortConfig* port) REQUIRES(roles::control, changes_);
  std::optional<std::uint32_t> bridge_slot(const BridgeConfig& bridge) REQUIRES(changes_);
  void count_port(std::size_t slot) REQUIRES(roles::control, changes_);
  void count_disobeyed(std::size_t slot) REQUIRES(roles::control, changes_);
  void count_copies() REQUIRES(roles::control, changes_);
  void set_pause(Pause why, bool paused) REQUIRES(changes_);
  void age(TimeNs now) REQUIRES(roles::control) EXCLUDES(changes_);
  /// An address from which frames came since the last look.
  struct Seen {
    std::shared_ptr<MacTable> macs;
    VlanId vlan;
    MacAddr mac;
    PortNo port;
  };
  bool age_some(std::size_t& bucket, std::vector<Seen>& seen) REQUIRES(roles::control) EXCLUDES(changes_);
  void watch() REQUIRES(roles::control, changes_);

  SenderId sender_{};
  std::size_t workers_ = 0;
  const UniqueFd socket_;  ///< for ioctls
  Programs programs_;
  CopyTaps taps_;

  mutable Mutex changes_;
  std::bitset<static_cast<std::size_t>(Pause::count_)> paused_ GUARDED_BY(changes_);
  std::atomic<bool> off_{false};  ///< paused for any reason
  std::uint32_t tick_ GUARDED_BY(changes_) = 1;
  Flows flows_ GUARDED_BY(changes_);
  std::unordered_map<Address, std::unordered_set<const fastpath_key*>, AddressHash> by_address_
      GUARDED_BY(changes_);
  // What has been collected already is the state of a slot.
  SlotTable<std::shared_ptr<DestinationCounters>, fastpath_destination_account> destinations_
      GUARDED_BY(changes_){0, FASTPATH_DESTINATIONS};
  SlotTable<std::shared_ptr<SessionCounters>, fastpath_session_account> sessions_ GUARDED_BY(changes_){
      0, FASTPATH_SESSIONS};
  /// The state: whose buckets are there.
  SlotTable<std::shared_ptr<RateLimit>, std::shared_ptr<RateLimit>> limits_ GUARDED_BY(changes_){
      1, FASTPATH_LIMITS};
  struct CopySetState {
    bool filled = false;
    std::vector<std::uint32_t> destinations, sessions;  ///< slots of accounts
    std::vector<std::uint32_t> limits;                  ///< slots
    bool is_tapped = false;
  };
  SlotTable<KernelCopies, CopySetState> copy_sets_ GUARDED_BY(changes_){1, FASTPATH_COPY_SETS};
  struct Nothing {};
  SlotTable<std::vector<KernelSend>, Nothing> floods_ GUARDED_BY(changes_){1, FASTPATH_FLOODS};
  std::vector<std::uint32_t> free_ids_ GUARDED_BY(changes_);  ///< fastpath_flow::id
  std::uint32_t next_id_ GUARDED_BY(changes_) = 0;
  std::size_t crossing_ GUARDED_BY(changes_) = 0;  ///< flows over patches
  std::uint64_t refused_ GUARDED_BY(changes_) = 0;
  std::string trouble_ GUARDED_BY(changes_);
  std::uint64_t disobeyed_ GUARDED_BY(changes_) = 0;  ///< frames, until the last look
  bool was_wrong_ GUARDED_BY(changes_) = false;       ///< too many of them, between the last looks

  struct PortUse {
    std::shared_ptr<PortCounters> counters;
    std::shared_ptr<Port> device;
    fastpath_port_account counted = {};
    std::uint64_t drained = 0;
    std::uint64_t disobeyed = 0;  ///< counted as fast_path_bypassed, ever since the slot has been used
    std::uint64_t decided = 0;    ///< taken by the filter until the last look, a second ago
    bool was_tapped = false;      ///< user space has made copies of frames that the kernel forwarded
    bool finishes = false;        ///< finishes checksums and segments what it sends, because we asked it to
  };
  std::vector<PortUse> ports_ GUARDED_BY(changes_);  ///< by PortNo

  std::map<const MacTable*, BridgeUse> bridges_ GUARDED_BY(changes_);
  std::vector<std::uint32_t> free_bridges_ GUARDED_BY(changes_);
  Decider decider_ GUARDED_BY(roles::control);
  Decider unfiltered_ GUARDED_BY(changes_);
};

}  // namespace vswitch::fastpath
