// SPDX-License-Identifier: Apache-2.0
// The contract of the session API at work: control.openrpc.json checks what both ends say.
//
// The daemon checks the params of every request and fills in the defaults that stand in the document, so that
// handlers see complete and well-typed values. The tool checks its own request before it sends it. The tests
// check every real result. No range or enumeration is written down a second time.
//
// The checking is done by valijson (JSON Schema draft-07). Three things it leaves open are done here: it
// evaluates `pattern` with std::regex, whose recursion overflows the stack on strings of some 100 kB, so that
// strings too long for a member with a pattern are refused before it sees them; `x-device-name` marks names
// of devices, whose bytes JSON Schema cannot count; and its errors describe constraints, so that the sentence
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
  std::string field;     ///< path such as sources.ports[0].direction; empty for the value as a whole
  Json value;            ///< what stands there; null when it is missing
  std::string sentence;  ///< for people, names field and value
  bool unsupported =
      false;  ///< the member is part of the contract, but has to stay at its neutral value for now
};

/// Checked documents and compiled schemas; made on first use of each method and kept. For one thread.
class Contract {
 public:
  /// An OpenRPC document. Throws std::runtime_error when a method in it cannot be used.
  explicit Contract(Json document);
  ~Contract();
  Contract(Contract&&) noexcept;
  Contract& operator=(Contract&&) noexcept;

  const Json& document() const;
  std::vector<std::string> methods() const;  ///< in the order of the document
  bool has(const std::string& method) const;

  /// Checks by-name params and fills in the defaults of members that are missing, at every level.
  /// `params` is left as it was when something is wrong.
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
