// SPDX-License-Identifier: Apache-2.0
// Events (the notifications of control.openrpc.json) as a person reads them: in the log of the daemon and in
// `vswitch-ctl events`.
#pragma once

#include <string>
#include <string_view>

#include "schemas/json.h"

namespace vswitch {

/// What the event is about: "br0/span0", "br0", "Manager ptcp:6640".
std::string event_subject(std::string_view topic, const Json& data);

/// "br0/span0: changed by root (pid 4711, vswitch-ctl): snaplen none -> 96"
std::string event_text(std::string_view topic, const Json& data);

}  // namespace vswitch
