// SPDX-License-Identifier: Apache-2.0
// From SwitchSpec to Snapshot: names become numbers, sessions become candidate lists at the ports they
// select. Bridge by bridge: one whose spec and patch peers have not changed is the one of the last snapshot.
#pragma once

#include <memory>

#include "datapath/base/thread_annotations.h"
#include "datapath/snapshot/registry.h"
#include "datapath/snapshot/snapshot.h"
#include "datapath/snapshot/spec.h"

namespace vswitch {

/// The snapshot that implements `spec`, with the objects that `registry` holds for its names; call
/// registry.update(spec) first. Reads no clock and touches nothing that a worker reads: the same arguments
/// give the same snapshot. The registry keeps the bridges for the next call.
std::unique_ptr<Snapshot> compile(const SwitchSpec& spec, SnapshotRegistry& registry)
    REQUIRES(roles::control);

}  // namespace vswitch
