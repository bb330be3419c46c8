// SPDX-License-Identifier: Apache-2.0
// Keys and certificates for tests, made in a moment (P-256) and written as PEM files.
#pragma once

#include <memory>
#include <string>

#include "wire/tls.h"

namespace vswitch::testing {

/// A CA with a name, and the certificates that it signs.
class Authority {
 public:
  /// `directory`: where its files and those of its certificates go.
  Authority(std::string directory, const std::string& name);
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;
  ~Authority();

  /// The file of the CA certificate.
  const std::string& file() const { return file_; }
  /// Writes NAME-privkey.pem and NAME-cert.pem; `days`: how long it is valid, negative: has been until then.
  /// Peers are to be signed by `ca`, this authority unless another one is given.
  wire::TlsFiles certify(const std::string& name, int days = 30, const Authority* ca = nullptr) const;

 private:
  struct Parts;
  std::string directory_, file_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace vswitch::testing
