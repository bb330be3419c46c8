// SPDX-License-Identifier: Apache-2.0
#include "tests/support/switch_lab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "datapath/base/thread_annotations.h"
#include "datapath/snapshot/compile.h"

namespace vswitch::test {

namespace {

template <typename T>
T& find_or_add(std::vector<T>& list, const std::string& name) {
  for (T& item : list) {
    if (item.name == name) return item;
  }
  list.emplace_back();
  list.back().name = name;
  return list.back();
}

std::string list(const std::vector<MemoryFrame>& frames) {
  std::string text;
  for (const MemoryFrame& frame : frames) text += "      " + describe(frame) + "\n";
  return text.empty() ? "      nothing\n" : text;
}

std::vector<MemoryFrame> frames_of(const Sent& sent, const std::string& port) {
  const auto found = sent.find(port);
  return found == sent.end() ? std::vector<MemoryFrame>{} : found->second;
}

std::string first_differing_byte(const std::vector<MemoryFrame>& want, const std::vector<MemoryFrame>& got) {
  for (std::size_t i = 0; i < std::min(want.size(), got.size()); ++i) {
    const auto& a = want[i].bytes;
    const auto& b = got[i].bytes;
    if (a == b) continue;
    const auto at = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
    return "    frame " + std::to_string(i) + " differs from byte " + std::to_string(at) + " on\n";
  }
  return "";
}

}  // namespace

std::string difference(const Sent& expected, const Sent& actual) {
  Sent all = expected;
  all.insert(actual.begin(), actual.end());
  std::string text;
  for (const auto& [port, ignored] : all) {
    const auto want = frames_of(expected, port);
    const auto got = frames_of(actual, port);
    if (want == got) continue;
    text += "  port " + port + ":\n    expected\n" + list(want) + "    sent\n" + list(got) +
            first_differing_byte(want, got);
  }
  return text;
}

SwitchLab::SwitchLab(std::size_t workers)
    : datapath(std::make_unique<Datapath>(DatapathOptions{.workers = workers,
                                                          .mirror_threads = 1,
                                                          .copy_queue_bytes = 1 << 20,
                                                          .clock = [this] { return now; },
                                                          .threads = false})),
      registry(datapath->senders(), datapath->workers()),
      states_([this](const std::string& id, const QuotaSpec& quota, std::uint64_t life) {
        return registry.is_used_up(id, quota, life);
      }) {}

BridgeSpec& SwitchLab::bridge(const std::string& name) {
  return find_or_add(spec.bridges, name);
}

PortSpec& SwitchLab::port(const std::string& name, const std::string& bridge_name) {
  PortSpec& port = find_or_add(bridge(bridge_name).ports, name);
  if (port.device == nullptr && !devices_.contains(name)) {
    devices_[name] = std::make_shared<MemoryPort>();
    port.device = devices_[name];
  }
  return port;
}

DesiredSession& SwitchLab::session(const std::string& name, const std::string& bridge_name) {
  bridge(bridge_name);
  DesiredSession& session = find_or_add(asked_[bridge_name], name);
  session.id = bridge_name + "/" + name;
  return session;
}

void SwitchLab::apply() {
  roles::control.assert_held();
  std::vector<std::vector<DesiredSession>> asked;
  for (const BridgeSpec& bridge : spec.bridges) asked.push_back(asked_[bridge.name]);
  SwitchSpec decided = spec;
  statuses = states_.decide(asked, now_ms, decided);
  registry.update(decided);
  datapath->publish(compile(decided, registry));
  registry.finish();
}

Sent SwitchLab::run() {
  datapath->run_until_idle();
  Sent sent;
  for (auto& [name, device] : devices_) {
    auto frames = device->take_sent();
    if (!frames.empty()) sent[name] = std::move(frames);
  }
  return sent;
}

void SwitchLab::expect(const std::string& port, const MemoryFrame& frame, const Sent& expected,
                       const std::string& what) {
  inject(port, frame);
  const std::string text = difference(expected, run());
  if (!text.empty()) ADD_FAILURE() << what << "\n  into " << port << ": " << describe(frame) << "\n" << text;
}

SessionStatus SwitchLab::status(const std::string& session) const {
  for (const SessionStatus& status : statuses) {
    if (status.id == "br0/" + session) return status;
  }
  throw std::invalid_argument("no session " + session);
}

std::uint64_t SwitchLab::received_drops(const std::string& port, DropReason reason,
                                        const std::string& bridge) const {
  return registry.port_counters(bridge, port)->sum([reason](const PortCell& cell) {
    return cell.received_drops[static_cast<std::size_t>(reason)].read();
  });
}

std::uint64_t SwitchLab::sent_drops(const std::string& port, DropReason reason,
                                    const std::string& bridge) const {
  return registry.port_counters(bridge, port)->sum([reason](const PortCell& cell) {
    return cell.sent_drops[static_cast<std::size_t>(reason)].read();
  });
}

SwitchLab::Account SwitchLab::account(const std::string& session, const std::string& destination) const {
  const auto& counters = registry.session("br0/" + session)->destinations.at(destination);
  Account account{
      .matched = counters->sum([](const DestinationCell& cell) { return cell.matched.read(); }),
      .delivered = counters->sum([](const DestinationCell& cell) { return cell.delivered.read(); })};
  for (std::size_t reason = 0; reason < kDropReasonCount; ++reason) {
    account.lost += lost(session, destination, static_cast<DropReason>(reason));
  }
  return account;
}

std::uint64_t SwitchLab::lost(const std::string& session, const std::string& destination,
                              DropReason reason) const {
  return registry.session("br0/" + session)
      ->destinations.at(destination)
      ->sum([reason](const DestinationCell& cell) {
        return cell.lost[static_cast<std::size_t>(reason)].read();
      });
}

std::uint64_t SwitchLab::frames_of(const std::string& session) const {
  return registry.session("br0/" + session)->counters->sum([](const SessionCell& cell) {
    return cell.frames.read();
  });
}

}  // namespace vswitch::test
