// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/switch_view.h"

#include "datapath/base/drop_reason.h"

namespace vswitch::bridge {

std::string meaning_of_drop(std::string_view key) {
  constexpr std::string_view kCopy = "copy_";
  std::string_view reason = key;
  const bool copy = reason.starts_with(kCopy);
  if (copy) reason.remove_prefix(kCopy.size());
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    const auto candidate = static_cast<DropReason>(i);
    if (name(candidate) == reason) return (copy ? "a copy: " : "") + std::string(sentence(candidate));
  }
  return std::string(key);
}

}  // namespace vswitch::bridge
