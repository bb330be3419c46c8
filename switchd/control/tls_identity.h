// SPDX-License-Identifier: Apache-2.0
// The key and the certificates of the daemon, from its options or from the table SSL, and read again when the
// files change.
//
// Bad keys never end the daemon, and nothing is ever sent in clear instead: TLS remotes stay open, turn away
// whoever comes, and say why in their status. If a replacement cannot be used, such as while its files are being
// copied, the keys that were read before stay in use.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "datapath/base/thread_annotations.h"
#include "wire/tls.h"

namespace vswitch::control {

class TlsIdentity {
 public:
  /// Files of the command line. One that is empty, or "db:Open_vSwitch,SSL,COLUMN", is that of the table.
  explicit TlsIdentity(wire::TlsFiles given = {});

  /// The row of the table SSL, empty if there is none. Control thread.
  void set_table(const wire::TlsFiles& table);
  /// Looks whether the files have changed, and reads them if so. Control thread.
  void refresh();

  /// Writes the CA certificate that a peer has shown, if there is still none, and reads it. Control thread.
  void learn_ca(const std::string& pem, const std::string& from);

  /// nullptr if there is none. Any thread.
  std::shared_ptr<const wire::TlsContext> context() const;
  /// What is wrong with the keys, as a sentence; empty if nothing is. Any thread.
  std::string problem() const;

 private:
  void load(const wire::TlsFiles& files);
  void report(const std::string& problem);

  const wire::TlsFiles given_;
  wire::TlsFiles table_;
  wire::TlsFiles seen_;    // what `stamps_` is about
  std::string stamps_;     // of the files when they were read: which, how large, when changed
  std::string complaint_;  // about the files, if they cannot be used

  mutable Mutex mutex_;
  std::shared_ptr<const wire::TlsContext> context_ GUARDED_BY(mutex_);
  std::string problem_ GUARDED_BY(mutex_);
};

}  // namespace vswitch::control
