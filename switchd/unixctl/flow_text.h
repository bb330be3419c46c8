// SPDX-License-Identifier: Apache-2.0
// The header fields of a frame as ovs-appctl prints a flow (match_format() in Open vSwitch's lib/match.c).
#pragma once

#include <string>

#include "datapath/flow/flow_key.h"

namespace vswitch::unixctl {

/// "tcp,in_port=1,vlan_tci=0x0000,dl_src=...,nw_src=10.0.0.1,...,tp_dst=80,tcp_flags=syn". `ofport` is the
/// OpenFlow number of the port on which it arrives, or "LOCAL".
std::string flow_text(const std::string& ofport, const FlowKey& key);

}  // namespace vswitch::unixctl
