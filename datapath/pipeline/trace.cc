// SPDX-License-Identifier: Apache-2.0
#include "datapath/pipeline/trace.h"

namespace vswitch {

std::string_view sentence(Trace::Result result) {
  switch (result) {
    case Trace::Result::copied:
      return "selected";
    case Trace::Result::vlan_not_selected:
      return "the VLAN of the frame is not among those it selects";
    case Trace::Result::filtered_out:
      return "none of its filters matches the frame";
    case Trace::Result::skipped:
      return "a skip rule matches the frame";
    case Trace::Result::already_copied:
      return "it has already copied this frame";
    case Trace::Result::not_for_output_vlan:
      return "frames in its output VLAN or to link-local addresses are not copied into that VLAN";
  }
  return "";
}

std::string in_words(std::string_view text) {
  return std::string(text);
}
std::string in_words(VlanId vlan) {
  return std::to_string(vlan);
}
std::string in_words(const MacAddr& mac) {
  return mac.to_string();
}
std::string in_words(DropReason reason) {
  return std::string(sentence(reason));
}

}  // namespace vswitch
