// SPDX-License-Identifier: Apache-2.0
#include "wire/remote.h"

#include <arpa/inet.h>

#include <charconv>
#include <stdexcept>

namespace vswitch::wire {
namespace {

constexpr std::size_t kPathBytes = 107;  // sockaddr_un has 108, one for the terminating 0

std::invalid_argument bad(const std::string& text, const std::string& why) {
  return std::invalid_argument("remote \"" + text + "\": " + why);
}

std::uint16_t parse_port(const std::string& text, const std::string& digits) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    throw bad(text, "\"" + digits + "\" is not a port, 0 to 65535");
  }
  return port;
}

// "1.2.3.4", "[::1]" or "::1"; numeric only, so that no name server can delay the daemon.
std::string parse_address(const std::string& text, std::string address) {
  if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
    address = address.substr(1, address.size() - 2);
  }
  unsigned char bytes[16];
  if (inet_pton(AF_INET, address.c_str(), bytes) != 1 && inet_pton(AF_INET6, address.c_str(), bytes) != 1) {
    throw bad(text, "\"" + address + "\" is not a numeric IP address");
  }
  return address;
}

Remote parse_unix(const std::string& text, Remote::Kind kind, const std::string& path) {
  if (path.empty()) throw bad(text, "a path is missing");
  if (path.size() > kPathBytes) {
    throw bad(text, "the path of a unix socket may have at most " + std::to_string(kPathBytes) + " bytes");
  }
  return {kind, path, "", 0};
}

Remote parse_listener(const std::string& text, Remote::Kind kind, const std::string& rest) {
  const std::size_t colon = rest.find(':');
  const std::string digits = rest.substr(0, colon);
  const std::string address = colon == std::string::npos ? "127.0.0.1" : rest.substr(colon + 1);
  return {kind, "", parse_address(text, address),
          digits.empty() ? Remote::kDefaultPort : parse_port(text, digits)};
}

Remote parse_peer(const std::string& text, Remote::Kind kind, const std::string& rest) {
  const std::size_t end_of_host = rest.starts_with('[') ? rest.find(']') : 0;
  const std::size_t colon = end_of_host == std::string::npos ? end_of_host : rest.find(':', end_of_host);
  const std::string address = parse_address(text, rest.substr(0, colon));
  const std::uint16_t port =
      colon == std::string::npos ? Remote::kDefaultPort : parse_port(text, rest.substr(colon + 1));
  if (port == 0) throw bad(text, "cannot connect to port 0");
  return {kind, "", address, port};
}

}  // namespace

bool Remote::open_to_the_network() const {
  return kind == Kind::ptcp && address != "::1" && !address.starts_with("127.");
}

Remote parse_remote(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (colon != std::string::npos) {
    if (kind == "punix") return parse_unix(text, Remote::Kind::punix, rest);
    if (kind == "unix") return parse_unix(text, Remote::Kind::unix_, rest);
    if (kind == "ptcp") return parse_listener(text, Remote::Kind::ptcp, rest);
    if (kind == "pssl") return parse_listener(text, Remote::Kind::pssl, rest);
    if (kind == "tcp") return parse_peer(text, Remote::Kind::tcp, rest);
    if (kind == "ssl") return parse_peer(text, Remote::Kind::ssl, rest);
  }
  throw bad(text,
            "expected punix:PATH, ptcp:PORT[:ADDRESS], pssl:PORT[:ADDRESS], unix:PATH, tcp:ADDRESS:PORT or "
            "ssl:ADDRESS:PORT");
}

}  // namespace vswitch::wire
