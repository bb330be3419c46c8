// SPDX-License-Identifier: Apache-2.0
#include "datapath/fastpath/fast_path.h"

#include <linux/bpf.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <string_view>
#include <utility>

#include "datapath/base/steady_clock.h"
#include "datapath/flow/flow_key.h"
#include "datapath/port/device_query.h"

namespace vswitch::fastpath {

namespace {

constexpr std::uint32_t kActiveTicks =
    2;  // a change of settings is prepared for flows with frames since then
constexpr std::size_t kMostPrepared = 4096;  // at a microsecond each

constexpr std::uint32_t kAnyLength = 1U << 20;

/// fastpath_budget::scale.
std::uint64_t scale_of(std::uint32_t percent) {
  return percent == 0 ? 0 : std::uint64_t{1024} * 100 / percent;
}

bool has_slot(PortNo port) {
  return index(port) < FASTPATH_FIRST_COPY_TAP;
}

std::string_view bytes_of(const fastpath_key& key) {
  return {reinterpret_cast<const char*>(&key), sizeof key};
}

fastpath_key key_of(int ifindex, std::uint32_t tag, const Frame& frame) {
  fastpath_key key{};
  key.ifindex = static_cast<std::uint32_t>(ifindex);
  key.tag = tag;
  std::copy(frame.dst.octets.begin(), frame.dst.octets.end(), key.dst);
  std::copy(frame.src.octets.begin(), frame.src.octets.end(), key.src);
  return key;
}

/// Nothing if the program in the kernel does not look such frames up.
std::optional<fastpath_headers> headers_of(const Frame& frame, const TappedFrames& tapped) {
  const FlowKey key(frame, BridgeTags{});
  if (key.number(key_slot::kFragment) != 0) return std::nullopt;
  fastpath_headers headers{};
  headers.copy_set = tapped.slot;
  headers.version = tapped.version;
  const auto write = [&key](KeySlot slot, auto& field) {
    const FlowKey::Value value = key.value(slot);
    static_assert(sizeof field <= sizeof value);
    std::memcpy(&field, value.data(), sizeof field);
  };
  write(key_slot::kEthDst, headers.dst);
  write(key_slot::kEthSrc, headers.src);
  write(key_slot::kEthType, headers.ether_type);
  write(key_slot::kProtocol, headers.protocol);
  write(key_slot::kTos, headers.tos);
  write(key_slot::kIpv6Src, headers.ip_src);
  write(key_slot::kIpv6Dst, headers.ip_dst);
  write(key_slot::kSrcPort, headers.src_port);
  write(key_slot::kDstPort, headers.dst_port);
  return headers;
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

FastPath::~FastPath() = default;

// ---- settings -----------------------------------------------------------------------------------------

void FastPath::publish(const Snapshot& snapshot, TimeNs now) {
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
}

/// It takes tens of milliseconds. Workers that report addresses wait for the lock, so it is not held.
void FastPath::open_taps(const Snapshot& snapshot) {
  if (!taps_.is_open() && needs_taps(snapshot)) taps_.open(programs_, workers_);
}

/// Frames may be tapped by the old settings up to the moment of the store, and those that a program has in hand a little
/// longer.
void FastPath::switch_over(BridgeUse& use) {
  constexpr TimeNs kInHand = 100'000;
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
  if (port->only_copies && device.takes_copies && !use.finishes)
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
  if (use.finishes && (port == nullptr || !port->only_copies)) {
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

/// Nothing if a port has no slot, or there is no room for the copies.
std::optional<fastpath_decision> FastPath::decision_for(const KernelFlow& flow, TimeNs now) {
  for (const KernelCopy& copy : flow.copies.copies) {
    if (!has_slot(copy.port) || index(copy.port) >= ports_.size()) return std::nullopt;
    if (copy.finished && !ports_[index(copy.port)].finishes) return std::nullopt;
  }
  const KernelSend& last = flow.sends.back();
  if (!std::all_of(flow.sends.begin(), flow.sends.end(),
                   [](const KernelSend& send) { return has_slot(send.port); }))
    return std::nullopt;
  const auto flood = flow.sends.size() == 1 ? 0 : flood_of({flow.sends.begin(), flow.sends.end() - 1});
  auto copy_set = !flood || flow.copies.empty() ? 0 : copy_set_of(flow.copies);
  if (!flood || !copy_set) {
    if (flood.value_or(0) != 0) floods_.release(*flood, tick_);
    ++refused_;
    return std::nullopt;
  }
  PortUse& in = ports_[index(flow.in->number)];
  in.was_tapped |= flow.copies.tapped.has_value();
  if (flow.copies.tapped) taps_.use(*copy_set, flow.in->bridge->generation);
  if (flow.copies.tapped && !flow.copies.sends()) *copy_set |= FASTPATH_ONLY_BY_USER;
  return fastpath_decision{.generation = flow.in->bridge->generation,
                           .since = in.was_tapped ? static_cast<std::uint64_t>(now) : 0,
                           .in = index(flow.in->number),
                           .out = index(last.port),
                           .tag = last.tag,
                           .copy_set = *copy_set,
                           .flood = *flood,
                           .unused = 0};
}

void FastPath::release(const fastpath_decision& decision) {
  const std::uint32_t set = decision.copy_set & ~FASTPATH_ONLY_BY_USER;
  if (set != 0) copy_sets_.release(set, tick_);
  if (decision.flood != 0) floods_.release(decision.flood, tick_);
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

// ---- frames -------------------------------------------------------------------------------------------

/// The settings are those in effect, and the bridge knows the addresses of the frame where the hop says.
bool FastPath::knows(const KernelHop& hop, const Frame& frame, TimeNs now) const {
  const auto bridge = bridges_.find(hop.bridge->macs.get());
  return bridge != bridges_.end() && bridge->second.generation == hop.bridge->generation &&
         hop.bridge->macs->lookup(hop.vlan, frame.src, now) == hop.in &&
         (frame.dst.is_multicast() || hop.bridge->macs->lookup(hop.vlan, frame.dst, now) == hop.out);
}

Offer FastPath::offer(const Snapshot& snapshot, PortNo in, const Frame& frame, const Verdict& verdict,
                      TimeNs now) {
  if (off_.load(std::memory_order_relaxed) || verdict.sends.empty() || !has_slot(in)) return {};
  const PortConfig& port = *snapshot.port(in);
  if (port.device == nullptr || !port.device->kernel_device().is_filtered) return {};
  const fastpath_key key =
      key_of(port.device->kernel_device().ifindex, frame.tag ? tag_word(*frame.tag) : 0, frame);
  // The control thread may hold the lock for milliseconds: another frame of the flow will be offered.
  if (!changes_.try_lock()) return {};
  const MutexLock lock(changes_, std::adopt_lock);
  const auto bridge = bridges_.find(port.bridge->macs.get());
  if (bridge == bridges_.end() || bridge->second.generation != port.bridge->generation)
    return {};  // outdated
  const auto known = flows_.find(key);
  if (known != flows_.end() &&
      known->second.in_kernel.decision[known->second.current].generation == port.bridge->generation)
    return {Offer::Answer::known, known->second.copies_wait};
  const Eligibility eligible = eligibility(snapshot, in, frame, verdict, now);
  if (!eligible.flow) return {};
  const KernelFlow& flow = *eligible.flow;
  // A change of these addresses since then has waited, or will wait, for the lock in forgotten().
  if (!std::all_of(flow.hops.begin(), flow.hops.end(),
                   [&](const KernelHop& hop) REQUIRES(changes_) { return knows(hop, frame, now); }))
    return {};
  if (known != flows_.end()) remove(known);
  const auto decision = decision_for(flow, now);
  if (!decision) return {};
  Flow added{.in_kernel = {}, .hops = {}};
  for (const KernelHop& hop : flow.hops) {
    const std::shared_ptr<MacTable>& macs = hop.bridge->macs;
    added.hops.push_back({.macs = macs,
                          .src = {macs.get(), hop.vlan, frame.src},
                          .dst = {macs.get(), hop.vlan, frame.dst},
                          .in = hop.in});
  }
  added.in_kernel.decision[0] = *decision;
  added.in_kernel.bridge = bridge->second.slot;
  added.in_kernel.id = free_ids_.empty() ? next_id_ : free_ids_.back();
  added.last_stamp = tick_;
  const bool room = added.in_kernel.id < FASTPATH_FLOWS;
  if (room) shared(programs_.stamps[added.in_kernel.id]).store(tick_, std::memory_order_relaxed);
  if (!room || !programs_.put(key, added.in_kernel)) {
    ++refused_;
    release(*decision);
    return {};
  }
  free_ids_.empty() ? static_cast<void>(++next_id_) : free_ids_.pop_back();
  const bool copies_wait = added.copies_wait = flow.copies.sends() && !flow.copies.tapped;
  const auto at = flows_.emplace(key, std::move(added)).first;
  for (const Hop& hop : at->second.hops) {
    by_address_[hop.src].insert(&at->first);
    by_address_[hop.dst].insert(&at->first);
  }
  if (at->second.hops.size() > 1) ++crossing_;
  return {Offer::Answer::taken, copies_wait};
}

std::optional<std::uint32_t> FastPath::flood_of(const std::vector<KernelSend>& sends) {
  const auto slot = floods_.take(sends);
  if (!slot || floods_.slot(*slot).users > 1) return slot;  // or it is as it was
  fastpath_flood flood{};
  for (const KernelSend& send : sends) {
    flood.send[flood.sends++] = {.port = index(send.port),
                                 .tag = send.tag,
                                 .kind = static_cast<std::uint32_t>(send.kind),
                                 .peer = send.kind == KernelSend::Kind::crosses ? index(send.peer) : 0};
  }
  programs_.floods[*slot] = flood;
  return slot;
}

std::optional<std::uint32_t> FastPath::copy_set_of(const KernelCopies& copies) {
  const auto slot = copy_sets_.take(copies);
  if (!slot || copy_sets_.slot(*slot).users > 1 || copy_sets_.slot(*slot).state.filled) return slot;
  fastpath_copy_set set{};
  std::vector<std::uint32_t> destinations, sessions;
  bool room = true;
  for (const KernelCopy& copy : copies.copies) {
    const auto account = destinations_.take(copy.account);
    if (!account) {
      room = false;
      break;
    }
    destinations.push_back(*account);
    set.copy[set.copies++] = {.destination = *account,
                              .port = index(copy.port),
                              .tag = copy.tag,
                              .kind = FASTPATH_COPY_SENT,
                              .form = copy.form,
                              .session = copy.session};
  }
  if (copies.tapped) {
    set.copy[set.copies++] = {.destination = 0,
                              .port = FASTPATH_FIRST_COPY_TAP + copies.tapped->worker,
                              .tag = FASTPATH_SET_TAG(*slot),
                              .kind = FASTPATH_COPY_TAPPED,
                              .form = 0,
                              .session = 0};
  }
  for (const auto& session : copies.sessions) {
    const auto account = room ? sessions_.take(session.account) : std::nullopt;
    if (!account) {
      room = false;
      break;
    }
    sessions.push_back(*account);
    set.session[set.sessions++] = {.account = *account,
                                   .rule = session.rule,
                                   .sample = session.sample,
                                   .counts = session.counts ? 1U : 0U,
                                   .has_budget = session.budget != 0 ? 1U : 0U};
    programs_.budgets[*account].scale = scale_of(session.budget);
  }
  for (const auto& [session, percent] :
       copies.tapped ? copies.tapped->budgets : std::vector<KernelBudget>{}) {
    const auto account = room ? sessions_.take(session) : std::nullopt;
    if (!account) {
      room = false;
      break;
    }
    sessions.push_back(*account);
    set.tap_budget[set.tap_budgets++] = *account;
    programs_.budgets[*account].scale = scale_of(percent);
  }
  if (!room) {
    for (const std::uint32_t account : destinations) destinations_.release(account, tick_);
    for (const std::uint32_t account : sessions) sessions_.release(account, tick_);
    copy_sets_.release(*slot, tick_);
    return std::nullopt;
  }
  if (copies.tapped) set.version = taps_.assign(programs_, *slot, copies);
  programs_.copy_sets[*slot] = set;
  copy_sets_.slot(*slot).state = {true, std::move(destinations), std::move(sessions),
                                  copies.tapped.has_value()};
  return slot;
}

void FastPath::remove(Flows::iterator at) {
  programs_.remove(at->first);
  for (const Hop& hop : at->second.hops) {
    unlink(hop.src, at->first);
    unlink(hop.dst, at->first);
  }
  if (at->second.hops.size() > 1) --crossing_;
  for (const fastpath_decision& decision : at->second.in_kernel.decision) release(decision);
  free_ids_.push_back(at->second.in_kernel.id);
  flows_.erase(at);
}

void FastPath::unlink(const Address& address, const fastpath_key& key) {
  const auto found = by_address_.find(address);
  if (found == by_address_.end()) return;
  found->second.erase(&key);
  if (found->second.empty()) by_address_.erase(found);
}

void FastPath::forgotten(const MacTable& table, VlanId vlan, const MacAddr& mac) {
  const MutexLock lock(changes_);
  const Address address{&table, vlan, mac};
  for (auto found = by_address_.find(address); found != by_address_.end(); found = by_address_.find(address))
    remove(flows_.find(**found->second.begin()));
}

void FastPath::copies_queued(PortNo in, TimeNs time) {
  if (has_slot(in))
    shared(programs_.ports[index(in)].copied)
        .store(static_cast<std::uint64_t>(time), std::memory_order_release);
}

void FastPath::settled(PortNo in, TimeNs time) {
  if (!has_slot(in)) return;
  fastpath_port& port = programs_.ports[index(in)];
  shared(port.settled).store(static_cast<std::uint64_t>(time), std::memory_order_release);
}

void FastPath::drain(PortNo in) {
  if (has_slot(in)) shared(programs_.ports[index(in)].draining).store(1, std::memory_order_release);
}

void FastPath::copies_sent(std::size_t worker, TimeNs time) {
  const auto until = programs_.copies_sent_until();
  if (worker < until.size())
    shared(until[worker]).store(static_cast<std::uint64_t>(time), std::memory_order_release);
}

/// Without the lock: the slot keeps its meaning while frames are tapped, and a choice is only for this version of it. Older
/// settings may come back with the same rules, so what is decided by others does not count.
bool FastPath::offer_choice(const Snapshot& snapshot, const TappedFrames& tapped, const Frame& frame,
                            const Verdict& verdict, TimeNs now) {
  if (tapped.version == 0) return false;
  const PortConfig* in = snapshot.port(tapped.copies().in);
  if (in == nullptr || in->bridge->generation != tapped.generation.load(std::memory_order_acquire))
    return false;
  const auto key = headers_of(frame, tapped);
  const auto choice = key ? choice_of(snapshot, verdict, tapped.all) : std::nullopt;
  if (!choice) return false;
  programs_.choose(*key, {.made = static_cast<std::uint64_t>(now),
                          .tapped = static_cast<std::uint64_t>(now),
                          .selected = choice->selected,
                          .counted = choice->counted});
  return true;
}

void FastPath::tap_sent(std::size_t worker, TimeNs time) {
  const auto until = programs_.tap_sent_until();
  if (worker < until.size())
    shared(until[worker]).store(static_cast<std::uint64_t>(time), std::memory_order_release);
}

}  // namespace vswitch::fastpath
