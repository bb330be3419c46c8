// SPDX-License-Identifier: Apache-2.0
// Any bytes from a client, cut anywhere: the decoder neither crashes nor depends on where they were cut.
#include <cstdlib>
#include <string>
#include <string_view>

#include "schemas/json.h"
#include "schemas/jsonrpc/message.h"
#include "schemas/jsonrpc/stream_decoder.h"

namespace {

using namespace vswitch;

/// The messages as text, and the refusal, when fed in pieces of `step` bytes.
std::string decode(std::string_view bytes, std::size_t step) {
  jsonrpc::StreamDecoder decoder({.message_bytes = 4096, .nesting = 50});
  std::string out;
  try {
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      decoder.feed(bytes.substr(at, step));
      while (auto message = decoder.next()) {
        out += message->dump() + "\n";
        jsonrpc::parse_message(std::move(*message));
      }
    }
  } catch (const jsonrpc::DecodeError& error) {
    out += error.what();
  } catch (const std::exception& error) {
    out += std::string("bad request: ") + error.what();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (decode(bytes, 1) != decode(bytes, size + 1)) std::abort();
  return 0;
}
