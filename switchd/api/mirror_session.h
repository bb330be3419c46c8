// SPDX-License-Identifier: Apache-2.0
// A mirror session between the JSON of the session API and its settings (switchd/model/mirror.h), and the
// refusals of those that cannot be.
#pragma once

#include <optional>
#include <string>

#include "switchd/api/rows.h"
#include "switchd/model/mirror.h"

namespace vswitch::api {

/// The members given in checked params replace those of the session, destination as a whole. Of sources,
/// ports and all are one setting (which ports), vlans another.
void apply(model::MirrorSettings& session, const Json& params);

/// The members of the contract's Mirror that are settings, but for `endpoints` without their states.
Json settings_json(const model::MirrorSettings& session);

/// The endpoints of a session with their states: state, reason, source, device, mtu.
Json endpoints_json(const Database& database, const model::Mirror& mirror);

/// Throws which match of filter or skip in checked params is none.
void check_matches(const Json& params);

/// Throws why the session cannot be on this bridge: it is incomplete, contradicts itself, names ports of
/// another bridge, or gets in the way of another session. `self` is its row if it exists already.
void check_session(const Database& database, const Row& bridge, const model::MirrorSettings& session,
                   const std::optional<ovsdb::Uuid>& self);
/// Its parts: the session for itself, and in the way of one other (only those that live are in anybody's
/// way). The rules are those of switchd/model/mirror_rules.h.
void check_alone(const Database& database, const Row& bridge, const model::MirrorSettings& session);
void check_beside(const model::MirrorSettings& session, const model::MirrorSettings& other);

}  // namespace vswitch::api
