// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/pattern_binder.h"

#include <fnmatch.h>

#include <algorithm>

#include "switchd/db/database.h"

namespace vswitch::bridge {

std::vector<std::string> PatternBinder::ports(const model::SourcePattern& pattern) {
  std::vector<std::string> found =
      pattern.kind == model::SourcePattern::Kind::glob ? matching(pattern.text) : identified(pattern);
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> PatternBinder::identified(const model::SourcePattern& pattern) {
  if (!has_read_ids_) read_ids();
  const Index& index = pattern.kind == model::SourcePattern::Kind::mac ? by_mac_ : by_iface_id_;
  std::vector<std::string> found;
  const auto [first, last] = index.equal_range(pattern.text);
  for (auto at = first; at != last; ++at) found.push_back(at->second);
  return found;
}

void PatternBinder::read_ids() {
  has_read_ids_ = true;
  for (const DesiredInterface& interface : bridge_.interfaces) {
    const ovsdb::Row* row = database_.find("Interface", interface.row);
    if (row == nullptr) continue;
    if (const std::string* id = row->value("external_ids", "iface-id"))
      by_iface_id_.emplace(*id, interface.name);
    const std::string* attached = row->value("external_ids", "attached-mac");
    std::optional<MacAddr> mac = attached != nullptr ? MacAddr::parse(*attached) : std::nullopt;
    if (!mac) mac = MacAddr::parse(row->str("mac"));
    if (!mac) mac = interface.mac;
    if (mac) by_mac_.emplace(mac->to_string(), interface.name);
  }
}

std::vector<std::string> PatternBinder::matching(const std::string& glob) const {
  std::vector<std::string> found;
  for (const DesiredInterface& interface : bridge_.interfaces) {
    if (::fnmatch(glob.c_str(), interface.name.c_str(), FNM_NOESCAPE) == 0) found.push_back(interface.name);
  }
  return found;
}

}  // namespace vswitch::bridge
