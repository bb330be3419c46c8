// SPDX-License-Identifier: Apache-2.0
// The contract of the session API in code: both ends check their messages against control.openrpc.json.
//
// The daemon checks the params of every request and fills in the defaults from the document, so handlers see
// complete and well-typed values. The tool checks its own request before it sends it. The tests check every
// real result. No range or enumeration is written down a second time.
//
// valijson does the checking (JSON Schema draft-07), except for three things that are done here. It evaluates
// `pattern` with std::regex, whose recursion overflows the stack on strings of some 100 kB, so strings too
// long for a member with a pattern are refused before valijson sees them. `x-device-name` marks names of
// devices, whose bytes JSON Schema cannot count. And valijson's errors describe constraints, so the sentence
// for people is made from the schema of the offending member.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schemas/json.h"

namespace vswitch::openrpc {

/// The first thing wrong with a value.
struct Violation {
  std::string field;         ///< path such as sources.ports[0].direction; empty for the value as a whole
  Json value;                ///< the value there; null if it is missing
  std::string sentence;      ///< for people, names field and value
  bool unsupported = false;  ///< the member is part of the contract, but must keep its neutral value for now
};

/// A checked document and its compiled schemas, which are made on first use of each method and kept. For one
/// thread.
class Contract {
 public:
  /// An OpenRPC document. Throws std::runtime_error if a method in it cannot be used.
  explicit Contract(Json document);
  ~Contract();
  Contract(Contract&&) noexcept;
  Contract& operator=(Contract&&) noexcept;

  const Json& document() const;
  std::vector<std::string> methods() const;  ///< in the order of the document
  bool has(const std::string& method) const;

  /// Checks by-name params and fills in the defaults of members that are missing, at every level. `params` is
  /// left unchanged if something is wrong.
  std::optional<Violation> check_params(const std::string& method, Json& params) const;
  std::optional<Violation> check_result(const std::string& method, const Json& result) const;
  /// The params of a notification listed under x-notifications.
  std::optional<Violation> check_notification(const std::string& name, const Json& params) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The embedded control.openrpc.json. One instance per thread.
const Contract& control();

}  // namespace vswitch::openrpc
