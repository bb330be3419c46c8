// SPDX-License-Identifier: Apache-2.0
// Whether a worker looks for more frames before it sleeps.
//
// Waking a sleeping thread takes longer than switching a frame. Where frames follow each other closely (a
// request and its answer) it pays to stay awake for the next one, elsewhere it burns a processor. As in
// KVM's halt polling the last gap decides: one that was longer than the limit ends it, one that was shorter
// begins it again. So an idle worker sleeps, and it is never awake for nothing longer than the limit.
#pragma once

#include "datapath/base/types.h"

namespace vswitch {

class Spin {
 public:
  /// 0 = never.
  void set_limit(TimeNs limit) { limit_ = limit; }
  /// Frames were there.
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
