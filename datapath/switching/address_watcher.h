// SPDX-License-Identifier: Apache-2.0
// Who wants to know that an address is not where it was.
#pragma once

#include "datapath/base/types.h"

namespace vswitch {

class MacTable;

class AddressWatcher {
 public:
  AddressWatcher() = default;
  AddressWatcher(const AddressWatcher&) = delete;
  AddressWatcher& operator=(const AddressWatcher&) = delete;
  virtual ~AddressWatcher() = default;

  /// The table has forgotten the address, or knows it on another port now. The table's lock is held, so nothing may be
  /// asked of it but lookup(). Any thread.
  virtual void forgotten(const MacTable& table, VlanId vlan, const MacAddr& mac) = 0;
};

}  // namespace vswitch
