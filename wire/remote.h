// SPDX-License-Identifier: Apache-2.0
// Connection methods as Open vSwitch writes them (ovsdb(7), "Connection Methods").
#pragma once

#include <cstdint>
#include <string>

namespace vswitch::wire {

struct Remote {
  enum class Kind : std::uint8_t {
    punix,  ///< listen on a unix socket
    ptcp,   ///< listen on a TCP port
    unix_,  ///< connect to a unix socket, with retries
    tcp,    ///< connect to a TCP port, with retries
    pssl,   ///< ptcp, with TLS
    ssl,    ///< tcp, with TLS
  };
  static constexpr std::uint16_t kDefaultPort = 6640;  ///< IANA's for OVSDB

  Kind kind = Kind::punix;
  std::string path;        ///< unix
  std::string address;     ///< TCP: numeric, IPv4 or IPv6 without brackets
  std::uint16_t port = 0;  ///< TCP; 0 lets the kernel choose

  bool passive() const { return kind == Kind::punix || kind == Kind::ptcp || kind == Kind::pssl; }
  bool with_tls() const { return kind == Kind::pssl || kind == Kind::ssl; }
  /// Listens where other hosts can connect, and asks nobody who he is.
  bool open_to_the_network() const;
};

/// punix:PATH, ptcp:[PORT][:ADDRESS], pssl:[PORT][:ADDRESS], unix:PATH, tcp:ADDRESS[:PORT], ssl:ADDRESS[:PORT]. IPv6 addresses are in brackets. A
/// listener without an address gets 127.0.0.1, while Open vSwitch would listen on all addresses. Throws
/// std::invalid_argument with a sentence.
Remote parse_remote(const std::string& text);

}  // namespace vswitch::wire
