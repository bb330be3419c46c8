// SPDX-License-Identifier: Apache-2.0
// The conflict rules of vSphere, as its faults describe them. They look at settings alone: a session that is
// disabled conflicts like any other.
#include "switchd/api/errors.h"
#include "switchd/vsphere/vspan_session.h"

namespace vswitch::vsphere {
namespace {

jsonrpc::Error fault(jsonrpc::Error error, const char* name, const std::vector<std::string>& keys = {}) {
  error.data["fault"] = name;
  if (!keys.empty()) error.data["sessions"] = keys;
  return error;
}

bool is_uplink(const Neighbour& one, const std::string& port) {
  return one.kept->contains(uplink_id(port));
}

std::string label(const Neighbour& one, const std::string& port) {
  const auto key = one.kept->find(port_id(port));
  return key == one.kept->end() ? port : key->second;
}

bool names_uplinks(const Json& session, const char* role) {
  const Json port = session.value(role, Json());
  return port.is_object() && port.contains("uplinkPortName") && !port["uplinkPortName"].empty();
}

void check_source_against_destination(const Neighbour& source, const Neighbour& destination) {
  for (const auto& [port, direction] : source.session->source_ports) {
    if (direction == "from" || !destination.session->destination_ports.contains(port)) continue;
    throw fault(api::conflict("sourcePortTransmitted.portKey", label(source, port),
                              "port " + port + " is a transmitted source of session " + source.session->name +
                                  " and a destination of session " + destination.session->name),
                "VspanPortConflict", {source.key, destination.key});
  }
}

void check_own_ports(const Neighbour& one) {
  for (const auto& [port, direction] : one.session->source_ports) {
    if (!one.session->destination_ports.contains(port)) continue;
    throw fault(
        api::conflict("destinationPort.portKey", label(one, port),
                      "port " + port + " is a source and a destination of session " + one.session->name),
        "VspanSameSessionPortConflict", {one.key});
  }
}

}  // namespace

void check_strictly(const Json& session) {
  for (const char* field : {"enabled", "stripOriginalVlan", "normalTrafficAllowed"}) {
    if (session.value(field, Json()).is_null())
      throw fault(api::invalid(field, nullptr, std::string(field) + " is missing"), "InvalidArgument");
  }
  for (const char* role : {"sourcePortReceived", "sourcePortTransmitted"}) {
    if (names_uplinks(session, role)) {
      throw fault(api::invalid(std::string(role) + ".uplinkPortName", session[role]["uplinkPortName"],
                               "an uplink can be a destination, not a source"),
                  "InvalidArgument");
    }
  }
  const Json length = session.value("mirroredPacketLength", Json());
  if (length.is_number() && length < kShortestCopy) {
    throw fault(api::invalid("mirroredPacketLength", length,
                             "mirroredPacketLength must be at least " + std::to_string(kShortestCopy)),
                "InvalidArgument");
  }
}

void check_strictly(const Neighbour& one, const Neighbour& other) {
  if (one.session == other.session) return check_own_ports(one);
  check_source_against_destination(one, other);
  check_source_against_destination(other, one);
  // Several sessions may share an uplink: in vSphere it is not a port of the switch.
  for (const std::string& port : one.session->destination_ports) {
    if (!other.session->destination_ports.contains(port) || is_uplink(one, port) || is_uplink(other, port))
      continue;
    throw fault(api::conflict("destinationPort.portKey", label(one, port),
                              "port " + port + " is a destination of session " + one.session->name +
                                  " and of session " + other.session->name),
                "VspanDestPortConflict", {one.key, other.key});
  }
}

}  // namespace vswitch::vsphere
