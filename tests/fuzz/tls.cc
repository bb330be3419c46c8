// SPDX-License-Identifier: Apache-2.0
// Any bytes from a peer, before the handshake and after it: the filter neither crashes nor piles up memory, and
// gives no plaintext that the peer has not encrypted.
#include "wire/tls.h"

#include <stdlib.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/certificates.h"

namespace {

using namespace vswitch;
using wire::TlsFilter;

std::shared_ptr<const wire::TlsContext> keys() {
  static const auto context = [] {
    char directory[] = "/tmp/vswitch-fuzz-XXXXXX";
    if (::mkdtemp(directory) == nullptr) std::abort();
    const testing::Authority authority(directory, "ca");
    const wire::TlsFiles files = authority.certify("peer");
    auto loaded = wire::TlsContext::load(files);
    for (const std::string& file : {files.private_key, files.certificate, files.ca_cert})
      ::unlink(file.c_str());
    ::rmdir(directory);
    return loaded;
  }();
  return context;
}

std::string read_all(TlsFilter& filter) {
  std::string all;
  char buffer[4096];
  while (const std::size_t got = filter.read(buffer, sizeof buffer)) all.append(buffer, got);
  return all;
}

void carry(TlsFilter& from, TlsFilter& to) {
  const std::string bytes(from.output());
  from.sent(bytes.size());
  to.feed(bytes);
  if (!read_all(to).empty()) std::abort();
}

/// Bytes of a stranger, in pieces.
void give(TlsFilter& filter, std::string_view bytes) {
  const std::size_t before = filter.output().size();
  try {
    for (std::size_t at = 0; at < bytes.size(); at += 700) {
      filter.feed(bytes.substr(at, 700));
      if (!read_all(filter).empty()) std::abort();
    }
  } catch (const wire::TlsError&) {
  }
  if (filter.output().size() > before + bytes.size() * 3 / 2 + 16384) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  TlsFilter server(keys(), TlsFilter::Side::server);
  if (data[0] % 3 == 0) {
    give(server, bytes);
    return 0;
  }
  TlsFilter client(keys(), TlsFilter::Side::client);
  if (data[0] % 3 == 1) {
    give(client, bytes);
    return 0;
  }
  while (!server.established() || !client.established() || !client.output().empty()) {
    carry(client, server);
    carry(server, client);
  }
  give(server, bytes);
  return 0;
}
