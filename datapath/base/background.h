// SPDX-License-Identifier: Apache-2.0
// Runs system calls that take milliseconds on a separate thread, so that forwarding does not wait for them.
#pragma once

#include <chrono>
#include <future>
#include <system_error>
#include <type_traits>
#include <utility>

#include "datapath/base/thread_annotations.h"

namespace vswitch {

/// Runs `work` on a thread of its own, a helper. If no thread can be started, `work` is not run and the
/// future is not valid.
template <typename Work>
std::future<std::invoke_result_t<Work>> in_background(Work work) {
  try {
    return std::async(std::launch::async, [work = std::move(work)]() mutable {
      const RoleScope role(roles::helper);
      return work();
    });
  } catch (const std::system_error&) {
    return {};
  }
}

/// Whether the result is there, without blocking. False for an invalid future.
template <typename T>
bool is_ready(const std::future<T>& future) {
  return future.valid() && future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

}  // namespace vswitch
