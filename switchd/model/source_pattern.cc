// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/source_pattern.h"

#include <utility>

#include "datapath/base/types.h"

namespace vswitch::model {

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

}  // namespace vswitch::model
