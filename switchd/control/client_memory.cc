// SPDX-License-Identifier: Apache-2.0
#include "switchd/control/client_memory.h"

#include "switchd/base/heap.h"

namespace vswitch::control {

jsonrpc::Error over_limit(const std::string& sentence) {
  return {kOverLimit, sentence, {{"error", "resources exhausted"}, {"details", sentence}}};
}

std::optional<std::string> MemoryAccount::refusal(std::size_t bytes) const {
  const ClientMemory::Limits& limits = all_->limits_;
  if (used_ + bytes > limits.client) {
    return "the requests and answers of this client exceed " + limits::mebibytes(limits.client) +
           " of memory; wait for answers and read them, or split the request";
  }
  return refusal_because_of_all(bytes);
}

std::optional<std::string> MemoryAccount::refusal_because_of_all(std::size_t bytes) const {
  const ClientMemory::Limits& limits = all_->limits_;
  if (all_->used_ + bytes > limits.all && used_ + bytes > limits.always) {
    return "the requests and answers of all clients exceed " + limits::mebibytes(limits.all) +
           " of memory; try again later";
  }
  return std::nullopt;
}

void MemoryAccount::take(std::size_t bytes) {
  used_ += bytes;
  all_->used_ += bytes;
}

void MemoryAccount::give(std::size_t bytes) {
  used_ -= bytes;
  all_->used_ -= bytes;
  heap::released(bytes);
}

MemoryShare::MemoryShare(std::shared_ptr<MemoryAccount> account, std::size_t bytes)
    : account_(std::move(account)) {
  resize(bytes);
}

MemoryShare& MemoryShare::operator=(MemoryShare&& other) noexcept {
  if (this == &other) return *this;
  release();
  account_ = std::move(other.account_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void MemoryShare::resize(std::size_t bytes) {
  if (bytes > bytes_) {
    if (const auto why = account_->refusal(bytes - bytes_)) throw over_limit(*why);
  }
  resize_anyway(bytes);
}

void MemoryShare::resize_anyway(std::size_t bytes) {
  if (bytes > bytes_) account_->take(bytes - bytes_);
  if (bytes < bytes_) account_->give(bytes_ - bytes);
  bytes_ = bytes;
}

void MemoryShare::release() {
  if (account_) resize_anyway(0);
}

}  // namespace vswitch::control
