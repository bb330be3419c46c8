// SPDX-License-Identifier: Apache-2.0
// The account of what clients have in the works, in bytes of memory (switchd/base/limits.h).
//
// Each client has a MemoryAccount, and all accounts draw on one ClientMemory. Whoever keeps something for a
// client holds a MemoryShare, which is refused if a bound would be exceeded, and gives the bytes back when it
// is destroyed. A client that has little is not refused because others have much.
//
// Any thread. Asking and taking are two steps, so two threads together may exceed a bound by what the echo
// thread reads at once (echo_thread.h), 64 KiB.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "schemas/jsonrpc/message.h"
#include "switchd/base/limits.h"

namespace vswitch::control {

/// JSON-RPC 2.0 leaves -32000 to -32099 to servers.
inline constexpr int kOverLimit = -32001;

/// A refusal because of a limit. In OVSDB it is the error "resources exhausted" (RFC 7047 section 3.1).
jsonrpc::Error over_limit(const std::string& sentence);

class MemoryAccount;

/// Of all clients together.
class ClientMemory {
 public:
  struct Limits {
    std::size_t client = limits::kClientBytes;
    std::size_t all = limits::kAllClientsBytes;
    std::size_t always = limits::kAlwaysBytes;
  };

  ClientMemory() = default;
  explicit ClientMemory(const Limits& limits) : limits_(limits) {}

  std::size_t used() const { return used_; }

 private:
  friend class MemoryAccount;
  Limits limits_;
  std::atomic<std::size_t> used_ = 0;
};

/// Of one client.
class MemoryAccount {
 public:
  explicit MemoryAccount(std::shared_ptr<ClientMemory> all) : all_(std::move(all)) {}
  MemoryAccount(const MemoryAccount&) = delete;
  MemoryAccount& operator=(const MemoryAccount&) = delete;

  std::size_t used() const { return used_; }
  /// Why it may not have that much more, as a sentence with the remedy; nothing if it may.
  std::optional<std::string> refusal(std::size_t bytes) const;
  /// The same, without the bound of one client.
  std::optional<std::string> refusal_because_of_all(std::size_t bytes) const;
  void take(std::size_t bytes);
  void give(std::size_t bytes);

 private:
  std::shared_ptr<ClientMemory> all_;
  std::atomic<std::size_t> used_ = 0;
};

/// A part of an account. Empty, it has nothing to do with any.
class MemoryShare {
 public:
  MemoryShare() = default;
  /// Throws over_limit() if the client may not have so much more.
  MemoryShare(std::shared_ptr<MemoryAccount> account, std::size_t bytes);
  MemoryShare(MemoryShare&& other) noexcept
      : account_(std::move(other.account_)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryShare& operator=(MemoryShare&& other) noexcept;
  ~MemoryShare() { release(); }

  std::size_t bytes() const { return bytes_; }
  /// Throws over_limit() if it grows beyond a bound; then it stays as it was.
  void resize(std::size_t bytes);
  /// For what is there already and bounded elsewhere.
  void resize_anyway(std::size_t bytes);

 private:
  void release();

  std::shared_ptr<MemoryAccount> account_;
  std::size_t bytes_ = 0;
};

}  // namespace vswitch::control
