// SPDX-License-Identifier: Apache-2.0
// Decides whether a worker polls for more frames before it sleeps.
//
// Waking a sleeping thread takes longer than switching a frame. If frames follow each other closely (a
// request and its answer), it pays to stay awake for the next one; otherwise it wastes processor time. As in
// KVM's halt polling, the last gap decides: a gap longer than the limit stops polling, a shorter one starts
// it again. So an idle worker sleeps, and never polls in vain for longer than the limit.
#pragma once

#include "datapath/base/types.h"

namespace vswitch {

class Spin {
 public:
  /// 0 = never.
  void set_limit(TimeNs limit) { limit_ = limit; }
  /// Call after frames were received.
  void received(TimeNs now) {
    pays_ = now - last_ <= limit_;
    last_ = now;
  }
  bool goes_on(TimeNs now) const { return pays_ && now - last_ < limit_; }

 private:
  TimeNs limit_ = 0;
  TimeNs last_ = 0;
  bool pays_ = false;  ///< the last gap was short
};

}  // namespace vswitch
