// SPDX-License-Identifier: Apache-2.0
#include "datapath/base/steady_clock.h"

#include <ctime>

namespace vswitch {

TimeNs steady_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecondNs + now.tv_nsec;
}

}  // namespace vswitch
