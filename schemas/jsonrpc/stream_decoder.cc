// SPDX-License-Identifier: Apache-2.0
#include "schemas/jsonrpc/stream_decoder.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace vswitch::jsonrpc {
namespace {

constexpr std::size_t kKeptCapacity = std::size_t{128}
                                      << 10;  // a large message must not keep its memory forever

bool is_space(char byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

std::string shown(char byte) {
  if (byte > ' ' && byte <= '~') return std::string("'") + byte + "'";
  char text[8];
  std::snprintf(text, sizeof text, "0x%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  return text;
}

// The library starts its messages with "[json.exception.parse_error.101] ".
std::string parser_sentence(const Json::exception& error) {
  const std::string text = error.what();
  const std::size_t end = text.find("] ");
  return end == std::string::npos ? text : text.substr(end + 2);
}

}  // namespace

void StreamDecoder::feed(std::string_view bytes) {
  if (error_) return;
  // Consumed bytes are discarded once they are most of the buffer, so each byte is moved a bounded number of
  // times.
  if (start_ > buffer_.size() / 2) discard_consumed();
  buffer_.append(bytes);
}

void StreamDecoder::discard_consumed() {
  buffer_.erase(0, start_);
  if (buffer_.empty() && buffer_.capacity() > kKeptCapacity)
    std::string().swap(buffer_);  // = {} would keep it
  scanned_ -= start_;
  start_ = 0;
}

bool StreamDecoder::find_message() {
  if (error_) throw *error_;
  return whole_ = whole_ || find_end();
}

void StreamDecoder::consume() {
  start_ = scanned_;
  whole_ = false;
  memory_ = 0;
  if (is_empty()) discard_consumed();  // now: the next byte may come much later
}

std::optional<std::string_view> StreamDecoder::peek() {
  if (!find_message()) return std::nullopt;
  return std::string_view(buffer_).substr(start_, scanned_ - start_);
}

void StreamDecoder::skip() {
  if (whole_) consume();
}

std::optional<Json> StreamDecoder::next() {
  if (!find_message()) return std::nullopt;
  const std::string_view text = std::string_view(buffer_).substr(start_, scanned_ - start_);
  try {
    Json value = Json::parse(text);
    message_memory_ = memory_ + text.size();
    consume();
    return value;
  } catch (const Json::exception& error) {  // parse_error, or out_of_range for 1e999
    refuse(DecodeError::Kind::not_json, "not valid JSON: " + parser_sentence(error));
  }
}

// Looks at new bytes until a message is complete; scanned_ is then its end.
bool StreamDecoder::find_end() {
  while (scanned_ < buffer_.size()) {
    if (inside_ == Inside::string) skip_plain_text();
    if (scanned_ == buffer_.size()) break;
    const char byte = buffer_[scanned_];
    if (open_.empty() && is_space(byte)) {
      start_ = ++scanned_;
      continue;
    }
    if (scanned_ - start_ >= limits_.message_bytes) {
      refuse(DecodeError::Kind::too_large,
             "a message may have at most " + std::to_string(limits_.message_bytes) + " bytes");
    }
    if (inside_ == Inside::structure) {
      scan_structure(byte);
    } else {
      scan_string(byte);
    }
    ++scanned_;
    if (open_.empty()) return true;
  }
  return false;
}

/// The fast path for most of a string.
void StreamDecoder::skip_plain_text() {
  const std::size_t end = std::min(buffer_.size(), start_ + limits_.message_bytes);
  while (scanned_ < end && buffer_[scanned_] != '"' && buffer_[scanned_] != '\\') ++scanned_;
}

void StreamDecoder::scan_structure(char byte) {
  if (open_.empty() && byte != '{' && byte != '[') {
    refuse(DecodeError::Kind::not_json,
           "not JSON-RPC: a message begins with '{' or '[', not with " + shown(byte));
  }
  switch (byte) {
    case '{':
    case '[':
      if (open_.size() >= limits_.nesting) {
        refuse(DecodeError::Kind::too_deep, "arrays and objects may be nested at most " +
                                                std::to_string(limits_.nesting) + " levels deep");
      }
      open_.push_back(byte == '{' ? '}' : ']');
      count_memory(JsonMemory::container + JsonMemory::value);
      break;
    case '}':
    case ']':
      if (open_.back() != byte) {
        refuse(DecodeError::Kind::not_json,
               "not valid JSON: " + shown(byte) + " where " + shown(open_.back()) + " was expected");
      }
      open_.pop_back();
      break;
    case '"':
      inside_ = Inside::string;
      count_memory(JsonMemory::string);
      break;
    case ',':
      count_memory(JsonMemory::value);
      break;
    case ':':
      count_memory(JsonMemory::member);
      break;
    default:
      break;
  }
}

/// Refuses a message before the parser takes the memory.
void StreamDecoder::count_memory(std::size_t bytes) {
  memory_ += bytes;
  if (memory_ <= limits_.memory_bytes) return;
  refuse(DecodeError::Kind::too_large, "a message may take at most " + std::to_string(limits_.memory_bytes) +
                                           " bytes of memory: it has too many values; split it");
}

void StreamDecoder::scan_string(char byte) {
  switch (inside_) {
    case Inside::escape:
      inside_ = byte == 'u' ? Inside::unicode : Inside::string;
      unicode_digits_ = 0;
      unicode_zero_ = true;
      return;
    case Inside::unicode:
      // A quote here is invalid JSON, which the parser will report; it must still end the string.
      if (byte == '"') break;
      unicode_zero_ = unicode_zero_ && byte == '0';
      if (++unicode_digits_ < 4) return;
      if (unicode_zero_) refuse(DecodeError::Kind::nul, "\\u0000 is not allowed in a string");
      inside_ = Inside::string;
      return;
    default:
      break;
  }
  if (byte == '\\') {
    inside_ = Inside::escape;
  } else if (byte == '"') {
    inside_ = Inside::structure;
  }
}

void StreamDecoder::refuse(DecodeError::Kind kind, const std::string& message) {
  std::string().swap(buffer_);
  start_ = scanned_ = memory_ = 0;
  whole_ = false;
  open_.clear();
  error_.emplace(kind, message);
  throw *error_;
}

}  // namespace vswitch::jsonrpc
