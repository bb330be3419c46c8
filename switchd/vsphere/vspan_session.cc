// SPDX-License-Identifier: Apache-2.0
// VMwareVspanSession, field by field.
#include "switchd/vsphere/vspan_session.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "schemas/device_name.h"
#include "schemas/openrpc.h"
#include "switchd/api/errors.h"
#include "switchd/api/mirror_session.h"

namespace vswitch::vsphere {
namespace {

constexpr char kDefaultType[] = "mixedDestMirror";

/// The sources and destinations that each session type allows (VMwareDVSVspanSessionType).
struct TypeRule {
  std::string_view type;
  bool from_vlans;  ///< its sources are VLANs; otherwise ports
  bool to_ports, to_uplinks, to_addresses;
};
constexpr std::array<TypeRule, 5> kTypes = {{{"dvPortMirror", false, true, false, false},
                                             {"remoteMirrorSource", false, false, true, false},
                                             {"remoteMirrorDest", true, true, false, false},
                                             {"encapsulatedRemoteMirrorSource", false, false, false, true},
                                             {"mixedDestMirror", false, true, true, false}}};

const TypeRule& rule_of(const std::string& type) {
  return *std::find_if(kTypes.begin(), kTypes.end(),
                       [&type](const TypeRule& rule) { return rule.type == type; });
}

/// A member of one of the three VMwareVspanPort that is not allowed.
struct Trouble {
  const char* role;
  const char* member;
  std::string sentence;
};

bool has(const Json& session, const char* port, const char* member) {
  return session.contains(port) && session[port].contains(member);
}

/// Why a session does not fit its type. `session` has no empty members.
std::optional<Trouble> type_trouble(const std::string& type, const Json& session) {
  const TypeRule& rule = rule_of(type);
  const auto wrong = [&type](const char* role, const char* member, const char* as) {
    return Trouble{role, member, "a session of type " + type + " has no " + member + " as " + as};
  };
  for (const char* role : {"sourcePortReceived", "sourcePortTransmitted"}) {
    for (const char* member : {"portKey", "uplinkPortName", "vlans", "ipAddress"}) {
      const bool takes = member == std::string_view("vlans")       ? rule.from_vlans
                         : member == std::string_view("ipAddress") ? false
                                                                   : !rule.from_vlans;
      if (!takes && has(session, role, member)) return wrong(role, member, "source");
    }
  }
  if (has(session, "sourcePortTransmitted", "vlans"))
    return Trouble{"sourcePortTransmitted", "vlans", "VLANs can only be a source in sourcePortReceived"};
  const std::pair<const char*, bool> destinations[] = {{"portKey", rule.to_ports},
                                                       {"uplinkPortName", rule.to_uplinks},
                                                       {"ipAddress", rule.to_addresses},
                                                       {"vlans", false}};
  for (const auto& [member, takes] : destinations) {
    if (!takes && has(session, "destinationPort", member))
      return wrong("destinationPort", member, "destination");
  }
  return std::nullopt;
}

std::optional<Trouble> wildcard_trouble(const Json& session) {
  constexpr char kWildcard[] = "wildcardPortConnecteeType";
  for (const char* role : {"destinationPort", "sourcePortTransmitted"}) {
    if (has(session, role, kWildcard))
      return Trouble{role, kWildcard, "a wildcard is allowed in sourcePortReceived only"};
  }
  if (!has(session, "sourcePortReceived", kWildcard)) return std::nullopt;
  return Trouble{"sourcePortReceived", kWildcard,
                 "what is connected to a port is not known here: name the ports by portKey"};
}

/// Removes members without content: null, empty lists and ports, and members about the format of the object.
Json without_nothing(const Json& object) {
  Json clean = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (key.starts_with('_') || key.starts_with("dynamic")) continue;
    const Json inner = value.is_object() ? without_nothing(value) : value;
    if (inner.is_null() || (inner.is_structured() && inner.empty())) continue;
    clean[key] = inner;
  }
  if (clean.contains("name") && clean["name"] == "") clean.erase("name");
  return clean;
}

constexpr std::pair<std::string_view, std::string_view> kOtherTypeNames[] = {
    {"encapRemoteMirrorSource", "encapsulatedRemoteMirrorSource"},  // in VMware's table of VspanSession
};

/// The session with what vSphere requires and people leave out, and the usual name of its type.
Json completed(Json session) {
  for (const auto& [field, unset] :
       {std::pair("enabled", true), {"stripOriginalVlan", false}, {"normalTrafficAllowed", false}}) {
    if (!session.contains(field)) session[field] = unset;
  }
  for (const auto& [other, usual] : kOtherTypeNames) {
    if (session.value("sessionType", "") == other) session["sessionType"] = usual;
  }
  return session;
}

// ---- in

class Importer {
 public:
  Importer(const Json& session, const PortNames& names)
      : given_(completed(without_nothing(session))), names_(names) {}

  Imported run(const std::string& name);

 private:
  void check();
  std::string port_of(const std::string& field, bool is_uplink, const std::string& label);
  std::vector<std::string> ports_at(const char* role);
  Json sources();
  Json destination();
  Json endpoints();
  void warn();
  void keep(const std::string& name);
  bool gives(const char* field) const { return given_.contains(field); }

  const Json given_;
  const PortNames& names_;
  PortLabels labels_;
  Imported result_;
};

void Importer::check() {
  for (const auto& trouble :
       {wildcard_trouble(given_), type_trouble(given_.value("sessionType", kDefaultType), given_)}) {
    if (!trouble) continue;
    // It may be what is missing.
    const Json port = given_.value(trouble->role, Json::object());
    throw api::invalid(std::string(trouble->role) + '.' + trouble->member,
                       port.value(trouble->member, Json()), trouble->sentence);
  }
}

/// Two labels for one port would become one label on export.
std::string Importer::port_of(const std::string& field, bool is_uplink, const std::string& label) {
  const auto& known = is_uplink ? names_.by_uplink : names_.by_key;
  const auto found = known.find(label);
  std::string port = found == known.end() ? label : found->second;
  if (found == known.end() && !device_name_trouble(label).empty()) {
    throw api::invalid(field, label,
                       "say which port " + label + " is: " +
                           (is_uplink ? "in uplinks, or by external_ids:vsphere-uplink of its interface"
                                      : "in ports, or by external_ids:vsphere-port-key of its interface"));
  }
  auto& labels = is_uplink ? labels_.uplinks : labels_.keys;
  const auto& others = is_uplink ? labels_.keys : labels_.uplinks;
  const std::string& first = labels.emplace(port, label).first->second;
  const auto other = others.find(port);
  if (first != label || other != others.end())
    throw api::conflict(
        field, label,
        label + " and " + (first != label ? first : other->second) + " are both port " + port + " here");
  return port;
}

std::vector<std::string> Importer::ports_at(const char* role) {
  std::vector<std::string> ports;
  for (const char* kind : {"portKey", "uplinkPortName"}) {
    if (!has(given_, role, kind)) continue;
    for (const Json& label : given_[role][kind])
      ports.push_back(
          port_of(std::string(role) + '.' + kind, kind == std::string_view("uplinkPortName"), label));
  }
  return ports;
}

Json Importer::sources() {
  Json ports = Json::array();
  for (const std::string& port : ports_at("sourcePortReceived"))
    ports.push_back({{"name", port}, {"direction", "from"}});
  for (const std::string& port : ports_at("sourcePortTransmitted"))
    ports.push_back({{"name", port}, {"direction", "to"}});
  const Json vlans =
      has(given_, "sourcePortReceived", "vlans") ? given_["sourcePortReceived"]["vlans"] : Json::array();
  return {{"ports", ports}, {"vlans", vlans}};
}

Json Importer::endpoints() {
  Json list = Json::array();
  if (!has(given_, "destinationPort", "ipAddress")) return list;
  const std::string encap = given_.value("encapType", "gre");
  // Given even if unset: an edit clears what vSphere has, and leaves the other settings of an endpoint.
  Json how = {{"encap", encap}, {"session_id", nullptr}, {"cos", nullptr}, {"timestamp", nullptr}};
  if (encap != "gre") {
    if (gives("erspanId")) how["session_id"] = given_["erspanId"];
    if (gives("erspanCOS")) how["cos"] = given_["erspanCOS"];
  }
  if (encap == "erspan3" && gives("erspanGraNanosec"))
    how["timestamp"] = given_["erspanGraNanosec"] == true ? "100ns" : "100us";
  for (const Json& ip : given_["destinationPort"]["ipAddress"]) {
    how["ip"] = ip;
    list.push_back(how);
  }
  return list;
}

Json Importer::destination() {
  const bool strip = given_["stripOriginalVlan"];
  const bool into_vlan = gives("encapsulationVlanId");
  Json destination = {{"ports", ports_at("destinationPort")}, {"endpoints", endpoints()}};
  if (into_vlan) destination["vlan"] = given_["encapsulationVlanId"];
  destination["keep_vlan"] = into_vlan && !strip;
  destination["strip_vlan"] = !into_vlan && strip;
  return destination;
}

void Importer::warn() {
  const auto idle = [this](const char* field, const std::string& sentence) {
    if (gives(field)) result_.warnings.push_back({field, std::string(field) + ": " + sentence});
  };
  idle("netstack", "kept, without effect: copies follow the host's routes");
  const bool encapsulated = has(given_, "destinationPort", "ipAddress");
  const std::string encap = given_.value("encapType", "gre");
  if (!encapsulated) idle("encapType", "kept, without effect: the session has no IP destination");
  const std::string needs_erspan = "kept, without effect: the copies carry no ERSPAN header";
  const std::string needs_type_3 = "kept, without effect: only ERSPAN III has a time stamp";
  for (const char* field : {"erspanId", "erspanCOS"}) {
    if (!encapsulated || encap == "gre") idle(field, needs_erspan);
  }
  if (!encapsulated || encap != "erspan3") idle("erspanGraNanosec", needs_type_3);
  if (gives("encapsulationVlanId") && given_["normalTrafficAllowed"] == false)
    idle("normalTrafficAllowed", "without effect: a port that carries an RSPAN VLAN carries other VLANs too");
}

std::string as_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string kept_key(const std::string& what) {
  return std::string(kKeptPrefix) + what;
}

constexpr char kPortPrefix[] = "port:";
constexpr char kUplinkPrefix[] = "uplink:";
constexpr char kUnnamed[] = "unnamed";

// ---- out

std::optional<std::string> kept_value(const Kept& kept, const std::string& what) {
  const auto found = kept.find(kept_key(what));
  return found == kept.end() ? std::nullopt : std::optional(found->second);
}

[[noreturn]] void refuse(const model::MirrorSettings& session, const std::string& why) {
  throw api::refused("name", session.name,
                     "session " + session.name + " cannot be exported to vSphere: " + why);
}

bool vsphere_has(std::string_view encap) {
  return encap == "gre" || encap == "erspan2" || encap == "erspan3";
}

/// An endpoint with only the settings that vSphere has.
void add_endpoints(Json& object, const model::MirrorSettings& session) {
  if (session.endpoints.empty()) return;
  const model::MirrorEndpoint& one = *session.endpoints.begin();
  const std::string encap = one.encap.value_or("");
  if (!vsphere_has(encap)) refuse(session, "it encapsulates its copies as " + encap);
  if (encap != "gre") object["encapType"] = encap;
  if (one.session_id) object["erspanId"] = *one.session_id;
  if (one.cos) object["erspanCOS"] = *one.cos;
  if (one.timestamp == "ieee1588") refuse(session, "its time stamps are in IEEE 1588 format");
  if (one.timestamp) object["erspanGraNanosec"] = *one.timestamp == "100ns";
  for (const model::MirrorEndpoint& endpoint : session.endpoints)
    object["destinationPort"]["ipAddress"].push_back(endpoint.ip.value_or(""));
}

/// "key, ttl": the settings of an endpoint that vSphere does not have.
std::string beyond_vsphere(const model::MirrorEndpoint& endpoint) {
  std::string names;
  for (const auto& [name, is_set] : {std::pair("dont_fragment", endpoint.dont_fragment.has_value()),
                                     {"dscp", endpoint.dscp || endpoint.inherit_dscp},
                                     {"dst_port", endpoint.dst_port.has_value()},
                                     {"hwid", endpoint.hwid.has_value()},
                                     {"index", endpoint.index.has_value()},
                                     {"key", endpoint.key.has_value()},
                                     {"local_ip", endpoint.local_ip.has_value()},
                                     {"subheader", endpoint.subheader},
                                     {"ttl", endpoint.ttl || endpoint.inherit_ttl}}) {
    if (is_set) names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

void check_expressible(const model::MirrorSettings& session) {
  if (session.all) refuse(session, "it mirrors all ports");
  if (!session.source_patterns.empty()) refuse(session, "it selects ports by a pattern");
  if (!session.vlans.empty() && !session.source_ports.empty())
    refuse(session, "it mirrors selected VLANs of selected ports");
  if (!session.filter.empty() || !session.skip.empty()) refuse(session, "it has filters");
  if (session.rate_packets || session.rate_bits) refuse(session, "it has a rate limit");
  if (session.records()) refuse(session, "it records into the memory of the switch");
  if (session.cpu_budget) refuse(session, "it has a budget of processor time");
  if (session.mtu_policy || session.superframes)
    refuse(session, "it sets a policy for copies that are too long");
  if (session.snaplen && *session.snaplen < kShortestCopy)
    refuse(session, "its copies are shorter than " + std::to_string(kShortestCopy) + " bytes");
  if (session.output_vlan && session.destination_ports.empty())
    refuse(session, "its copies leave on every port that carries VLAN " +
                        std::to_string(*session.output_vlan) + ", without naming one");
  if (session.output_vlan && session.strip_vlan)
    refuse(session, "a tag is removed from its copies before they get another one");
  if (!session.endpoints.empty() && !session.destination_ports.empty())
    refuse(session, "it sends to ports and to IP addresses");
  if (session.expires_at || session.expires_packets || session.expires_bytes ||
      session.expires_with_connection)
    refuse(session, "it ends after a time, packets or bytes");
  for (const model::MirrorEndpoint& endpoint : session.endpoints) {
    if (!vsphere_has(endpoint.encap.value_or(""))) continue;  // add_endpoints() says so
    if (const std::string names = beyond_vsphere(endpoint); !names.empty())
      refuse(session, "its endpoints have settings that vSphere does not have: " + names);
  }
}

/// The settings of the session itself, without what was kept.
Json derive(const model::MirrorSettings& session, const PortLabels& labels) {
  Json object = {{"name", session.name},
                 {"enabled", session.enabled},
                 {"normalTrafficAllowed", session.normal_io},
                 {"stripOriginalVlan", session.output_vlan ? !session.keep_vlan : session.strip_vlan}};
  const auto add_port = [&](const char* role, const std::string& port) {
    const auto uplink = labels.uplinks.find(port);
    const auto key = labels.keys.find(port);
    if (uplink != labels.uplinks.end()) {
      object[role]["uplinkPortName"].push_back(uplink->second);
    } else {
      object[role]["portKey"].push_back(key == labels.keys.end() ? port : key->second);
    }
  };
  for (const auto& [port, direction] : session.source_ports) {
    if (direction != "to") add_port("sourcePortReceived", port);
    if (direction != "from") add_port("sourcePortTransmitted", port);
  }
  if (!session.vlans.empty()) object["sourcePortReceived"]["vlans"] = session.vlans;
  for (const std::string& port : session.destination_ports) add_port("destinationPort", port);
  add_endpoints(object, session);
  if (!session.description.empty()) object["description"] = session.description;
  if (session.output_vlan) object["encapsulationVlanId"] = *session.output_vlan;
  if (session.snaplen) object["mirroredPacketLength"] = *session.snaplen;
  if (session.sample != 1) object["samplingRate"] = session.sample;
  for (const char* role : {"sourcePortReceived", "sourcePortTransmitted", "destinationPort"}) {
    if (!object.contains(role)) continue;
    for (auto& [kind, labels_of_it] : object[role].items())
      std::sort(labels_of_it.begin(), labels_of_it.end());
  }
  return object;
}

/// "" is the type of a session that does not give one.
std::string type_of(const Json& object, const Kept& kept) {
  const auto fits = [&object](const std::string& type) { return !type_trouble(type, object); };
  const auto as_given = kept_value(kept, "sessionType");
  const auto known = [](const std::string& type) {
    return std::any_of(kTypes.begin(), kTypes.end(), [&](const TypeRule& rule) { return rule.type == type; });
  };
  if (as_given && known(*as_given) && fits(*as_given)) return *as_given;
  if (!as_given && !kept.empty() && fits(kDefaultType)) return "";
  for (const TypeRule& rule : kTypes) {  // the one that takes everything is the last
    if (fits(std::string(rule.type))) return std::string(rule.type);
  }
  return kDefaultType;
}

/// Fields of the type that VMwareVspanSession has at its top level, except those about ports.
bool is_text(const std::string& field) {
  static const std::set<std::string> kTexts = {"key",         "name",      "description",
                                               "sessionType", "encapType", "netstack"};
  return kTexts.contains(field);
}

/// Values that were kept and that the session does not provide itself.
void add_kept(Json& object, const Kept& kept, std::initializer_list<const char*> fields) {
  for (const char* field : fields) {
    const auto text = kept_value(kept, field);
    if (!text || object.contains(field)) continue;
    const Json value = is_text(field) ? Json(*text) : Json::parse(*text, nullptr, false);
    if (!value.is_discarded()) object[field] = value;
  }
}

/// Whether an import of `object` gives exactly this session.
bool means(const Json& object, const model::MirrorSettings& session, const PortNames& names) {
  Json params = {{"bridge", "br"}, {"sessions", Json::array({object})}};
  if (openrpc::control().check_params("mirror.import", params)) return false;
  try {
    return session_of(import_session(object, names, session.name).params) == session;
  } catch (const jsonrpc::Error&) {
    return false;
  }
}

PortLabels labels_with(PortLabels labels, const Kept& kept, bool into_vlan_of_uplinks,
                       const model::MirrorSettings& session) {
  for (const auto& [what, label] : kept) {
    const std::string rest = what.substr(kKeptPrefix.size());
    if (rest.starts_with(kPortPrefix)) labels.call(rest.substr(sizeof kPortPrefix - 1), label);
    if (rest.starts_with(kUplinkPrefix)) labels.call_uplink(rest.substr(sizeof kUplinkPrefix - 1), label);
  }
  if (!into_vlan_of_uplinks) return labels;
  for (const std::string& port : session.destination_ports) {
    if (!labels.uplinks.contains(port) && !kept.contains(port_id(port))) labels.call_uplink(port, port);
  }
  return labels;
}

PortNames names_of(const model::MirrorSettings& session, const PortLabels& labels) {
  PortNames names;
  for (const auto& [port, key] : labels.keys) {
    const bool ours = session.source_ports.contains(port) || session.destination_ports.contains(port);
    if (ours && !names.by_key.emplace(key, port).second)
      refuse(session, "two of its ports have the port key " + key);
  }
  for (const auto& [port, name] : labels.uplinks) {
    const bool ours = session.source_ports.contains(port) || session.destination_ports.contains(port);
    if (ours && !names.by_uplink.emplace(name, port).second)
      refuse(session, "two of its ports are the uplink " + name);
  }
  return names;
}

void Importer::keep(const std::string& name) {
  Kept& kept = result_.kept;
  for (const auto& [port, key] : labels_.keys) kept[port_id(port)] = key;
  for (const auto& [port, uplink] : labels_.uplinks) kept[uplink_id(port)] = uplink;
  if (!gives("name")) kept[kept_key(kUnnamed)] = name;
  const Json says = derive(session_of(result_.params), labels_);
  for (const auto& [field, value] : given_.items()) {
    if (!value.is_object() && (!says.contains(field) || says[field] != value))
      kept[kept_key(field)] = as_text(value);
  }
}

Imported Importer::run(const std::string& name) {
  check();
  Json& params = result_.params;
  params = {{"name", given_.value("name", name)},
            {"enabled", given_["enabled"]},
            {"normal_io", given_["normalTrafficAllowed"]},
            {"sources", sources()},
            {"destination", destination()},
            {"description", given_.value("description", "")},
            {"sample", given_.value("samplingRate", 1)},
            {"snaplen", given_.value("mirroredPacketLength", Json())}};
  Json complete = params;
  complete["bridge"] = "br";
  if (const auto violation = openrpc::control().check_params("mirror.add", complete))
    throw api::invalid(violation->field, violation->value, violation->sentence);
  // Only the settings that vSphere has: other settings of a session that is changed stay.
  for (auto& [member, value] : params.items()) value = complete[member];
  warn();
  keep(name);
  return std::move(result_);
}

}  // namespace

std::string port_id(const std::string& port) {
  return kept_key(kPortPrefix + port);
}

std::string uplink_id(const std::string& port) {
  return kept_key(kUplinkPrefix + port);
}

void PortLabels::call(const std::string& port, const std::string& key) {
  uplinks.erase(port);
  keys[port] = key;
}

void PortLabels::call_uplink(const std::string& port, const std::string& name) {
  keys.erase(port);
  uplinks[port] = name;
}

model::MirrorSettings session_of(const Json& params) {
  model::MirrorSettings session;
  api::apply(session, params);
  return session;
}

Imported import_session(const Json& session, const PortNames& names, const std::string& name) {
  return Importer(session, names).run(name);
}

Json export_session(const model::MirrorSettings& session, const Kept& kept, PortLabels labels) {
  check_expressible(session);
  // A session that sends an RSPAN VLAN to a port that it names has an uplink there.
  const bool to_uplinks = session.output_vlan && !session.source_ports.empty();
  labels = labels_with(std::move(labels), kept, to_uplinks, session);
  const PortNames names = names_of(session, labels);
  for (const auto& [port, direction] : session.source_ports) {
    if (labels.uplinks.contains(port) && !kept.contains(uplink_id(port)))
      refuse(session, "it mirrors the uplink " + port);
  }
  Json object = derive(session, labels);
  const std::string type = type_of(object, kept);
  if (!type.empty()) object["sessionType"] = type;
  add_kept(object, kept, {"netstack"});
  if (kept_value(kept, kUnnamed) == session.name) object.erase("name");
  Json as_given = object;
  add_kept(as_given, kept,
           {"description", "mirroredPacketLength", "samplingRate", "encapType", "erspanId", "erspanCOS",
            "erspanGraNanosec"});
  if (means(as_given, session, names)) return as_given;
  if (means(object, session, names)) return object;
  refuse(session, "it has settings that vSphere does not have");
}

}  // namespace vswitch::vsphere
