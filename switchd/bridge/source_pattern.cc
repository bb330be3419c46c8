// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/source_pattern.h"

#include <fnmatch.h>

#include <algorithm>

#include "switchd/db/database.h"

namespace vswitch::bridge {

std::optional<SourcePattern> SourcePattern::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return std::nullopt;
  const std::string_view kind = text.substr(0, colon);
  std::string rest(text.substr(colon + 1));
  if (kind == "glob") return SourcePattern{Kind::glob, std::move(rest)};
  if (kind == "iface-id") return SourcePattern{Kind::iface_id, std::move(rest)};
  const auto mac = kind == "mac" ? MacAddr::parse(rest) : std::nullopt;
  if (!mac || mac->is_multicast()) return std::nullopt;
  return SourcePattern{Kind::mac, mac->to_string()};
}

std::vector<std::string> PatternBinder::ports(const SourcePattern& pattern) {
  std::vector<std::string> found =
      pattern.kind == SourcePattern::Kind::glob ? matching(pattern.text) : identified(pattern);
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> PatternBinder::identified(const SourcePattern& pattern) {
  if (!has_read_ids_) read_ids();
  const Index& index = pattern.kind == SourcePattern::Kind::mac ? by_mac_ : by_iface_id_;
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
