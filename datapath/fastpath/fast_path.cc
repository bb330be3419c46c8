// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/fast_path.h"

#include <linux/bpf.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <string_view>
#include <thread>
#include <utility>

#include "datapath/base/steady_clock.h"
#include "datapath/port/device_query.h"

namespace vswitch::fastpath {

namespace {

constexpr std::uint32_t kActiveTicks =
    2;  // a change of settings is prepared for flows with frames since then
constexpr std::size_t kMostPrepared = 4096;  // at a microsecond each

constexpr TimeNs kInHand = 100'000;  // a frame that the program carries out by the settings that it has read

constexpr std::uint32_t kAnyLength = 1U << 20;

std::string_view bytes_of(const fastpath_key& key) {
  return {reinterpret_cast<const char*>(&key), sizeof key};
}

}  // namespace

std::size_t FastPath::KeyHash::operator()(const fastpath_key& key) const {
  return std::hash<std::string_view>()(bytes_of(key));
}
bool FastPath::KeyEqual::operator()(const fastpath_key& a, const fastpath_key& b) const {
  return bytes_of(a) == bytes_of(b);
}
std::size_t FastPath::AddressHash::operator()(const Address& address) const {
  const std::size_t mac = std::hash<std::uint64_t>()(address.mac.to_u64() << 12 ^ address.vlan);
  return mac ^ std::hash<const void*>()(address.table) * 31;
}

FastPath::FastPath() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  programs_.set_tick(1);
  programs_.enable(true);
}

FastPath::~FastPath() {
  for (auto& limit : limits_.slots()) {
    if (limit.state != nullptr) limit.state->move_to(nullptr);
  }
}

void FastPath::publish(const Snapshot& snapshot, TimeNs now) {
  // Workers take what was tapped by the old settings before they use the new ones, so all of it has to be there.
  if (switch_to(snapshot, now) && taps_.is_open())
    std::this_thread::sleep_for(std::chrono::nanoseconds(kInHand));
}

/// False if no bridge has changed.
bool FastPath::switch_to(const Snapshot& snapshot, TimeNs now) {
  const MutexLock lock(changes_);
  const std::size_t count = std::min<std::size_t>(snapshot.ports.size(), FASTPATH_FIRST_COPY_TAP);
  if (ports_.size() < count) ports_.resize(count);
  const auto port_at = [&](std::size_t slot) {
    return snapshot.port(PortNo{static_cast<std::uint32_t>(slot)});
  };
  for (auto& [macs, use] : bridges_) use.next = 0;
  for (const auto& bridge : snapshot.bridges) {
    if (bridge_slot(*bridge)) bridges_.at(bridge->macs.get()).next = bridge->generation;
  }
  const bool changes = std::any_of(bridges_.begin(), bridges_.end(), [](const auto& item) {
    return item.second.next != item.second.generation;
  });
  for (std::size_t slot = 0; slot < ports_.size(); ++slot) {
    if (const PortConfig* port = port_at(slot)) publish_port(slot, port);
  }
  if (changes) remove_crossing();
  if (changes) prepare(snapshot, now);
  for (auto& [macs, use] : bridges_) {
    if (use.generation != use.next) switch_over(use);
  }
  for (std::size_t slot = 0; slot < ports_.size(); ++slot) clean_port(slot, port_at(slot));
  std::erase_if(bridges_, [this](const auto& item) REQUIRES(changes_) {
    if (item.second.generation != 0) return false;
    free_bridges_.push_back(item.second.slot);
    return true;
  });
  return changes;
}

/// It takes tens of milliseconds. Workers that report addresses wait for the lock, so it is not held.
void FastPath::open_taps(const Snapshot& snapshot) {
  if (!taps_.is_open() && needs_taps(snapshot)) taps_.open(programs_, workers_);
}

/// Frames may be tapped by the old settings up to the moment of the store, and those that a program has in hand a little
/// longer.
void FastPath::switch_over(BridgeUse& use) {
  use.generation = use.next;
  fastpath_bridge& bridge = programs_.bridges[use.slot];
  shared(bridge.since).store(~std::uint64_t{0}, std::memory_order_seq_cst);
  shared(bridge.generation).store(use.generation, std::memory_order_seq_cst);
  shared(bridge.since).store(static_cast<std::uint64_t>(steady_now() + kInHand), std::memory_order_seq_cst);
}

std::optional<std::uint32_t> FastPath::bridge_slot(const BridgeConfig& bridge) {
  const auto found = bridges_.find(bridge.macs.get());
  if (found != bridges_.end()) return found->second.slot;
  std::uint32_t slot = static_cast<std::uint32_t>(bridges_.size());
  if (!free_bridges_.empty()) {
    slot = free_bridges_.back();
    free_bridges_.pop_back();
  }
  if (slot >= FASTPATH_BRIDGES) return std::nullopt;
  bridges_[bridge.macs.get()].slot = slot;
  return slot;
}

/// Before the generation changes: what the new settings need.
void FastPath::publish_port(std::size_t slot, const PortConfig* port) {
  PortUse& use = ports_[slot];
  if (use.device != port->device || use.counters != port->counters) {
    clean_port(slot, nullptr);
    use.counters = port->counters;
    use.device = port->device;
  }
  if (use.device == nullptr) return;
  const KernelDevice device = use.device->kernel_device();
  if (device.ifindex == 0) return;
  if (finishes_copies(*port) && device.takes_copies && !use.finishes)
    use.finishes = set_tx_checksum(socket_.get(), device.ifindex, false);
  fastpath_port& in_kernel = programs_.ports[slot];
  shared(in_kernel.ifindex).store(static_cast<std::uint32_t>(device.ifindex), std::memory_order_relaxed);
  // The host takes frames of any length.
  shared(in_kernel.mtu)
      .store(device.is_host ? kAnyLength : static_cast<std::uint32_t>(port->mtu), std::memory_order_relaxed);
  shared(in_kernel.redirect).store(device.is_host ? BPF_F_INGRESS : 0, std::memory_order_relaxed);
  shared(in_kernel.worker).store(port->worker, std::memory_order_relaxed);
}

/// After it has changed: what they do not need any more. `port`: null if there is none.
void FastPath::clean_port(std::size_t slot, const PortConfig* port) {
  PortUse& use = ports_[slot];
  if (use.finishes && (port == nullptr || !finishes_copies(*port))) {
    set_tx_checksum(socket_.get(), use.device->kernel_device().ifindex, true);
    use.finishes = false;
  }
  if (port != nullptr || use.counters == nullptr) return;
  count_port(slot);
  count_disobeyed(slot);
  use.counters.reset();
  use.device.reset();
}

/// Flows without frames are left out, and what is too much for one change: they go to user space once.
void FastPath::prepare(const Snapshot& snapshot, TimeNs now) {
  std::size_t prepared = 0;
  for (auto& [key, flow] : flows_) {
    const auto bridge = bridges_.find(flow.hops.front().macs.get());
    if (bridge == bridges_.end() || bridge->second.next == bridge->second.generation) continue;
    const std::uint64_t stamp = shared(programs_.stamps[flow.in_kernel.id]).load(std::memory_order_relaxed);
    if (bridge->second.next == 0 || tick_ - stamp > kActiveTicks || prepared == kMostPrepared) continue;
    if (flow.in_kernel.decision[flow.current].generation != bridge->second.generation) continue;
    if (prepare(snapshot, flow, key, now)) ++prepared;
  }
}

/// A flow over a patch rests on the settings of several bridges, and the kernel compares only those of the first. Its
/// next frame goes to user space.
void FastPath::remove_crossing() {
  for (auto at = flows_.begin(); at != flows_.end() && crossing_ != 0;) {
    const auto flow = at++;
    if (flow->second.hops.size() > 1) remove(flow);
  }
}

/// The kernel takes only flows on which nothing but addresses and tag has a bearing, so any frame with these will do.
bool FastPath::prepare(const Snapshot& snapshot, Flow& flow, const fastpath_key& key, TimeNs now) {
  static constexpr std::array<std::uint8_t, 46> kPayload{0x88, 0xb5};
  Frame frame;
  std::copy(std::begin(key.dst), std::end(key.dst), frame.dst.octets.begin());
  std::copy(std::begin(key.src), std::end(key.src), frame.src.octets.begin());
  if (key.tag != 0)
    frame.tag = VlanTag{static_cast<std::uint16_t>(key.tag >> 16), static_cast<std::uint16_t>(key.tag)};
  frame.payload = kPayload;
  const PortNo number = flow.hops.front().in;
  const PortConfig* in = snapshot.port(number);
  if (in == nullptr || in->device == nullptr ||
      static_cast<std::uint32_t>(in->device->kernel_device().ifindex) != key.ifindex)
    return false;
  const Eligibility eligible =
      eligibility(snapshot, number, frame, decider_.decide(snapshot, number, frame, now), now);
  if (!eligible.flow || eligible.flow->hops.size() != 1 ||
      eligible.flow->hops.front().vlan != flow.hops.front().src.vlan)
    return false;
  auto decision = decision_for(*eligible.flow, now);
  if (!decision) return false;
  const std::size_t other = 1 - flow.current;
  const fastpath_decision& before = flow.in_kernel.decision[flow.current];
  if (decision->copy_set != before.copy_set) {
    if (decision->since != 0) decision->since = FASTPATH_SINCE_SWITCH;
  } else if (before.since != FASTPATH_SINCE_SWITCH) {
    decision->since = before.since;  // the same copies as before: none of them waits
  } else {
    decision->since = shared(programs_.bridges[flow.in_kernel.bridge].since).load(std::memory_order_relaxed);
  }
  fastpath_decision& place = flow.in_kernel.decision[other];
  release(place);
  place = *decision;
  flow.current = other;
  flow.copies_wait = eligible.flow->copies.sends() && !eligible.flow->copies.tapped;
  return programs_.put(key, flow.in_kernel);
}

Eligibility FastPath::eligibility(const Snapshot& snapshot, PortNo in, const Frame& frame,
                                  const Verdict& verdict, TimeNs now) {
  const PortConfig* port = snapshot.port(in);
  if (!taps_.is_open() || port == nullptr || port->worker >= FASTPATH_WORKERS)
    return kernel_flow(snapshot, in, frame, verdict, {});
  return kernel_flow(snapshot, in, frame, verdict, [&]() REQUIRES(changes_) -> const Verdict& {
    return unfiltered_.decide_unfiltered(snapshot, in, frame, now);
  });
}

void FastPath::pause(Pause why, bool paused) {
  const MutexLock lock(changes_);
  set_pause(why, paused);
}

void FastPath::set_pause(Pause why, bool paused) {
  paused_.set(static_cast<std::size_t>(why), paused);
  off_.store(paused_.any(), std::memory_order_relaxed);
  programs_.enable(paused_.none());
}

}  // namespace vswitch::fastpath
