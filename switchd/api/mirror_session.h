// SPDX-License-Identifier: Apache-2.0
// Converts a mirror session between the JSON of the session API and its settings (switchd/model/mirror.h),
// and refuses invalid sessions.
#pragma once

#include <optional>
#include <string>

#include "switchd/api/rows.h"
#include "switchd/model/mirror.h"
#include "switchd/model/mirror_rules.h"

namespace vswitch::api {

/// The members given in checked params replace those of the session, and the others stay. In sources, ports
/// and all are one setting (which ports), vlans another; the contract says what stays of a destination.
void apply(model::MirrorSettings& session, const Json& params);

/// The members of the contract's Mirror that are settings, except `endpoints`, which are given without their
/// states.
Json settings_json(const model::MirrorSettings& session);

/// Whether the outer tag of the copies is removed if a request does not say. `says_all`: it gives sources.all.
bool strips_by_itself(const model::MirrorSettings& session, bool says_all);

/// The endpoints of a session with their states: state, reason, source, device, mtu.
Json endpoints_json(const Database& database, const model::Mirror& mirror);

/// Throws if a match of filter or skip in checked params is invalid.
void check_matches(const Json& params);

/// Throws if the session is invalid on this bridge: it is incomplete, contradicts itself, names ports of
/// another bridge, or conflicts with another session. `self` is its row if it exists already.
void check_session(const Database& database, const Row& bridge, const model::MirrorSettings& session,
                   const std::optional<ovsdb::Uuid>& self);
/// The parts of check_session(): the session by itself, and its conflict with one other session (only active
/// ones conflict). The rules are those of switchd/model/mirror_rules.h.
void check_alone(const Database& database, const Row& bridge, const model::MirrorSettings& session);
void check_beside(const model::MirrorSettings& session, const model::MirrorSettings& other);
/// Throws a problem as an error of the API.
void refuse(const std::optional<model::Problem>& problem);

}  // namespace vswitch::api
