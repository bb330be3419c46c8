// SPDX-License-Identifier: Apache-2.0
#include "tests/support/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>
#include <utility>

namespace vswitch::testing {
namespace {

constexpr long kDay = 24L * 60 * 60;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

void check(bool done, const std::string& what) {
  if (!done) throw std::runtime_error("cannot " + what);
}

std::unique_ptr<std::FILE, Free> create(const std::string& path) {
  std::unique_ptr<std::FILE, Free> file(std::fopen(path.c_str(), "w"));
  check(file != nullptr, "write " + path);
  return file;
}

Certificate make(EVP_PKEY* key, const std::string& name, long from, long to) {
  static long serial = 1;
  Certificate certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x), from);
  X509_gmtime_adj(X509_getm_notAfter(x), to);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

void write(const Certificate& certificate, const std::string& path) {
  check(PEM_write_X509(create(path).get(), certificate.get()) == 1, "write " + path);
}

}  // namespace

struct Authority::Parts {
  Key key;
  Certificate certificate;
};

Authority::Authority(std::string directory, const std::string& name)
    : directory_(std::move(directory)),
      file_(directory_ + "/" + name + "-cacert.pem"),
      parts_(std::make_unique<Parts>()) {
  parts_->key.reset(EVP_EC_gen("P-256"));
  parts_->certificate = make(parts_->key.get(), name, -2 * kDay, 365 * kDay);
  X509* x = parts_->certificate.get();
  X509_set_issuer_name(x, X509_get_subject_name(x));
  X509_EXTENSION* is_ca = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
  X509_add_ext(x, is_ca, -1);
  X509_EXTENSION_free(is_ca);
  check(X509_sign(x, parts_->key.get(), EVP_sha256()) > 0, "sign");
  write(parts_->certificate, file_);
}

Authority::~Authority() = default;

wire::TlsFiles Authority::certify(const std::string& name, int days, const Authority* ca) const {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate = make(key.get(), name, days < 0 ? -365 * kDay : -kDay, days * kDay);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(parts_->certificate.get()));
  check(X509_sign(certificate.get(), parts_->key.get(), EVP_sha256()) > 0, "sign");
  wire::TlsFiles files{.private_key = directory_ + "/" + name + "-privkey.pem",
                       .certificate = directory_ + "/" + name + "-cert.pem",
                       .ca_cert = (ca == nullptr ? this : ca)->file_};
  check(PEM_write_PrivateKey(create(files.private_key).get(), key.get(), nullptr, nullptr, 0, nullptr,
                             nullptr) == 1,
        "write the key");
  write(certificate, files.certificate);
  return files;
}

}  // namespace vswitch::testing
