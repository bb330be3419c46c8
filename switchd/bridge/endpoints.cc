// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/endpoints.h"

#include <system_error>

namespace vswitch::bridge {

void Endpoints::reconcile(const Desired& desired) {
  for (auto& [row, entry] : by_row_) entry.used = false;
  for (const DesiredBridge& bridge : desired.bridges) {
    for (const auto& of_session : bridge.endpoints) {
      for (const DesiredEndpoint& endpoint : of_session) reconcile_one(endpoint);
    }
    for (const DesiredInterface& interface : bridge.interfaces) {
      if (interface.tunnel && interface.refusal.empty()) reconcile_one(*interface.tunnel);
    }
  }
  std::erase_if(by_row_, [](const auto& item) { return !item.second.used; });
  refresh();
}

/// An unchanged endpoint keeps its sequence numbers.
void Endpoints::reconcile_one(const DesiredEndpoint& desired) {
  if (!desired.refusal.empty()) return;
  Entry& entry = by_row_[desired.row];
  entry.used = true;
  if (entry.endpoint != nullptr && entry.settings == desired.settings) return;
  entry.settings = desired.settings;
  entry.error.clear();
  try {
    entry.endpoint = std::make_shared<tunnel::TunnelEndpoint>(desired.settings);
  } catch (const std::system_error& error) {
    entry.endpoint = nullptr;
    entry.error = error.what();
  }
}

bool Endpoints::refresh() {
  bool changed = false;
  std::map<std::pair<IpAddress, std::optional<IpAddress>>, netlink::Route>
      known;  // several may send to one address
  for (auto& [row, entry] : by_row_) {
    const auto [found, is_new] = known.try_emplace({entry.settings.remote, entry.settings.local});
    if (is_new) found->second = routes_.route_to(entry.settings.remote, entry.settings.local);
    const netlink::Route& route = found->second;
    if (entry.endpoint != nullptr) entry.endpoint->set_path(route.trouble, route.mtu);
    changed |= entry.route != route;
    entry.route = route;
  }
  return changed;
}

bool Endpoints::poll() {
  constexpr int kOncePer = 60;
  bool due = !by_row_.empty() && --calls_until_refresh_ <= 0;
  for (auto& [row, entry] : by_row_) due |= entry.endpoint != nullptr && entry.endpoint->take_outgrown();
  if (!due) return false;
  calls_until_refresh_ = kOncePer;
  return refresh();
}

const Endpoints::Entry* Endpoints::find(const ovsdb::Uuid& row) const {
  const auto found = by_row_.find(row);
  return found == by_row_.end() ? nullptr : &found->second;
}

}  // namespace vswitch::bridge
