// SPDX-License-Identifier: Apache-2.0
// Finds the JSON-RPC messages in a byte stream that has no framing (RFC 7047 section 4, JSON-RPC over a
// stream).
//
// Messages arrive split at any byte or joined together, with white space allowed between them. The decoder
// looks at each byte once, counting brackets outside of strings, and passes the text between the outermost
// pair to the parser. So feeding byte by byte costs the same as feeding all at once, the nesting limit
// applies before any parser sees the text, and input that cannot become a message is refused at once (a first
// byte other than { or [, a bracket that closes the wrong one).
//
// Refused, each with its own sentence: text that is not JSON, nesting or size beyond the limits, bytes that
// are not UTF-8, lone surrogates, and \u0000, which C programs on both sides of OVSDB cannot hold in a string
// (Open vSwitch refuses it too). After a refusal the message boundaries cannot be trusted: the connection
// must be closed.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/json.h"
#include "schemas/nesting.h"

namespace vswitch::jsonrpc {

/// Why a stream cannot be read any further; what() is a sentence for people.
struct DecodeError : std::runtime_error {
  enum class Kind { not_json, too_large, too_deep, nul };
  DecodeError(Kind kind_, const std::string& message) : std::runtime_error(message), kind(kind_) {}
  Kind kind;
};

struct DecodeLimits {
  /// Bytes of one message. 16 MiB is a hundred times the transaction that makes 1,000 mirror sessions, and
  /// takes about 0.2 s to parse.
  std::size_t message_bytes = std::size_t{16} << 20;
  std::size_t nesting = kMaxNesting;
  /// Memory of one message once it is parsed, estimated while it arrives: short values take up to 30 times
  /// the memory of their text.
  std::size_t memory_bytes = std::size_t{256} << 20;
};

class StreamDecoder {
 public:
  explicit StreamDecoder(DecodeLimits limits = {}) : limits_(limits) {}

  /// Appends bytes from the socket. Cheap; next() does the work.
  void feed(std::string_view bytes);

  /// The next complete object or array, nullopt if more bytes are needed. Throws DecodeError, and then again
  /// at each later call.
  std::optional<Json> next();

  /// The text of the next complete message, which stays; nullopt if more bytes are needed. Valid until the next
  /// call of feed(), next() or skip(). Throws as next() does.
  std::optional<std::string_view> peek();
  /// Takes the message that peek() has shown, without parsing it.
  void skip();
  /// About what that message would take in memory, without the characters of its strings.
  std::size_t peeked_memory() const { return memory_; }

  /// Changes the limit of memory_bytes for what has not been looked at yet.
  void limit_memory(std::size_t bytes) { limits_.memory_bytes = bytes; }

  /// True between messages: if the stream ends here, no message is truncated.
  bool at_border() const { return open_.empty() && scanned_ == buffer_.size(); }
  /// True if next() has consumed all bytes fed.
  bool is_empty() const { return start_ == buffer_.size(); }

  /// About what the message that next() returned last takes in memory.
  std::size_t message_memory() const { return message_memory_; }
  /// Bytes held for what has arrived and was not returned yet.
  std::size_t buffered() const { return buffer_.capacity(); }
  /// Bytes that have arrived and were not returned yet.
  std::size_t unread() const { return buffer_.size() - start_; }

 private:
  void discard_consumed();
  bool find_message();
  bool find_end();
  void consume();
  void skip_plain_text();
  void scan_string(char byte);
  void scan_structure(char byte);
  void count_memory(std::size_t bytes);
  [[noreturn]] void refuse(DecodeError::Kind kind, const std::string& message);

  enum class Inside : unsigned char { structure, string, escape, unicode };

  DecodeLimits limits_;
  std::string buffer_;
  std::size_t start_ = 0;    // first byte of the current message
  std::size_t scanned_ = 0;  // first byte not looked at yet
  bool whole_ = false;       // start_ to scanned_ is a message
  std::size_t memory_ = 0;   // of the current message as a tree, without the characters of its strings
  std::size_t message_memory_ = 0;
  std::string open_;  // closing brackets still expected, innermost last
  Inside inside_ = Inside::structure;
  int unicode_digits_ = 0;    // of the \uXXXX being read
  bool unicode_zero_ = true;  // all of them 0 so far
  std::optional<DecodeError> error_;
};

}  // namespace vswitch::jsonrpc
