// SPDX-License-Identifier: Apache-2.0
#include "switchd/model/interface.h"

#include <array>

namespace vswitch::model {
namespace {

using I = Interface;

constexpr std::array kInterfaceColumns = {
    read_only<&I::name>("name", Effect::settings),
    plain<&I::type>("type", "type", Effect::settings),
    plain<&I::options>("options", "options", Effect::settings),
    read_only<&I::mac>("mac", Effect::settings),
    plain<&I::mtu_request>("mtu_request", "mtu_request", Effect::settings),
    plain<&I::ofport_request>("ofport_request", "ofport_request", Effect::settings),
    read_only<&I::ingress_policing_rate>("ingress_policing_rate", Effect::settings),
    read_only<&I::ingress_policing_kpkts_rate>("ingress_policing_kpkts_rate", Effect::settings),
    read_only<&I::bfd>("bfd", Effect::settings),
    read_only<&I::lldp>("lldp", Effect::settings),
    read_only<&I::other_config>("other_config", Effect::settings),
    read_only<&I::cfm_mpid>("cfm_mpid", Effect::settings),
    read_only<&I::ofport>("ofport", Effect::none),
    Column<I>{{"external_ids", "", Effect::interface_ids}},  // few ask: bridge/pattern_binder.cc reads them
};

}  // namespace

Columns<Interface> interface_columns() {
  return kInterfaceColumns;
}

Interface read_interface(const ovsdb::Row& row) {
  Interface interface;
  interface.uuid = row.uuid();
  read_columns(interface_columns(), row, interface);
  return interface;
}

}  // namespace vswitch::model
