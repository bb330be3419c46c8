// SPDX-License-Identifier: Apache-2.0
// Network namespaces, veth pairs and raw sockets for tests that run against the real kernel. Everything is
// anonymous or lives in an anonymous namespace, so it vanishes with the objects, also when a test fails.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datapath/base/unique_fd.h"
#include "datapath/frame/frame.h"
#include "datapath/port/port.h"
#include "datapath/port/vnet_header.h"

namespace vswitch::platform {

using Bytes = std::vector<std::uint8_t>;

/// A fresh network namespace with IPv6 off (no frames of its own) and lo up.
class Namespace {
 public:
  Namespace();
  int fd() const { return fd_.get(); }
  std::string path() const;  ///< for `ip ... netns PATH`

 private:
  UniqueFd fd_;
};

/// Moves the calling thread into a namespace, and back at the end of the scope.
class Inside {
 public:
  explicit Inside(const Namespace& space);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  UniqueFd before_;
};

/// Runs a shell command in the calling thread's namespace; fails the test when it fails. Returns its standard
/// output.
std::string run(const std::string& command);
/// The same in another namespace.
std::string run(const Namespace& space, const std::string& command);

/// Makes the pair `name` (in space) and `peer` (in peer_space), and brings both up.
void make_veth(const Namespace& space, const std::string& name, const Namespace& peer_space,
               const std::string& peer);
int ifindex_of(const Namespace& space, const std::string& name);

/// A frame as a raw socket sees it.
struct Seen {
  Bytes bytes;                 ///< without the stripped tag
  std::optional<VlanTag> tag;  ///< from PACKET_AUXDATA
  VnetHeader vnet;

  /// The frame as it was on the wire.
  Bytes on_wire() const;
};

/// A packet socket with PACKET_VNET_HDR and PACKET_AUXDATA: the other end of what is tested.
class RawSocket {
 public:
  RawSocket(const Namespace& space, const std::string& device, bool see_outgoing = false);
  /// Returns 0 or errno.
  int send(const Bytes& frame, const VnetHeader& vnet = {}) const;
  /// The next frame, or nothing within the time.
  std::optional<Seen> receive(std::chrono::milliseconds patience = std::chrono::milliseconds(500)) const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

/// dst, src, the rest: EtherType 0x88b5 (local experiments) and counting bytes, `length` in all (at least
/// 14). `seed` varies them.
Bytes test_frame(std::size_t length, std::uint8_t seed = 1);
/// Inserts a tag behind the addresses.
Bytes with_tag(const Bytes& frame, VlanTag tag);
/// Ethernet, IPv4, TCP and `payload` counting bytes, with the unfinished checksum a local sender leaves
/// behind.
Bytes tcp_frame(std::size_t payload);
/// The header to go with tcp_frame(): unfinished checksum, and segments of `gso_size` unless that is 0.
VnetHeader tcp_vnet(std::uint16_t gso_size);
/// Whether IPv4 header checksum, TCP checksum and lengths of an untagged frame are right.
bool tcp_is_valid(const Bytes& frame);
/// Payload of a tcp_frame() or one of its segments.
Bytes tcp_payload(const Bytes& frame);

/// What a port received, copied out.
struct Got {
  Bytes bytes;
  std::optional<VlanTag> tag;
  Offload offload;
  bool truncated = false;
};
/// Receives until `count` frames are there, or nothing more comes for half a second.
std::vector<Got> receive(Port& port, std::size_t count);
/// Sends one frame, split after `header` bytes, and returns the outcome.
DropReason send(Port& port, const Bytes& frame, const Offload& offload = {}, std::size_t header = 12);
/// Events that are pending on the port's file within `patience`.
short poll_port(const Port& port, std::chrono::milliseconds patience);

/// Skips the test unless it runs as root.
class PlatformTest : public ::testing::Test {
 protected:
  void SetUp() override;
};

}  // namespace vswitch::platform
