// SPDX-License-Identifier: Apache-2.0
// Flows as the commands about datapaths print them (odp_flow_format() in Open vSwitch's lib/odp-util.c), such as
//     recirc_id(0),in_port(2),eth(src=...,dst=...),eth_type(0x0800),ipv4(dst=10.0.0.1,proto=6,frag=no),tcp(dst=80)
// with whatever a line of dpctl/dump-flows has behind them: ", packets:5, bytes:300, used:0.1s, actions:3".
#pragma once

#include <string>
#include <string_view>

namespace vswitch::unixctl {

struct DatapathFlow {
  std::string in_port;  ///< number in the datapath, or name; empty if there is none
  std::string match;    ///< the rest, in the flow syntax of OpenFlow
  std::string trouble;  ///< what cannot be read, as a sentence; empty on success
};

/// Whether the text is meant as such a flow.
bool is_datapath_flow(std::string_view text);

/// Masks are left out: the flow stands for the frame that has its values. So is what a frame does not have (recirc_id,
/// ct_state, tunnel, ...).
DatapathFlow parse_datapath_flow(std::string_view text);

}  // namespace vswitch::unixctl
