// SPDX-License-Identifier: Apache-2.0
// Finds the JSON-RPC messages in a byte stream that has no framing (RFC 7047 section 4, JSON-RPC over a
// stream).
//
// Messages come split at any byte and glued together, with white space between them allowed. The decoder
// looks at each byte once, counting brackets outside of strings, and gives the text between the outermost
// pair to the parser. So feeding byte by byte costs the same as feeding all at once, the nesting limit holds
// before any parser sees the text, and wrong input is found at once where it cannot become a message (a first
// byte other than { or [, a bracket that closes the wrong one).
//
// Refused, each with its sentence: text that is not JSON, nesting or size beyond the limits, bytes that are
// not UTF-8, lone surrogates, and \u0000, which C programs on both sides of OVSDB cannot hold in a string
// (Open vSwitch refuses it too). After a refusal the borders in the stream are not to be trusted: the
// connection has to go.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/json.h"

namespace vswitch::jsonrpc {

/// Why a stream cannot be read on; what() is a sentence for people.
struct DecodeError : std::runtime_error {
  enum class Kind { not_json, too_large, too_deep, nul };
  DecodeError(Kind kind_, const std::string& message) : std::runtime_error(message), kind(kind_) {}
  Kind kind;
};

struct DecodeLimits {
  /// Bytes of one message. 16 MiB is a hundred times the transaction that makes 1,000 mirror sessions, and
  /// about 0.2 s to parse.
  std::size_t message_bytes = std::size_t{16} << 20;
  /// Arrays and objects inside each other; what Open vSwitch allows.
  std::size_t nesting = 1000;
};

class StreamDecoder {
 public:
  explicit StreamDecoder(DecodeLimits limits = {}) : limits_(limits) {}

  /// Appends bytes as they came from the socket. Cheap; the work is done in next().
  void feed(std::string_view bytes);

  /// The next complete object or array, nothing when more bytes are needed. Throws DecodeError, from then on
  /// at each call.
  std::optional<Json> next();

  /// True between messages: an end of the stream here cuts nothing off.
  bool at_border() const { return open_.empty() && scanned_ == buffer_.size(); }
  /// True when next() has taken all that was fed.
  bool is_empty() const { return start_ == buffer_.size(); }

 private:
  bool find_end();
  void skip_plain_text();
  void scan_string(char byte);
  void scan_structure(char byte);
  [[noreturn]] void refuse(DecodeError::Kind kind, const std::string& message);

  enum class Inside : unsigned char { structure, string, escape, unicode };

  DecodeLimits limits_;
  std::string buffer_;
  std::size_t start_ = 0;    // first byte of the current message
  std::size_t scanned_ = 0;  // first byte not looked at yet
  std::string open_;         // closing brackets still owed, innermost last
  Inside inside_ = Inside::structure;
  int unicode_digits_ = 0;    // of the \uXXXX being read
  bool unicode_zero_ = true;  // all of them 0 so far
  std::optional<DecodeError> error_;
};

}  // namespace vswitch::jsonrpc
