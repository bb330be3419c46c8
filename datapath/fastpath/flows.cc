// SPDX-License-Identifier: Apache-2.0
// The part of FastPath that is about flows: what workers offer, what becomes of it in the maps, and what ends it.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "datapath/fastpath/fast_path.h"
#include "datapath/flow/flow_key.h"

namespace vswitch::fastpath {

namespace {

/// fastpath_budget::scale.
std::uint64_t scale_of(std::uint32_t percent) {
  return percent == 0 ? 0 : std::uint64_t{1024} * 100 / percent;
}

bool has_slot(PortNo port) {
  return index(port) < FASTPATH_FIRST_COPY_TAP;
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
  if (flow.copies.tapped) {
    const BridgeConfig& bridge = *flow.in->bridge;
    taps_.use(*copy_set, bridge.generation, bridges_.at(bridge.macs.get()).generation);
  }
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

/// From now on the kernel takes from the session's buckets too.
std::optional<std::uint32_t> FastPath::limit_of(const std::shared_ptr<RateLimit>& rate) {
  static_assert(sizeof(RateLimit::Buckets) == offsetof(fastpath_limit, packet_time) &&
                offsetof(RateLimit::Buckets, bits) == offsetof(fastpath_limit, bits_full_at));
  const auto slot = limits_.take(rate);
  if (!slot || limits_.slot(*slot).state == rate) return slot;
  fastpath_limit& limit = programs_.limits[*slot];
  limit = {};
  if (const TokenBucket* packets = rate->packets()) {
    limit.packet_time = static_cast<std::uint64_t>(packets->time_of(1));
    limit.packet_burst = static_cast<std::uint64_t>(packets->burst());
  }
  if (const TokenBucket* bits = rate->bits()) {
    limit.byte_time = static_cast<std::uint64_t>(bits->time_of(std::uint64_t{8} * 1024));
    limit.byte_burst = static_cast<std::uint64_t>(bits->burst());
  }
  rate->move_to(reinterpret_cast<RateLimit::Buckets*>(&limit));
  limits_.slot(*slot).state = rate;
  return slot;
}

std::optional<std::uint32_t> FastPath::copy_set_of(const KernelCopies& copies) {
  const auto slot = copy_sets_.take(copies);
  if (!slot || copy_sets_.slot(*slot).users > 1 || copy_sets_.slot(*slot).state.filled) return slot;
  fastpath_copy_set set{};
  std::vector<std::uint32_t> destinations, sessions, limits;
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
                              .kind = copy.finished ? FASTPATH_COPY_SEGMENTED : FASTPATH_COPY_SENT,
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
    const auto limit = session.rate == nullptr ? 0 : limit_of(session.rate);
    if (!limit) {
      room = false;
      break;
    }
    if (*limit != 0) limits.push_back(*limit);
    set.session[set.sessions++] = {.account = *account,
                                   .rule = session.rule,
                                   .sample = session.sample,
                                   .counts = session.counts ? 1U : 0U,
                                   .has_budget = session.budget != 0 ? 1U : 0U,
                                   .limit = *limit};
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
    for (const std::uint32_t limit : limits) limits_.release(limit, tick_);
    copy_sets_.release(*slot, tick_);
    return std::nullopt;
  }
  if (copies.tapped) set.version = taps_.assign(programs_, *slot, copies);
  programs_.copy_sets[*slot] = set;
  copy_sets_.slot(*slot).state = {true, std::move(destinations), std::move(sessions), std::move(limits),
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
