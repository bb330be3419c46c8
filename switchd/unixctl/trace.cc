// SPDX-License-Identifier: Apache-2.0
// ofproto/trace: what would happen to a frame, step by step (ovs-vswitchd(8)). The frame is given as a flow,
// whose Ethernet fields make one, or whole in hexadecimal. Nothing changes by asking: not even an address is
// learned.
#include <boost/algorithm/hex.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "datapath/frame/frame.h"
#include "switchd/unixctl/commands.h"

namespace vswitch::unixctl {
namespace {

/// What the commands of this file look at.
struct Context {
  const ovsdb::Database& database;
  bridge::ExplainView& frames;
  bridge::DatapathView& datapath;
};

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kAddressesLength = 12;
constexpr std::size_t kPadding = 46;  // the least payload of an Ethernet frame

/// The Ethernet fields of a flow (ovs-fields(7)); what is not given is 0.
struct Flow {
  std::string in_port;
  MacAddr src, dst;
  std::optional<VlanTag> tag;
  std::uint16_t type = 0;
};

// Protocol names and the EtherType each stands for (ovs-ofctl(8)).
const std::map<std::string, std::uint16_t> kProtocols = {
    {"ip", 0x0800},    {"ipv4", 0x0800},  {"icmp", 0x0800}, {"tcp", 0x0800},  {"udp", 0x0800},
    {"sctp", 0x0800},  {"ipv6", 0x86dd},  {"ip6", 0x86dd},  {"tcp6", 0x86dd}, {"udp6", 0x86dd},
    {"sctp6", 0x86dd}, {"icmp6", 0x86dd}, {"arp", 0x0806},  {"rarp", 0x8035}, {"mpls", 0x8847},
    {"mplsm", 0x8848}, {"eth", 0},
};
// Fields that say nothing to a switch that looks at addresses and VLANs.
const std::set<std::string> kWithoutEffect = {
    "nw_src",   "nw_dst",    "nw_proto",  "nw_tos",      "nw_ecn",       "nw_ttl",     "nw_frag",
    "ip_src",   "ip_dst",    "ip_proto",  "ipv6_src",    "ipv6_dst",     "ipv6_label", "tp_src",
    "tp_dst",   "tcp_src",   "tcp_dst",   "tcp_flags",   "udp_src",      "udp_dst",    "sctp_src",
    "sctp_dst", "icmp_type", "icmp_code", "icmpv6_type", "icmpv6_code",  "arp_op",     "arp_spa",
    "arp_tpa",  "arp_sha",   "arp_tha",   "pkt_mark",    "skb_priority", "metadata",   "recirc_id",
};

[[noreturn]] void bad_flow(const std::string& text, const std::string& what) {
  throw Refused("Bad openflow flow syntax: " + text + ": " + what);
}

unsigned number_in(const std::string& text, const std::string& field, unsigned most) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  unsigned value = 0;
  const char* first = text.data() + (hex ? 2 : 0);
  const auto [end, error] = std::from_chars(first, text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size() || value > most)
    bad_flow(field + '=' + text, "give a number from 0 to " + std::to_string(most));
  return value;
}

MacAddr mac_in(const std::string& text, const std::string& field) {
  if (const auto mac = MacAddr::parse(text)) return *mac;
  bad_flow(field + '=' + text, text + ": invalid Ethernet address");
}

VlanTag& tag_of(Flow& flow) {
  if (!flow.tag) flow.tag = VlanTag{kTpid8021Q, 0};
  return *flow.tag;
}

void set_field(Flow& flow, const std::string& field, const std::string& value) {
  if (field == "in_port") {
    flow.in_port = value;
  } else if (field == "dl_src" || field == "eth_src") {
    flow.src = mac_in(value, field);
  } else if (field == "dl_dst" || field == "eth_dst") {
    flow.dst = mac_in(value, field);
  } else if (field == "dl_type" || field == "eth_type") {
    flow.type = static_cast<std::uint16_t>(number_in(value, field, 0xffff));
  } else if (field == "dl_vlan" || field == "vlan_vid") {
    tag_of(flow) = tag_of(flow).with_vid(static_cast<VlanId>(number_in(value, field, 0xffff) & 0xfff));
  } else if (field == "dl_vlan_pcp" || field == "vlan_pcp") {
    tag_of(flow) = tag_of(flow).with_pcp(static_cast<std::uint8_t>(number_in(value, field, 7)));
  } else if (field == "vlan_tci") {
    constexpr unsigned kPresent = 0x1000;  // Open vSwitch keeps "has a tag" where DEI stands on the wire
    const unsigned tci = number_in(value, field, 0xffff);
    if ((tci & kPresent) != 0) flow.tag = VlanTag{kTpid8021Q, static_cast<std::uint16_t>(tci & ~kPresent)};
  } else if (!kWithoutEffect.contains(field)) {
    bad_flow(field + '=' + value, "unknown field " + field);
  }
}

Flow parse_flow(const std::string& text) {
  Flow flow;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(", \t", at), text.size());
    const std::string item = text.substr(at, end - at);
    at = end + 1;
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    if (equals != std::string::npos) {
      set_field(flow, item.substr(0, equals), item.substr(equals + 1));
    } else if (const auto protocol = kProtocols.find(item); protocol != kProtocols.end()) {
      flow.type = protocol->second;
    } else {
      bad_flow(item, "expected field=value or the name of a protocol");
    }
  }
  return flow;
}

Bytes frame_of(const Flow& flow) {
  std::array<std::uint8_t, kMaxHeaderLength> header{};
  TagList tags;
  if (flow.tag) tags.push_back(*flow.tag);
  const std::size_t length = write_header(flow.dst, flow.src, tags, header);
  Bytes bytes(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(length));
  bytes.push_back(static_cast<std::uint8_t>(flow.type >> 8));
  bytes.push_back(static_cast<std::uint8_t>(flow.type & 0xff));
  bytes.resize(bytes.size() + kPadding);
  return bytes;
}

Bytes frame_in(const std::string& hex) {
  Bytes bytes;
  try {
    boost::algorithm::unhex(hex, std::back_inserter(bytes));
  } catch (const boost::algorithm::hex_decode_error&) {
    throw Refused("Trailing garbage in packet data");
  }
  return bytes;
}

std::vector<VlanTag> tags_of(const Bytes& frame) {
  std::vector<VlanTag> tags;
  const auto word = [&frame](std::size_t at) {
    return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
  };
  for (std::size_t at = kAddressesLength; at + kTagLength + 2 <= frame.size() && is_vlan_tpid(word(at));
       at += kTagLength)
    tags.push_back({word(at), word(at + 2)});
  return tags;
}

/// The header fields as ovs-appctl prints a flow.
std::string flow_text(const std::string& ofport, const Bytes& frame) {
  const auto mac = [&frame](std::size_t at) {
    MacAddr address;
    std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), address.octets.size(),
                address.octets.begin());
    return address.to_string();
  };
  const std::vector<VlanTag> tags = tags_of(frame);
  const std::size_t type_at = kAddressesLength + tags.size() * kTagLength;
  char type[16];
  std::snprintf(type, sizeof type, "0x%04x", frame[type_at] << 8 | frame[type_at + 1]);
  std::string vlan = "vlan_tci=0x0000";
  if (!tags.empty())
    vlan = "dl_vlan=" + std::to_string(tags[0].vid()) + ",dl_vlan_pcp=" + std::to_string(tags[0].pcp());
  return "in_port=" + ofport + ',' + vlan + ",dl_src=" + mac(6) + ",dl_dst=" + mac(0) + ",dl_type=" + type;
}

/// Outputs as the actions of an Open vSwitch datapath: tags change one after the other.
class Actions {
 public:
  explicit Actions(const Bytes& frame) : present_(tags_of(frame)) {}

  void output(const std::string& port, const Bytes& frame) {
    const std::vector<VlanTag> wanted = tags_of(frame);
    std::size_t same = 0;  // counted from the innermost tag
    while (same < std::min(present_.size(), wanted.size()) &&
           present_[present_.size() - 1 - same] == wanted[wanted.size() - 1 - same])
      ++same;
    for (std::size_t i = same; i < present_.size(); ++i) add("pop_vlan");
    for (std::size_t i = wanted.size() - same; i-- > 0;) add(push(wanted[i]));
    add(port);
    present_ = wanted;
  }

  std::string text() const { return text_.empty() ? "drop" : text_; }

 private:
  static std::string push(const VlanTag& tag) {
    char tpid[24] = "";
    if (tag.tpid != kTpid8021Q) std::snprintf(tpid, sizeof tpid, "tpid=0x%04x,", tag.tpid);
    return "push_vlan(" + std::string(tpid) + "vid=" + std::to_string(tag.vid()) +
           ",pcp=" + std::to_string(tag.pcp()) + ")";
  }
  void add(const std::string& action) { text_ += (text_.empty() ? "" : ",") + action; }

  std::vector<VlanTag> present_;
  std::string text_;
};

std::string number_of(const Context& context, const std::string& bridge, const std::string& port) {
  // A frame that crosses a patch port leaves on another bridge.
  if (const auto number = context.datapath.datapath_number(bridge, port)) return std::to_string(*number + 1);
  return port;
}

std::string trace(const Context& context, Args args) {
  const ovsdb::Row* bridge = context.database.table("Bridge").find("name", args[0]);
  if (bridge == nullptr) throw Refused(args[0] + ": unknown bridge");
  std::vector<std::string> words(args.begin() + 1, args.end());
  // Options of Open vSwitch: nothing is ever changed here, so there is nothing to generate or to learn.
  std::erase_if(words, [](const std::string& word) { return word == "-generate" || word == "--generate"; });
  if (words.empty() || words.size() > 2) throw Refused("give a flow, and perhaps a packet in hexadecimal");
  const Flow flow = parse_flow(words[0]);
  if (flow.in_port.empty()) throw Refused("the flow names no in_port: the port the frame comes from");
  const ovsdb::Row* in = interface_named(context.database, *bridge, flow.in_port);
  if (in == nullptr) throw Refused("bridge " + args[0] + " has no port " + flow.in_port);
  const Bytes frame = words.size() == 2 ? frame_in(words[1]) : frame_of(flow);
  if (frame.size() < kAddressesLength + 2) throw Refused("the packet is shorter than an Ethernet header");

  const auto explanation = context.frames.explain(args[0], in->str("name"), frame);
  if (!explanation) throw Refused("port " + in->str("name") + " is not set up: see its status");
  const std::string title = "bridge(\"" + args[0] + "\")";
  std::string text = "Flow: " + flow_text(ofport_text(context.database, in->str("name")), frame) + "\n\n" +
                     title + '\n' + std::string(title.size(), '-') + "\n 0. priority 0\n    NORMAL\n";
  for (const std::string& step : explanation->trace) text += "     -> " + step + '\n';
  for (const auto& verdict : explanation->mirrors)
    text += "     -> session " + verdict.session + ": " + (verdict.copied ? "" : "no copy: ") +
            verdict.reason + '\n';
  Actions actions(frame);
  for (const auto& output : explanation->outputs)
    actions.output(number_of(context, args[0], output.port), output.frame);
  for (const auto& copy : explanation->copies)
    actions.output(number_of(context, args[0], copy.port), copy.frame);
  return text + "\nFinal flow: unchanged\nDatapath actions: " + actions.text() + '\n';
}

}  // namespace

void add_trace_command(Registry& registry, const ovsdb::Database& database, bridge::ExplainView& frames,
                       bridge::DatapathView& datapath) {
  const Context context{database, frames, datapath};
  registry.add("ofproto/trace", "bridge flow [packet]", 2, 4,
               [context](Args args) { return trace(context, args); });
}

}  // namespace vswitch::unixctl
