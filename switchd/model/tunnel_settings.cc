// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/tunnel_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <vector>

namespace vswitch::model {

namespace {

/// A setting that cannot be honoured, as a sentence.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

IpAddress remote_address(const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address) throw Refused("remote_ip \"" + text + "\" is not an IPv4 or IPv6 address");
  if (address->is_v4_mapped())
    throw Refused("remote_ip " + text + " is an IPv4 address; write " +
                  IpAddress::from_bytes(address->bytes().subspan(12)).to_string());
  if (address->is_unspecified()) throw Refused("remote_ip " + text + " is not a host address");
  if (address->is_multicast()) throw Refused("remote_ip " + text + " is not a unicast address");
  if (address->needs_scope())
    throw Refused("remote_ip " + text + " is link-local and needs a device, as in " + text + "%eth0");
  return *address;
}

IpAddress local_address(const std::string& text, const IpAddress& remote) {
  const auto address = IpAddress::parse(text);
  if (!address || address->is_unspecified() || address->is_multicast())
    throw Refused("local_ip \"" + text + "\" is not a host address");
  if (address->v6 != remote.v6)
    throw Refused("local_ip " + text + " and remote_ip " + remote.to_string() +
                  " must be both IPv4 or both IPv6");
  return *address;
}

/// The members that only some encapsulations have a field for.
struct FieldRule {
  std::string_view member;
  std::array<std::string_view, 3> encaps;
  std::string_view whose;
};
constexpr FieldRule kFieldRules[] = {
    {"session_id", {"erspan2", "erspan3"}, "erspan2 and erspan3"},
    {"index", {"erspan2", "erspan3"}, "erspan2 and erspan3"},
    {"cos", {"erspan2", "erspan3"}, "erspan2 and erspan3"},
    {"hwid", {"erspan3"}, "erspan3"},
    {"timestamp", {"erspan3"}, "erspan3"},
    {"subheader", {"erspan3"}, "erspan3"},
    {"dst_port", {"vxlan", "geneve"}, "vxlan and geneve"},
    {"key", {"gre", "vxlan", "geneve"}, "gre, vxlan and geneve (ERSPAN has session_id)"},
};

const Column<MirrorEndpoint>& column_of(std::string_view member) {
  const Columns<MirrorEndpoint> columns = mirror_endpoint_columns();
  return *std::find_if(columns.begin(), columns.end(),
                       [member](const ColumnInfo& column) { return column.member == member; });
}

/// The rules that this encapsulation breaks if their member is given.
std::vector<FieldRule> rules_against(std::string_view encap) {
  std::vector<FieldRule> rules;
  std::copy_if(std::begin(kFieldRules), std::end(kFieldRules), std::back_inserter(rules),
               [encap](const FieldRule& rule) {
                 return std::find(rule.encaps.begin(), rule.encaps.end(), encap) == rule.encaps.end();
               });
  return rules;
}

void refuse_fields(const MirrorEndpoint& endpoint) {
  const std::string encap = endpoint.encap.value_or("");
  for (const FieldRule& rule : rules_against(encap)) {
    if (!column_of(rule.member).is_default(endpoint))
      throw Refused(std::string(rule.member) + " is for " + std::string(rule.whose) + ", not for " + encap);
  }
}

template <class Number>
Number number_or(const std::optional<std::int64_t>& given, Number fallback) {
  return static_cast<Number>(given.value_or(fallback));
}

tunnel::TunnelEndpointSettings settings_of(const MirrorEndpoint& endpoint, MtuPolicy policy) {
  tunnel::TunnelEndpointSettings settings;
  settings.remote = remote_address(endpoint.ip.value_or(""));
  if (endpoint.local_ip) settings.local = local_address(*endpoint.local_ip, settings.remote);
  settings.ttl = number_or<std::uint8_t>(endpoint.ttl, 64);
  settings.dscp = number_or<std::uint8_t>(endpoint.dscp, 0);
  settings.inherit_ttl = endpoint.inherit_ttl;
  settings.inherit_dscp = endpoint.inherit_dscp;
  settings.dont_fragment = endpoint.dont_fragment.value_or(policy != MtuPolicy::fragment);
  tunnel::Encapsulation& how = settings.encapsulation;
  const auto encap = tunnel::encap_named(endpoint.encap.value_or(""));
  if (!encap) throw Refused("encap is missing: gre, erspan1, erspan2, erspan3, vxlan or geneve");
  how.encap = *encap;
  refuse_fields(endpoint);
  if (endpoint.key) how.key = static_cast<std::uint32_t>(*endpoint.key);
  if (is_udp(how.encap) && how.key.value_or(0) >= 1U << 24)
    throw Refused("key must be a VNI, 0 to 16777215, not " + std::to_string(*how.key));
  how.dst_port = number_or<std::uint16_t>(endpoint.dst_port, default_port(how.encap));
  how.session_id = number_or<std::uint16_t>(endpoint.session_id, 0);
  how.index = number_or<std::uint32_t>(endpoint.index, 0);
  if (endpoint.cos) how.cos = static_cast<std::uint8_t>(*endpoint.cos);
  how.hwid = number_or<std::uint8_t>(endpoint.hwid, 0);
  how.timestamp = endpoint.timestamp == "100ns"      ? tunnel::Timestamp::ns100
                  : endpoint.timestamp == "ieee1588" ? tunnel::Timestamp::ieee1588
                                                     : tunnel::Timestamp::us100;
  how.subheader = endpoint.subheader;
  return settings;
}

/// The options of a tunnel port, read one by one.
class TunnelOptions {
 public:
  explicit TunnelOptions(std::map<std::string, std::string> options) : options_(std::move(options)) {}

  std::optional<std::string> take(const std::string& name) {
    const auto found = options_.find(name);
    if (found == options_.end()) return std::nullopt;
    std::string value = std::move(found->second);
    options_.erase(found);
    if (value == "flow")
      throw Refused("option " + name + "=flow needs OpenFlow, which is not supported; give a value");
    return value;
  }

  /// Base 0: decimal, or hexadecimal after 0x.
  std::optional<std::uint32_t> number(const std::string& name, std::uint32_t most, int base = 0) {
    const auto text = take(name);
    if (!text) return std::nullopt;
    std::string_view digits = *text;
    const bool prefixed = digits.starts_with("0x") || digits.starts_with("0X");
    if (prefixed) digits.remove_prefix(2);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value,
                                              prefixed    ? 16
                                              : base == 0 ? 10
                                                          : base);
    if (error != std::errc() || end != digits.data() + digits.size() || value > most)
      throw Refused("option " + name + "=" + *text + " must be a number from 0 to " + std::to_string(most));
    return value;
  }

  /// Whether the option is "inherit"; then it has no other value.
  bool inherits(const std::string& name) {
    const auto found = options_.find(name);
    if (found == options_.end() || found->second != "inherit") return false;
    options_.erase(found);
    return true;
  }

  bool truth(const std::string& name, bool fallback) {
    const auto text = take(name);
    return text ? *text == "true" : fallback;
  }

  void refuse_the_rest() const {
    if (!options_.empty())
      throw Refused("option " + options_.begin()->first + " is not supported for a tunnel");
  }

 private:
  std::map<std::string, std::string> options_;
};

void read_erspan(TunnelOptions& options, std::optional<std::uint32_t> key, tunnel::Encapsulation& how) {
  constexpr int kHexadecimal = 16;  // as Open vSwitch reads them
  if (key.value_or(0) > tunnel::kMaxSessionId)
    throw Refused("key must be an ERSPAN session ID, 0 to 1023, not " + std::to_string(*key));
  how.session_id = static_cast<std::uint16_t>(key.value_or(0));
  const std::uint32_t version = options.number("erspan_ver", 2).value_or(1);
  how.encap = version == 0   ? tunnel::Encap::erspan1
              : version == 1 ? tunnel::Encap::erspan2
                             : tunnel::Encap::erspan3;
  how.index = options.number("erspan_idx", 0xfffff, kHexadecimal).value_or(0);
  if (const auto direction = options.number("erspan_dir", 1, kHexadecimal)) how.delivered = *direction == 1;
  how.hwid = static_cast<std::uint8_t>(options.number("erspan_hwid", 63, kHexadecimal).value_or(0));
}

tunnel::TunnelEndpointSettings settings_of(const Interface& interface) {
  const std::string& type = interface.type;
  TunnelOptions options(interface.options);
  tunnel::TunnelEndpointSettings settings;
  const auto remote = options.take("remote_ip");
  // The message of Open vSwitch.
  if (!remote) throw Refused(interface.name + ": " + type + " type requires valid 'remote_ip' argument");
  settings.remote = remote_address(*remote);
  if (const auto local = options.take("local_ip")) settings.local = local_address(*local, settings.remote);
  settings.inherit_ttl = options.inherits("ttl");
  settings.inherit_dscp = options.inherits("tos");
  settings.inherit_ecn = true;
  settings.ttl = static_cast<std::uint8_t>(options.number("ttl", 255).value_or(64));
  if (settings.ttl == 0) settings.ttl = 64;
  const std::uint32_t tos = options.number("tos", 255).value_or(0);
  if ((tos & 3) != 0)
    throw Refused("option tos=" + std::to_string(tos) +
                  " sets bits of ECN, which is that of the packet inside; use a multiple of 4");
  settings.dscp = static_cast<std::uint8_t>(tos >> 2);
  settings.dont_fragment = options.truth("df_default", true);
  tunnel::Encapsulation& how = settings.encapsulation;
  const bool erspan = type.ends_with("erspan");
  how.encap = type == "vxlan"    ? tunnel::Encap::vxlan
              : type == "geneve" ? tunnel::Encap::geneve
                                 : tunnel::Encap::gre;
  const std::uint32_t most = is_udp(how.encap) ? (1U << 24) - 1 : 0xffffffffU;
  const auto key = options.number("key", most);
  const auto in_key = options.number("in_key", most);
  const auto out_key = options.number("out_key", most);
  if (in_key != out_key) throw Refused("in_key and out_key must be equal; use key");
  if (erspan) {
    read_erspan(options, key ? key : in_key, how);
  } else {
    how.key = key ? key : in_key;
  }
  if (is_udp(how.encap))
    how.dst_port =
        static_cast<std::uint16_t>(options.number("dst_port", 65535).value_or(default_port(how.encap)));
  how.checksum = how.encap == tunnel::Encap::gre && options.truth("csum", false);
  how.sequence = how.encap == tunnel::Encap::gre && options.truth("seq", false);
  options.refuse_the_rest();
  return settings;
}

DesiredEndpoint read(const ovsdb::Uuid& row,
                     const std::function<tunnel::TunnelEndpointSettings()>& settings) {
  DesiredEndpoint desired{.row = row, .label = {}, .settings = {}, .refusal = {}};
  try {
    desired.settings = settings();
    desired.label = desired.settings.remote.to_string() + " (" +
                    std::string(name(desired.settings.encapsulation.encap)) + ")";
  } catch (const Refused& refused) {
    desired.refusal = refused.what();
  }
  return desired;
}

}  // namespace

void drop_fields_foreign_to(std::string_view encap, MirrorEndpoint& endpoint) {
  for (const FieldRule& rule : rules_against(encap)) column_of(rule.member).from_json(nullptr, endpoint);
}

DesiredEndpoint tunnel_of(const ovsdb::Uuid& row, const MirrorEndpoint& endpoint, MtuPolicy policy) {
  return read(row, [&] { return settings_of(endpoint, policy); });
}

bool is_tunnel_type(std::string_view type) {
  static const std::set<std::string_view> kTypes = {"gre",    "erspan", "vxlan",
                                                    "geneve", "ip6gre", "ip6erspan"};
  return kTypes.contains(type);
}

TunnelEnds ends_of(const tunnel::TunnelEndpointSettings& settings) {
  const tunnel::Encapsulation& how = settings.encapsulation;
  const bool erspan = is_erspan(how.encap);
  return {.kind = erspan ? tunnel::Encap::erspan2 : how.encap,
          .remote = settings.remote,
          .local = settings.local,
          .key = erspan ? how.session_id : how.key.value_or(0),
          .dst_port = how.dst_port};
}

DesiredEndpoint tunnel_of(const Interface& interface) {
  return read(interface.uuid, [&] { return settings_of(interface); });
}

}  // namespace vswitch::model
