// SPDX-License-Identifier: Apache-2.0
// Segmentation in software of GSO packets that a local sender left to the device (TCP segmentation, TSO; UDP
// segmentation, USO).
//
// The frames are the same as those of Linux's own software segmentation (net/ipv4/tcp_offload.c
// tcp_gso_segment, udp_offload.c __udp_gso_segment, af_inet.c inet_gso_segment; compared byte for byte with
// Linux 6.18 in tests/platform/segment_test.cc):
//  - IPv4: total length; identification, incremented by one per segment even if "don't fragment" would allow
//    it to stay the same (struct virtio_net_hdr cannot say so); header checksum.
//  - IPv6: payload length. Extension headers are repeated.
//  - TCP: sequence number; FIN and PSH only on the last segment, CWR only on the first; every other flag, the
//    urgent pointer and all options are repeated.
//  - UDP: length.
//  - The transport checksum of each segment is finished; 0 becomes 0xffff in UDP (RFC 768), not in TCP.
//
// Refused instead of segmented: UDP fragmentation (VIRTIO_NET_HDR_GSO_UDP), which no kernel since 4.14 gives
// to a packet socket or a tap device; a GSO packet inside a tunnel, whose outer header does not match the
// offload; IPv6 jumbograms; and packets with inconsistent lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "datapath/frame/frame.h"

namespace vswitch {

/// The segments of a GSO packet. Only headers are copied: each segment consists of headers written for it and
/// a slice of the payload. Addresses and outer tags are not part of it: they are the same for all segments,
/// and the caller writes them in front (write_header()).
class Segmenter {
 public:
  /// Most bytes of tags, IP header with options or extension headers, and TCP header with options together.
  static constexpr std::size_t kMaxHeaders = 192;

  /// `payload` starts with an EtherType, as Frame::payload does, and must outlive the Segmenter. Offsets in
  /// `offload` count from it.
  Segmenter(std::span<const std::uint8_t> payload, const Offload& offload);

  /// False if this is not a GSO packet or cannot be segmented.
  bool valid() const { return count_ != 0; }
  std::size_t count() const { return count_; }  ///< number of segments

  /// Bytes in front of each segment's data: from the EtherType to the end of the TCP or UDP header.
  std::size_t header_length() const { return data_at_; }
  /// Bytes of the longest segment, without addresses and outer tags.
  std::size_t longest() const;
  /// The data of segment `i`, a part of the payload.
  std::span<const std::uint8_t> data(std::size_t i) const;
  /// Writes the headers of segment `i`, finished checksums included, to the first header_length() bytes of
  /// `out`, which must be that long. data(i) follows them.
  void write_headers(std::size_t i, std::span<std::uint8_t> out) const;

 private:
  enum class Transport : std::uint8_t { tcp, udp };

  bool locate(const Offload& offload);
  bool locate_network(const Offload& offload);
  bool locate_ipv4_transport();
  bool locate_ipv6_transport();
  bool locate_data(const Offload& offload);
  bool set_pseudo_sum(const Offload& offload);
  void finish_network(std::size_t i, std::span<std::uint8_t> out) const;
  void finish_tcp(std::size_t i, std::span<std::uint8_t> tcp) const;
  void finish_udp(std::size_t i, std::span<std::uint8_t> udp) const;
  std::uint16_t transport_sum(std::size_t i, std::span<const std::uint8_t> header) const;

  std::span<const std::uint8_t> payload_;
  std::size_t segment_size_ = 0;  ///< bytes of data in all segments but the last
  std::size_t count_ = 0;
  std::size_t network_at_ = 0;
  std::size_t transport_at_ = 0;
  std::size_t data_at_ = 0;
  std::uint16_t pseudo_sum_ = 0;  ///< of the pseudo-header without its length
  bool is_ipv6_ = false;
  bool has_checksum_ = true;  ///< UDP over IPv4 may have none
  Transport transport_ = Transport::tcp;
};

}  // namespace vswitch
