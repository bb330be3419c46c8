// SPDX-License-Identifier: Apache-2.0
#include "switchd/bridge/attachment.h"

#include <stdexcept>
#include <utility>

namespace vswitch::bridge {

namespace {

bool may_follow(AttachmentState from, AttachmentState to) {
  using enum AttachmentState;
  switch (from) {
    case waiting:
      return to != waiting;
    case opening:
      return to == open || to == failed;
    case open:
    case linked:
    case failed:
    case refused:
      return to == waiting;
  }
  return false;
}

}  // namespace

const char* name(AttachmentState state) {
  switch (state) {
    case AttachmentState::waiting:
      return "waiting";
    case AttachmentState::opening:
      return "opening";
    case AttachmentState::open:
      return "open";
    case AttachmentState::linked:
      return "linked";
    case AttachmentState::failed:
      return "failed";
    case AttachmentState::refused:
      return "refused";
  }
  return "";
}

void Attachment::become(State next) {
  const auto to = static_cast<AttachmentState>(next.index());
  if (!may_follow(state(), to))
    throw std::logic_error(std::string("an attachment that is ") + name(state()) + " cannot become " +
                           name(to));
  state_ = std::move(next);
}

const std::string& Attachment::error() const {
  static const std::string kNone;
  if (const Failed* failure = failed()) return failure->error;
  if (const Refused* refusal = std::get_if<Refused>(&state_)) return refusal->error;
  return kNone;
}

}  // namespace vswitch::bridge
