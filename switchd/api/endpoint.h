// SPDX-License-Identifier: Apache-2.0
// An endpoint of a session, between the JSON of the API and its row of Mirror_Endpoint. As JSON it has every
// member of the contract's TunnelEndpoint, null where nothing was said.
#pragma once

#include <set>

#include "switchd/api/rows.h"
#include "switchd/db/transaction.h"

namespace vswitch::api {

std::set<Json> read_endpoints(const Database& database, const Row& mirror);

/// Throws why there cannot be such an endpoint.
void check_endpoint(const Database& database, const Json& endpoint, bool may_fragment);

/// Makes `endpoints` those of the session. Rows that are as they shall be stay, with their counters and
/// sequence numbers.
void write_endpoints(ovsdb::Transaction& transaction, const Database& database, const ovsdb::Uuid& mirror,
                     const std::set<Json>& endpoints);

/// What the rows say of them besides: state, reason, source, device, mtu.
Json endpoints_json(const Database& database, const Row& mirror);

}  // namespace vswitch::api
