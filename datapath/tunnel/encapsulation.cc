// SPDX-License-Identifier: Apache-2.0
#include "datapath/tunnel/encapsulation.h"

#include <algorithm>
#include <array>

#include "datapath/frame/checksum.h"
#include "datapath/frame/headers.h"

namespace vswitch::tunnel {

namespace {

constexpr std::array<std::pair<Encap, std::string_view>, 6> kNames = {{{Encap::gre, "gre"},
                                                                       {Encap::erspan1, "erspan1"},
                                                                       {Encap::erspan2, "erspan2"},
                                                                       {Encap::erspan3, "erspan3"},
                                                                       {Encap::vxlan, "vxlan"},
                                                                       {Encap::geneve, "geneve"}}};

// GRE: flags (RFC 2784, 2890).
constexpr std::uint16_t kGreChecksum = 0x8000;
constexpr std::uint16_t kGreKey = 0x2000;
constexpr std::uint16_t kGreSequence = 0x1000;
constexpr std::uint16_t kGreReserved = 0x4fff;  // routing, and bits that must be zero, version included

constexpr std::size_t kVxlanHeader = 8;
constexpr std::uint8_t kVxlanHasVni = 0x08;

// Geneve: version and length of the options in words of 4 octets; flags (RFC 8926, section 3.4).
constexpr std::size_t kGeneveHeader = 8;
constexpr std::uint8_t kGeneveVersion = 0xc0;
constexpr std::uint8_t kGeneveOptions = 0x3f;
constexpr std::uint8_t kGeneveControl = 0x80;
constexpr std::uint8_t kGeneveCritical = 0x40;

// ERSPAN type II, field En, and type III, field BSO.
constexpr std::uint32_t kEnUntagged = 0;
constexpr std::uint32_t kEnTagRemoved = 2;
constexpr std::uint32_t kEnTagKept = 3;
constexpr std::uint32_t kBsoGood = 0;
constexpr std::uint32_t kBsoShort = 1;
constexpr std::uint32_t kBsoOversized = 2;
constexpr std::size_t kShortest = 60;  // without FCS, as everything here
constexpr std::size_t kMaxFrameLength = 1514;

constexpr std::uint32_t kPayloadIsEthernet = 1U << 15;  // P; FT is 0, Ethernet
constexpr std::uint32_t kPlatformWholeTime = 3;         // port index and the upper half of the time
constexpr std::uint32_t kPlatformSeconds = 5;           // switch, port index and seconds

bool has_subheader(const Encapsulation& how) {
  return how.subheader || how.timestamp == Timestamp::ieee1588;
}

std::uint16_t gre_flags(const Encapsulation& how) {
  if (how.encap == Encap::erspan1) return 0;
  if (how.encap != Encap::gre) return kGreSequence;
  return static_cast<std::uint16_t>((how.checksum ? kGreChecksum : 0) | (how.key ? kGreKey : 0) |
                                    (how.sequence ? kGreSequence : 0));
}

std::uint16_t gre_protocol(Encap encap) {
  if (encap == Encap::gre) return kEtherTypeEthernet;
  return encap == Encap::erspan3 ? kEtherTypeErspan3 : kEtherTypeErspan2;
}

std::size_t gre_length(std::uint16_t flags) {
  return 4 + ((flags & kGreChecksum) != 0 ? 4 : 0) + ((flags & kGreKey) != 0 ? 4 : 0) +
         ((flags & kGreSequence) != 0 ? 4 : 0);
}

void write_gre(const Encapsulation& how, const CopyFacts& facts, HeaderWriter& writer) {
  const std::uint16_t flags = gre_flags(how);
  writer.u16(flags);
  writer.u16(gre_protocol(how.encap));
  if ((flags & kGreChecksum) != 0) writer.u32(0);
  if ((flags & kGreKey) != 0) writer.u32(*how.key);
  if ((flags & kGreSequence) != 0) writer.u32(facts.sequence);
}

/// Ver, VLAN, COS, En or BSO, T, Session ID: the first word of types II and III.
std::uint32_t erspan_word(const Encapsulation& how, const CopyFacts& facts, std::uint32_t version,
                          std::uint32_t en_or_bso) {
  const VlanTag tag = facts.tag.value_or(VlanTag{});
  const std::uint32_t cos = how.cos.value_or(tag.pcp());
  return version << 28 | std::uint32_t{tag.vid()} << 16 | cos << 13 | en_or_bso << 11 |
         (facts.truncated ? 1U << 10 : 0) | (how.session_id & kMaxSessionId);
}

void write_erspan2(const Encapsulation& how, const CopyFacts& facts, HeaderWriter& writer) {
  const std::uint32_t en = !facts.tag ? kEnUntagged : facts.tag_removed ? kEnTagRemoved : kEnTagKept;
  writer.u32(erspan_word(how, facts, 1, en));
  writer.u32(how.index & 0xfffff);
}

void write_erspan3(const Encapsulation& how, const CopyFacts& facts, HeaderWriter& writer) {
  const std::size_t longest = kMaxFrameLength + (facts.tag ? kTagLength : 0);
  const std::uint32_t bso = facts.length < kShortest ? kBsoShort
                            : facts.length > longest ? kBsoOversized
                                                     : kBsoGood;
  const auto ns = static_cast<std::uint64_t>(facts.unix_time_ns);
  const std::uint64_t time = how.timestamp == Timestamp::us100   ? ns / 100'000
                             : how.timestamp == Timestamp::ns100 ? ns / 100
                                                                 : ns % 1'000'000'000;
  const std::uint32_t granularity = static_cast<std::uint32_t>(how.timestamp);
  writer.u32(erspan_word(how, facts, 2, bso));
  writer.u32(static_cast<std::uint32_t>(time));
  writer.u32(kPayloadIsEthernet | (how.hwid & 0x3fU) << 4 |
             (how.delivered.value_or(facts.delivered) ? 1U << 3 : 0) | granularity << 1 |
             (has_subheader(how) ? 1U : 0));
  if (!has_subheader(how)) return;
  if (how.timestamp == Timestamp::ieee1588) {
    writer.u32(kPlatformSeconds << 26 | (how.index & 0xffff));
    writer.u32(static_cast<std::uint32_t>(ns / 1'000'000'000));
  } else {
    writer.u32(kPlatformWholeTime << 26 | (how.index & 0x3fff));
    writer.u32(static_cast<std::uint32_t>(time >> 32));
  }
}

using Parts = std::span<const std::span<const std::uint8_t>>;

/// A source port that is constant for a flow, so that load balancing by ports keeps its frames in order: a
/// hash of the Ethernet header, the addresses and the ports. In the range that RFC 7348 and RFC 8926 recommend, 49152 to
/// 65535.
std::uint16_t flow_port(Parts frame) {
  std::array<std::uint8_t, 80> head{};  // two tags, IPv6 and ports
  std::size_t length = 0;
  for (const auto part : frame) {
    const std::size_t taken = std::min(part.size(), head.size() - length);
    std::copy_n(part.begin(), taken, head.begin() + static_cast<std::ptrdiff_t>(length));
    length += taken;
  }
  std::uint32_t hash = 2166136261U;  // FNV-1a
  const auto add = [&](std::size_t from, std::size_t count) {
    for (std::size_t at = from; at < std::min(from + count, length); ++at)
      hash = (hash ^ head[at]) * 16777619U;
  };
  const std::size_t type_at = skip_vlan_tags(std::span(head).first(length), kAddressesLength, 2);
  const std::size_t ip = type_at + kEtherTypeLength;
  add(0, ip);
  const std::uint16_t type = u16_at(head, type_at);
  if (type == kEtherTypeIpv4) {
    const Ipv4View header = *Ipv4View::of(std::span(head).subspan(ip));  // padded with zeros
    add(ip + 9, 1);
    add(ip + 12, 8);
    if (!header.is_fragment()) add(ip + header.header_length(), 4);
  } else if (type == kEtherTypeIpv6) {
    add(ip + 6, 1);
    add(ip + 8, 32 + 4);
  }
  return static_cast<std::uint16_t>(0xc000 | (hash ^ hash >> 16) % 0x4000);
}

std::uint16_t checksum_of(std::span<const std::uint8_t> header, Parts frame) {
  std::uint32_t sum = internet_sum(header);
  bool odd = false;
  for (const auto part : frame) {
    const std::uint16_t of_part = internet_sum(part);
    sum += odd ? static_cast<std::uint16_t>(of_part << 8 | of_part >> 8) : of_part;
    odd ^= part.size() % 2 != 0;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::optional<std::span<const std::uint8_t>> enough(std::span<const std::uint8_t> frame) {
  return frame.size() < kMinFrameLength ? std::nullopt : std::optional(frame);
}

std::optional<std::span<const std::uint8_t>> behind_vxlan(const Encapsulation& how,
                                                          std::span<const std::uint8_t> packet) {
  if (packet.size() < kUdpHeader + kVxlanHeader || u16_at(packet, 2) != how.dst_port) return std::nullopt;
  const auto vxlan = packet.subspan(kUdpHeader);
  if ((vxlan[0] & kVxlanHasVni) == 0 || u32_at(vxlan, 4) >> 8 != how.key.value_or(0)) return std::nullopt;
  return enough(vxlan.subspan(kVxlanHeader));
}

std::optional<std::span<const std::uint8_t>> behind_geneve(const Encapsulation& how,
                                                           std::span<const std::uint8_t> packet) {
  if (packet.size() < kUdpHeader + kGeneveHeader || u16_at(packet, 2) != how.dst_port) return std::nullopt;
  const auto geneve = packet.subspan(kUdpHeader);
  const std::size_t length = kGeneveHeader + std::size_t{4} * (geneve[0] & kGeneveOptions);
  if ((geneve[0] & kGeneveVersion) != 0 || (geneve[1] & (kGeneveControl | kGeneveCritical)) != 0 ||
      u16_at(geneve, 2) != kEtherTypeEthernet || u32_at(geneve, 4) >> 8 != how.key.value_or(0) ||
      geneve.size() < length)
    return std::nullopt;
  return enough(geneve.subspan(length));
}

std::optional<std::span<const std::uint8_t>> behind_erspan(const Encapsulation& how, std::uint16_t protocol,
                                                           bool has_sequence,
                                                           std::span<const std::uint8_t> packet) {
  if (protocol == kEtherTypeErspan2 && !has_sequence) return enough(packet);  // type I has no session
  const std::size_t length = protocol == kEtherTypeErspan2 ? 8 : 12;
  if (packet.size() < length) return std::nullopt;
  const std::uint32_t version = packet[0] >> 4;
  const std::uint32_t expected = protocol == kEtherTypeErspan2 ? 1 : 2;
  if (version != expected || (u16_at(packet, 2) & kMaxSessionId) != how.session_id) return std::nullopt;
  const bool subheader = protocol == kEtherTypeErspan3 && (packet[11] & 1) != 0;
  const std::size_t whole = length + (subheader ? 8 : 0);
  return packet.size() < whole ? std::nullopt : enough(packet.subspan(whole));
}

}  // namespace

std::string_view name(Encap encap) {
  return kNames[static_cast<std::size_t>(encap)].second;
}

std::optional<Encap> encap_named(std::string_view name) {
  const auto found =
      std::find_if(kNames.begin(), kNames.end(), [name](const auto& one) { return one.second == name; });
  return found == kNames.end() ? std::nullopt : std::optional(found->first);
}

std::size_t encapsulation_length(const Encapsulation& how) {
  switch (how.encap) {
    case Encap::vxlan:
      return kUdpHeader + kVxlanHeader;
    case Encap::geneve:
      return kUdpHeader + kGeneveHeader;
    case Encap::gre:
    case Encap::erspan1:
      return gre_length(gre_flags(how));
    case Encap::erspan2:
      return gre_length(gre_flags(how)) + 8;
    case Encap::erspan3:
      return gre_length(gre_flags(how)) + (has_subheader(how) ? 20 : 12);
  }
  return 0;
}

void write_encapsulation(const Encapsulation& how, const CopyFacts& facts,
                         std::span<const std::span<const std::uint8_t>> frame, std::span<std::uint8_t> out) {
  HeaderWriter writer(out);
  if (is_udp(how.encap)) {
    std::size_t length = encapsulation_length(how);
    for (const auto part : frame) length += part.size();
    writer.u16(flow_port(frame));
    writer.u16(how.dst_port);
    writer.u16(static_cast<std::uint32_t>(length));
    writer.u16(0);
    writer.u32(how.encap == Encap::vxlan ? std::uint32_t{kVxlanHasVni} << 24 : kEtherTypeEthernet);
    writer.u32(how.key.value_or(0) << 8);
    return;
  }
  write_gre(how, facts, writer);
  if (how.encap == Encap::erspan2) write_erspan2(how, facts, writer);
  if (how.encap == Encap::erspan3) write_erspan3(how, facts, writer);
  if (how.encap == Encap::gre && how.checksum) {
    const std::uint16_t checksum = checksum_of(out.first(encapsulation_length(how)), frame);
    HeaderWriter(out.subspan(4)).u16(checksum);
  }
}

std::optional<std::span<const std::uint8_t>> decapsulate(const Encapsulation& how,
                                                         std::span<const std::uint8_t> packet) {
  if (how.encap == Encap::vxlan) return behind_vxlan(how, packet);
  if (how.encap == Encap::geneve) return behind_geneve(how, packet);
  if (packet.size() < 4) return std::nullopt;
  const std::uint16_t flags = u16_at(packet, 0);
  const std::uint16_t protocol = u16_at(packet, 2);
  const std::size_t length = gre_length(flags);
  if ((flags & kGreReserved) != 0 || packet.size() < length) return std::nullopt;
  if ((flags & kGreChecksum) != 0 && internet_sum(packet) != 0xffff) return std::nullopt;
  if (how.encap != Encap::gre) {
    if (protocol != kEtherTypeErspan2 && protocol != kEtherTypeErspan3) return std::nullopt;
    return behind_erspan(how, protocol, (flags & kGreSequence) != 0, packet.subspan(length));
  }
  const bool has_key = (flags & kGreKey) != 0;
  const std::uint32_t key = has_key ? u32_at(packet, (flags & kGreChecksum) != 0 ? 8 : 4) : 0;
  // No key is key 0, as in Open vSwitch.
  if (protocol != kEtherTypeEthernet || key != how.key.value_or(0)) return std::nullopt;
  return enough(packet.subspan(length));
}

}  // namespace vswitch::tunnel
