// SPDX-License-Identifier: Apache-2.0
#include "datapath/frame/segment.h"

#include <algorithm>

#include "datapath/frame/checksum.h"

namespace vswitch {

namespace {

// A sender that requests tiny segments would turn one frame into thousands. These are Linux's own limits:
// TCP_MIN_GSO_SIZE and UDP_MAX_SEGMENTS.
constexpr std::size_t kMinTcpSegment = 8;
constexpr std::size_t kMaxUdpSegments = 128;

/// Ones' complement addition (RFC 1071).
std::uint16_t add(std::uint16_t a, std::uint16_t b) {
  const std::uint32_t sum = std::uint32_t{a} + b;
  return static_cast<std::uint16_t>(sum + (sum >> 16));
}
std::uint16_t subtract(std::uint16_t a, std::uint16_t b) {
  return add(a, static_cast<std::uint16_t>(~b));
}

}  // namespace

Segmenter::Segmenter(std::span<const std::uint8_t> payload, const Offload& offload)
    : payload_(payload), segment_size_(offload.gso_size) {
  if (!locate(offload)) return;
  const std::size_t length = payload_.size() - data_at_;
  const std::size_t count = std::max<std::size_t>(1, (length + segment_size_ - 1) / segment_size_);
  if (transport_ == Transport::udp && count > kMaxUdpSegments) return;
  count_ = count;
}

bool Segmenter::locate(const Offload& offload) {
  return locate_network(offload) && (is_ipv6_ ? locate_ipv6_transport() : locate_ipv4_transport()) &&
         locate_data(offload) && set_pseudo_sum(offload);
}

/// Determines the transport protocol, and where the IP header starts behind the inner tags.
bool Segmenter::locate_network(const Offload& offload) {
  const auto type = static_cast<std::uint8_t>(offload.gso_type & ~kGsoEcn);
  if (type != kGsoTcp4 && type != kGsoTcp6 && type != kGsoUdpL4) return false;
  transport_ = type == kGsoUdpL4 ? Transport::udp : Transport::tcp;
  if (segment_size_ < (transport_ == Transport::tcp ? kMinTcpSegment : 1)) return false;

  const std::size_t at = skip_vlan_tags(payload_, 0);
  if (payload_.size() < at + kEtherTypeLength) return false;
  const std::uint16_t ether_type = u16_at(payload_, at);
  is_ipv6_ = ether_type == kEtherTypeIpv6;
  network_at_ = at + kEtherTypeLength;
  if (type == kGsoTcp4) return ether_type == kEtherTypeIpv4;
  if (type == kGsoTcp6) return ether_type == kEtherTypeIpv6;
  return ether_type == kEtherTypeIpv4 || ether_type == kEtherTypeIpv6;
}

/// RFC 791. The frame must end where the header says: a frame this long has no padding.
bool Segmenter::locate_ipv4_transport() {
  const auto packet = payload_.subspan(network_at_);
  const auto ip = Ipv4View::of(packet);
  if (!ip || ip->version() != 4) return false;
  const std::size_t header = ip->header_length();
  if (header < Ipv4View::kLength || ip->total_length() != packet.size() || header > packet.size() ||
      ip->is_fragment())
    return false;
  transport_at_ = network_at_ + header;
  return ip->protocol() == (transport_ == Transport::tcp ? kIpProtoTcp : kIpProtoUdp);
}

/// RFC 8200. Skips the extension headers, which every segment repeats.
bool Segmenter::locate_ipv6_transport() {
  const auto packet = payload_.subspan(network_at_);
  const auto ip = Ipv6View::of(packet);
  if (!ip || ip->version() != 6 || ip->payload_length() != packet.size() - Ipv6View::kLength) return false;
  std::uint8_t next = ip->next_header();
  HeaderCursor cursor(packet.subspan(Ipv6View::kLength));
  while (is_ipv6_option_header(next)) {
    if (!cursor.has(2)) return false;
    next = cursor.rest()[0];
    if (!cursor.skip(ipv6_option_header_length(cursor.rest()))) return false;
  }
  transport_at_ = payload_.size() - cursor.rest().size();
  return next == (transport_ == Transport::tcp ? kIpProtoTcp : kIpProtoUdp);
}

/// RFC 9293 and RFC 768.
bool Segmenter::locate_data(const Offload& offload) {
  const auto transport = payload_.subspan(transport_at_);
  std::size_t header = kUdpHeader;
  if (transport_ == Transport::tcp) {
    if (transport.size() < kTcpHeader) return false;
    header = tcp_header_length(transport);
    if (header < kTcpHeader) return false;
  } else if (transport.size() < kUdpHeader || u16_at(transport, kUdpLengthAt) != transport.size()) {
    return false;
  }
  if (header > transport.size()) return false;
  data_at_ = transport_at_ + header;
  if (data_at_ > kMaxHeaders) return false;
  const std::size_t checksum = transport_ == Transport::tcp ? kTcpChecksumAt : kUdpChecksumAt;
  return !offload.needs_checksum ||
         (offload.checksum_start == transport_at_ && offload.checksum_offset == checksum);
}

/// An unfinished checksum field holds the pseudo-header's sum, which is used as it is: with a routing header,
/// the sender's pseudo-header does not have the addresses of the packet. A finished checksum (of the whole
/// GSO packet) is useless for its segments.
bool Segmenter::set_pseudo_sum(const Offload& offload) {
  const auto transport = payload_.subspan(transport_at_);
  const std::size_t field = transport_ == Transport::tcp ? kTcpChecksumAt : kUdpChecksumAt;
  if (offload.needs_checksum) {
    if (transport.size() > 0xffff) return false;
    pseudo_sum_ = subtract(u16_at(transport, field), static_cast<std::uint16_t>(transport.size()));
    return true;
  }
  has_checksum_ = transport_ == Transport::tcp || is_ipv6_ || u16_at(transport, field) != 0;
  const auto addresses =
      is_ipv6_ ? payload_.subspan(network_at_ + 8, 32) : payload_.subspan(network_at_ + 12, 8);
  pseudo_sum_ = add(internet_sum(addresses), transport_ == Transport::tcp ? kIpProtoTcp : kIpProtoUdp);
  return true;
}

std::size_t Segmenter::longest() const {
  return data_at_ + data(0).size();
}

std::span<const std::uint8_t> Segmenter::data(std::size_t i) const {
  const auto rest = payload_.subspan(data_at_ + i * segment_size_);
  return rest.first(std::min(rest.size(), segment_size_));
}

void Segmenter::write_headers(std::size_t i, std::span<std::uint8_t> out) const {
  std::copy_n(payload_.begin(), data_at_, out.begin());
  finish_network(i, out.subspan(network_at_, transport_at_ - network_at_));
  const auto transport = out.subspan(transport_at_, data_at_ - transport_at_);
  transport_ == Transport::tcp ? finish_tcp(i, transport) : finish_udp(i, transport);
}

void Segmenter::finish_network(std::size_t i, std::span<std::uint8_t> out) const {
  const std::size_t length = data_at_ - network_at_ + data(i).size();
  if (is_ipv6_) {
    put_u16(out, 4, length - Ipv6View::kLength);
    return;
  }
  put_u16(out, 2, length);
  put_u16(out, 4, u16_at(out, 4) + i);
  put_u16(out, 10, 0);
  put_u16(out, 10, static_cast<std::uint16_t>(~internet_sum(out)));
}

void Segmenter::finish_tcp(std::size_t i, std::span<std::uint8_t> tcp) const {
  put_u32(tcp, 4, u32_at(tcp, 4) + i * segment_size_);
  std::uint8_t cleared = i == 0 ? 0 : kTcpCwr;
  if (i + 1 != count_) cleared |= kTcpFin | kTcpPsh;
  tcp[kTcpFlagsAt] = static_cast<std::uint8_t>(tcp[kTcpFlagsAt] & ~cleared);
  put_u16(tcp, kTcpChecksumAt, 0);
  put_u16(tcp, kTcpChecksumAt, static_cast<std::uint16_t>(~transport_sum(i, tcp)));
}

void Segmenter::finish_udp(std::size_t i, std::span<std::uint8_t> udp) const {
  put_u16(udp, kUdpLengthAt, udp.size() + data(i).size());
  put_u16(udp, kUdpChecksumAt, 0);
  if (!has_checksum_) return;
  const auto checksum = static_cast<std::uint16_t>(~transport_sum(i, udp));
  put_u16(udp, kUdpChecksumAt, checksum == 0 ? 0xffff : checksum);
}

/// Sum of pseudo-header, header and data. Headers are a whole number of 16-bit words, so the sums can be
/// added.
std::uint16_t Segmenter::transport_sum(std::size_t i, std::span<const std::uint8_t> header) const {
  const auto length = static_cast<std::uint16_t>(header.size() + data(i).size());
  return add(add(pseudo_sum_, length), add(internet_sum(header), internet_sum(data(i))));
}

}  // namespace vswitch
