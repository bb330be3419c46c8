// SPDX-License-Identifier: Apache-2.0
// What became of the copies of a session, as a whole and at each destination.
#pragma once

#include <map>
#include <string>

#include "switchd/api/rows.h"

namespace vswitch::api {

/// Counters of a session and of its destinations at one moment; from the row if the session is not in the
/// datapath.
struct Account {
  bridge::CounterMap of_session;
  std::map<std::string, bridge::CounterMap> of_destinations;
};
Account account_of(bridge::CountersView& view, const Row& mirror);

/// The account of copies, with the causes of losses by name.
Json account_json(bridge::CounterMap counters);
/// The same with the counters that only a session has.
Json counters_json(bridge::CounterMap counters);
/// The account of each destination: ports by their name, endpoints by encapsulation and address.
Json destinations_json(const Database& database, const Account& account);

}  // namespace vswitch::api
