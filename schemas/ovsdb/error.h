// SPDX-License-Identifier: Apache-2.0
// The error object of OVSDB (RFC 7047 section 3.1 <error>), thrown inside the engine, returned at its
// boundary.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <exception>
#include <string>

namespace vswitch::ovsdb {

/// `error` is one of the short strings clients compare with ("constraint violation", "timed out", ...),
/// `details` a sentence for people, `syntax` the offending JSON text. Both may be empty.
class Error : public std::exception {
 public:
  explicit Error(std::string error_, std::string details_ = {}, std::string syntax_ = {});

  const char* what() const noexcept override { return sentence_.c_str(); }
  /// {"error": ..., "details": ..., "syntax": ...}, empty members left out
  nlohmann::json to_json() const;

  std::string error;
  std::string details;
  std::string syntax;

 private:
  std::string sentence_;
};

/// "syntax error" about the given JSON.
Error syntax_error(const nlohmann::json& where, std::string details);

}  // namespace vswitch::ovsdb
