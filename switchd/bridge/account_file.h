// SPDX-License-Identifier: Apache-2.0
// The accounts of sessions in a file beside the database, so that their totals outlive the daemon.
//
// The file is JSON: {"version": 1, "sessions": {UUID: {"frames", "bytes", "destinations": {NAME: {"matched", ...,
// "lost": {REASON: COUNT}}}}}}. It is written whole, as another file that takes its name, so that a reader finds the
// old or the new one. There is no fsync: after a power failure the totals may be those of a minute before, or missing.
// A session that is not in it, or a file that is damaged, begins at zero.
#pragma once

#include <future>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "datapath/base/types.h"
#include "datapath/snapshot/account_totals.h"

namespace vswitch::bridge {

/// The event loop waits for the disk when it loads, before there are clients, and in the destructor.
class AccountFile {
 public:
  explicit AccountFile(std::string path) : path_(std::move(path)) {}
  /// Waits for what is being saved.
  ~AccountFile();
  AccountFile(const AccountFile&) = delete;
  AccountFile& operator=(const AccountFile&) = delete;

  /// Says in the log if there is a file, and it cannot be used.
  AccountTotals load() const REQUIRES(roles::control);
  /// Whether it is a minute since the last save(), or somebody has asked for one.
  bool is_due(TimeNs now) const { return now >= due_; }
  void ask() { due_ = 0; }
  /// Writes in the background. Says in the log if that fails, once until it works again.
  void save(AccountTotals accounts, TimeNs now) REQUIRES(roles::control);

 private:
  const std::string path_;
  TimeNs due_ = 0;
  AccountTotals saved_;
  std::string trouble_;
  std::future<std::string> saving_;  ///< the trouble that there was
};

// What it is made of:
/// Sets `trouble` to a sentence if there is a file, and it cannot be used.
AccountTotals load_accounts(const std::string& path, std::string& trouble);
/// Any thread, one at a time. Returns why it failed, as a sentence; empty if it did not.
std::string save_accounts(const std::string& path, const AccountTotals& accounts);
std::string account_text(const AccountTotals& accounts);
/// Throws std::runtime_error, or an exception of the JSON library, if the text is not what account_text() makes.
/// Reasons that this version does not know are lost copies all the same (DropReason::switch_ended).
AccountTotals parse_accounts(const std::string& text);

}  // namespace vswitch::bridge
