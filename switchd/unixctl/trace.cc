// SPDX-License-Identifier: Apache-2.0
// ofproto/trace: what would happen to a frame, step by step (ovs-vswitchd(8)). The frame is given as a flow of a bridge,
// which is a match in the syntax of filters plus the port, as a flow of the datapath, or completely in hexadecimal. A
// trace changes nothing: not even an address is learned.
#include <boost/algorithm/hex.hpp>
#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "datapath/flow/compose.h"
#include "datapath/flow/match.h"
#include "datapath/frame/frame.h"
#include "datapath/frame/headers.h"
#include "switchd/model/rows.h"
#include "switchd/unixctl/commands.h"
#include "switchd/unixctl/datapath_flow.h"
#include "switchd/unixctl/flow_text.h"

namespace vswitch::unixctl {
namespace {

/// The objects that the commands of this file use.
struct TraceContext {
  const ovsdb::Database& database;
  bridge::ExplainView& frames;
  bridge::DatapathView& datapath;
};

using Bytes = std::vector<std::uint8_t>;

/// A flow: the port, and the match for the frame.
struct Flow {
  std::string in_port = {};
  Match match = {};
};

// Metadata that Open vSwitch keeps besides a frame and this switch does not have: such fields are accepted
// and ignored.
const std::set<std::string_view> kBesideTheFrame = {"pkt_mark", "skb_priority", "metadata", "recirc_id"};

[[noreturn]] void bad_flow(const std::string& what) {
  throw Refused("Bad openflow flow syntax: " + what);
}

Match parse_match(const std::string& text) {
  if (text.empty()) return {};
  Match::Parsed parsed = Match::parse(text);
  if (!parsed.match) bad_flow(parsed.trouble);
  return std::move(*parsed.match);
}

/// Removes the port; the rest is a match in the syntax of filters.
Flow parse_flow(std::string_view text) {
  constexpr std::string_view kSeparators = ", \t\r\n";
  Flow flow;
  std::string match;
  for (std::size_t at = text.find_first_not_of(kSeparators); at < text.size();
       at = text.find_first_not_of(kSeparators, at)) {
    const std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
    const std::string item(text.substr(at, end - at));
    at = end;
    const std::size_t equals = item.find_first_of("=:");
    const std::string name = item.substr(0, equals);
    const bool has_value = equals != std::string::npos;
    if (name == "in_port" && has_value) {
      flow.in_port = item.substr(equals + 1);
      if (flow.in_port == "65534" || ::strcasecmp(flow.in_port.c_str(), "LOCAL") == 0) flow.in_port = "LOCAL";
    } else if (!Match::knows(name)) {
      bad_flow(item +
               (has_value ? ": unknown field " + name : ": expected field=value or the name of a protocol"));
    } else if (!kBesideTheFrame.contains(name)) {
      match += (match.empty() ? "" : ",") + item;
    }
  }
  flow.match = parse_match(match);
  return flow;
}

Bytes frame_of(const Flow& flow) {
  ComposedFrame frame = compose(flow.match);
  if (!frame.trouble.empty()) bad_flow(flow.match.text() + ": " + frame.trouble);
  return std::move(frame.bytes);
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
  const std::size_t end = skip_vlan_tags(frame, kAddressesLength);
  for (std::size_t at = kAddressesLength; at < end; at += kTagLength)
    tags.push_back({u16_at(frame, at), u16_at(frame, at + 2)});
  return tags;
}

/// The header fields of a frame as it arrives.
FlowKey key_of(const Bytes& frame) {
  const ParseResult read = parse({.bytes = frame, .stripped_tag = {}, .offload = {}});
  return FlowKey(read.frame, {.outer = read.frame.tag, .inner = {}});
}

/// Outputs as actions of an Open vSwitch datapath: tags change one after the other.
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

std::string number_of(const TraceContext& context, const std::string& bridge, const std::string& port) {
  // A frame that crosses a patch port leaves on another bridge.
  if (const auto number = context.datapath.datapath_number(bridge, port)) return std::to_string(*number + 1);
  return port;
}

/// Options of Open vSwitch. Nothing is ever changed here and no connection is tracked, so -generate and
/// --ct-next have no effect.
std::vector<std::string> without_options(Args args) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (word == "--ct-next") {
      if (++i == args.size()) throw Refused("Missing argument for option --ct-next");
    } else if (word == "--l7" || word == "--l7-len") {
      throw Refused(word + " is not supported: give the whole packet in hexadecimal");
    } else if (word != "-generate" && word != "--generate") {
      words.push_back(word);
    }
  }
  return words;
}

/// Where the frame arrives, and what the user says of it.
struct Question {
  std::string bridge = {};
  const ovsdb::Row* in = nullptr;  ///< Interface
  Flow flow = {};
  std::vector<std::string> words = {};  ///< the flow, and perhaps the packet
};

/// "br0 in_port=1,..."
Question about_bridge(const TraceContext& context, Args args) {
  if (args.size() < 2)
    throw Refused("give a bridge and a flow, as in br0 in_port=p1,dl_dst=02:00:00:00:00:01");
  const ovsdb::Row* bridge = context.database.table("Bridge").find("name", args[0]);
  if (bridge == nullptr) throw Refused(args[0] + ": unknown bridge");
  Question question{.bridge = args[0], .words = without_options(args.subspan(1))};
  if (question.words.empty() || question.words.size() > 2)
    throw Refused("give a flow, and optionally a packet in hexadecimal");
  question.flow = parse_flow(question.words[0]);
  const std::string& port = question.flow.in_port;
  if (port.empty()) throw Refused("the flow needs in_port, the port on which the frame arrives");
  question.in = interface_named(context.database, *bridge, port);
  if (question.in == nullptr) throw Refused("bridge " + args[0] + " has no port " + port);
  return question;
}

/// "in_port(1),...", perhaps with the name of the datapath before it. The port says which bridge it is about.
Question about_datapath(const TraceContext& context, Args args) {
  if (!is_datapath_flow(args[0])) {
    if (!is_datapath(args[0])) throw Refused(args[0] + ": unknown datapath; there is ovs-netdev");
    args = args.subspan(1);
  }
  Question question{.words = without_options(args)};
  if (question.words.empty() || question.words.size() > 2)
    throw Refused("give a flow, and optionally a packet in hexadecimal");
  const DatapathFlow given = parse_datapath_flow(question.words[0]);
  if (!given.trouble.empty()) throw Refused("Bad datapath flow syntax: " + given.trouble);
  if (given.in_port.empty()) throw Refused("the flow needs in_port(), the port on which the frame arrives");
  question.flow = {.in_port = given.in_port, .match = parse_match(given.match)};
  for (const auto& [bridge_name, bridge] : model::bridges(context.database)) {
    for (const auto& [name, port] : model::ports_of(context.database, *bridge)) {
      const ovsdb::Row* interface = model::interface_of(context.database, *port);
      if (interface == nullptr || interface->str("type") == "patch") continue;  // these have no number
      const std::string& called = interface->str("name");
      const auto number = context.datapath.datapath_number(bridge_name, called);
      if (called != given.in_port && (!number || std::to_string(*number + 1) != given.in_port)) continue;
      question.bridge = bridge_name;
      question.in = interface;
      if (called == given.in_port) return question;
    }
  }
  if (question.in == nullptr)
    throw Refused("the datapath has no port " + given.in_port + ": dpctl/show lists its ports");
  return question;
}

/// As Open vSwitch says what keeps a flow from its fast path.
std::string who_carries(const bridge::Explanation::FastPath& fast_path) {
  if (!fast_path.is_carried)
    return "This flow is handled by the userspace slow path because:\n  - " + fast_path.reason + '\n';
  if (fast_path.user_copies.empty()) return "This flow is handled by the kernel.\n";
  return "This flow is handled by the kernel, except for copies of: " +
         fmt::format("{}", fmt::join(fast_path.user_copies, ", ")) + '\n';
}

std::string trace(const TraceContext& context, Args args) {
  const bool is_of_datapath = is_datapath_flow(args[0]) || (args.size() > 1 && is_datapath_flow(args[1]));
  const auto [bridge, in, flow, words] =
      is_of_datapath ? about_datapath(context, args) : about_bridge(context, args);
  const Bytes frame = words.size() == 2 ? frame_in(words[1]) : frame_of(flow);
  if (frame.size() < kMinFrameLength) throw Refused("the packet is shorter than an Ethernet header");

  const auto explanation = context.frames.explain(bridge, in->str("name"), frame);
  if (!explanation) throw Refused("port " + in->str("name") + " is not set up: its status says why");
  const std::string title = "bridge(\"" + bridge + "\")";
  std::string text = "Flow: " + flow_text(ofport_text(context.database, in->str("name")), key_of(frame)) +
                     "\n\n" + title + '\n' + std::string(title.size(), '-') +
                     "\n 0. priority 0\n    NORMAL\n";
  for (const std::string& step : explanation->trace) text += "     -> " + step + '\n';
  for (const auto& verdict : explanation->mirrors)
    text += "     -> session " + verdict.session + ": " + (verdict.copied ? "" : "no copy: ") +
            verdict.reason + '\n';
  Actions actions(frame);
  for (const auto& output : explanation->outputs)
    actions.output(number_of(context, bridge, output.port), output.frame);
  for (const auto& copy : explanation->copies)
    actions.output(number_of(context, bridge, copy.port), copy.frame);
  return text + "\nFinal flow: unchanged\nDatapath actions: " + actions.text() + '\n' +
         who_carries(explanation->fast_path);
}

}  // namespace

void add_trace_command(Registry& registry, const ovsdb::Database& database, bridge::ExplainView& frames,
                       bridge::DatapathView& datapath) {
  const TraceContext context{database, frames, datapath};
  registry.add("ofproto/trace", "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]", 1,
               Registry::kAnyNumber, [context](Args args) { return trace(context, args); });
}

}  // namespace vswitch::unixctl
