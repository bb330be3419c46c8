// SPDX-License-Identifier: Apache-2.0
#include "wire/tls.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace vswitch::wire {
namespace {

constexpr std::size_t kFileBytes = std::size_t{1} << 20;
constexpr long kPeerCertificateBytes = 64 * 1024;  // a chain of them

template <auto Function>
struct Call {
  template <typename T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Bio = std::unique_ptr<BIO, Call<BIO_free>>;
using Certificate = std::unique_ptr<X509, Call<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Call<EVP_PKEY_free>>;

/// The reason of the last failure in OpenSSL's words.
std::string openssl_reason() {
  const unsigned long error = ERR_peek_last_error();
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? "unknown reason" : reason;
}

TlsError no_memory() {
  return TlsError("no memory for TLS");
}

struct Descriptor {
  explicit Descriptor(int opened) : fd(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  const int fd;
};

/// `what`: "private key", for errors. Never waits: a FIFO or a device is refused.
std::string contents(const std::string& what, const std::string& path) {
  const auto failed = [&](const std::string& why) { return TlsError(what + " " + path + ": " + why); };
  if (path.empty()) throw TlsError("no " + what + " given");
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.fd < 0) {
    const int error = errno;
    throw failed(std::strerror(error) +
                 std::string(error == EACCES ? "; the user of this process must be able to read it" : ""));
  }
  struct stat found {};
  if (::fstat(file.fd, &found) != 0 || !S_ISREG(found.st_mode)) throw failed("is not a regular file");
  if (static_cast<std::size_t>(found.st_size) > kFileBytes) throw failed("is larger than 1 MiB");
  std::string text(kFileBytes, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw failed(std::strerror(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

Bio memory_of(const std::string& text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) throw no_memory();
  return bio;
}

/// Nobody is there to type a passphrase.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::string one_line(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  char* text = nullptr;
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) return "?";
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(std::max(size, 0L))};
}

std::string date(const ASN1_TIME* time) {
  const Bio bio(BIO_new(BIO_s_mem()));
  char* text = nullptr;
  if (!bio || ASN1_TIME_print(bio.get(), time) != 1) return "?";
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(std::max(size, 0L))};
}

int filter_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

}  // namespace

// ---- keys and certificates

void TlsContext::Free::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

TlsContext::TlsContext(TlsFiles files) : files_(std::move(files)), context_(SSL_CTX_new(TLS_method())) {
  if (!context_) throw no_memory();
  SSL_CTX* context = context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_cert_list(context, kPeerCertificateBytes);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  use_key();
  use_certificate();
  use_ca();
}

TlsContext::~TlsContext() = default;

std::shared_ptr<const TlsContext> TlsContext::load(const TlsFiles& files) {
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(new TlsContext(files));
}

void TlsContext::use_key() {
  const std::string text = contents("private key", files_.private_key);
  bool encrypted = false;
  const Key key(PEM_read_bio_PrivateKey(memory_of(text).get(), nullptr, no_passphrase, &encrypted));
  if (encrypted) {
    throw TlsError(
        "private key " + files_.private_key +
        ": is encrypted, and nobody can be asked for the passphrase; store it without one, readable by "
        "its user only");
  }
  if (!key || SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1)
    throw TlsError("private key " + files_.private_key + ": is not a private key in PEM form (" +
                   openssl_reason() + ")");
}

void TlsContext::use_certificate() {
  const std::string& path = files_.certificate;
  const std::string text = contents("certificate", path);
  const Bio bio = memory_of(text);
  const Certificate own(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
  if (!own)
    throw TlsError("certificate " + path + ": is not a certificate in PEM form (" + openssl_reason() + ")");
  // A key that is there already and does not fit is dropped without an error.
  if (X509_check_private_key(own.get(), SSL_CTX_get0_privatekey(context_.get())) != 1) {
    throw TlsError("private key " + files_.private_key + " does not fit the certificate " + path +
                   ": they must be of one pair");
  }
  if (SSL_CTX_use_certificate(context_.get(), own.get()) != 1)
    throw TlsError("certificate " + path + ": cannot be used: " + openssl_reason());
  while (X509* more = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context_.get(), more) == 1) continue;
    X509_free(more);
    throw TlsError("certificate " + path +
                   ": cannot use a certificate behind the first: " + openssl_reason());
  }
  ERR_clear_error();  // of the end of the file
}

void TlsContext::use_ca() {
  const std::string& path = files_.ca_cert;
  if (path == "none")
    throw TlsError("CA certificate \"none\": peers are always checked; name the certificate of their CA");
  learns_ca_ =
      files_.bootstrap_ca_cert && !path.empty() && ::access(path.c_str(), F_OK) != 0 && errno == ENOENT;
  if (learns_ca_) return;
  const std::string text = contents("CA certificate", path);
  const Bio bio = memory_of(text);
  X509_STORE* store = SSL_CTX_get_cert_store(context_.get());
  int count = 0;
  while (const Certificate ca{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (X509_STORE_add_cert(store, ca.get()) != 1 || SSL_CTX_add_client_CA(context_.get(), ca.get()) != 1)
      throw TlsError("CA certificate " + path + ": cannot be used: " + openssl_reason());
    ++count;
  }
  if (count == 0)
    throw TlsError("CA certificate " + path + ": has no certificate in PEM form (" + openssl_reason() + ")");
  ERR_clear_error();
}

std::string TlsContext::out_of_date(std::time_t now) const {
  const X509* own = SSL_CTX_get0_certificate(context_.get());
  if (X509_cmp_time(X509_get0_notAfter(own), &now) < 0) {
    return "certificate " + files_.certificate + ": expired on " + date(X509_get0_notAfter(own)) +
           "; peers do not accept it: replace it";
  }
  if (X509_cmp_time(X509_get0_notBefore(own), &now) > 0) {
    return "certificate " + files_.certificate + ": is not valid before " + date(X509_get0_notBefore(own)) +
           "; check the clock of this host";
  }
  return {};
}

// ---- a connection

void TlsFilter::Free::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

TlsFilter::TlsFilter(std::shared_ptr<const TlsContext> context, Side side)
    : context_(std::move(context)), ssl_(SSL_new(context_->get())) {
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  if (!ssl_ || in == nullptr || out == nullptr || SSL_set_ex_data(ssl_.get(), filter_index(), this) != 1) {
    BIO_free(in);
    BIO_free(out);
    throw no_memory();
  }
  SSL_set_bio(ssl_.get(), in, out);
  const bool learns = context_->learns_ca() && side == Side::client;
  SSL_set_verify(ssl_.get(), learns ? SSL_VERIFY_NONE : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                 learns ? nullptr : verified);
  if (side == Side::server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
    shake_hands();
  }
}

TlsFilter::~TlsFilter() = default;

/// OpenSSL's judgement stands; this notes whom it is about.
int TlsFilter::verified(int ok, X509_STORE_CTX* store) {
  if (ok == 1) return ok;
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* filter = static_cast<TlsFilter*>(SSL_get_ex_data(ssl, filter_index()));
  if (const X509* certificate = X509_STORE_CTX_get0_cert(store))  // the peer's own, not that of a CA
    filter->refusal_.subject = one_line(X509_get_subject_name(certificate));
  return ok;
}

void TlsFilter::feed(std::string_view ciphertext) {
  while (!ciphertext.empty()) {
    const auto piece = static_cast<int>(std::min<std::size_t>(ciphertext.size(), INT_MAX));
    const int taken = BIO_write(SSL_get_rbio(ssl_.get()), ciphertext.data(), piece);
    if (taken <= 0) throw no_memory();
    ciphertext.remove_prefix(static_cast<std::size_t>(taken));
  }
}

void TlsFilter::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1 && context_->learns_ca()) learn_ca();
  if (result == 1) {
    established_ = true;
  } else if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
    fail();
  }
}

// Of a client: a server with no CA has refused its peer.
void TlsFilter::learn_ca() {
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl_.get());
  X509* last = chain == nullptr ? nullptr : sk_X509_value(chain, sk_X509_num(chain) - 1);
  const Bio bio(BIO_new(BIO_s_mem()));
  if (last == nullptr || X509_check_issued(last, last) != X509_V_OK || !bio ||
      PEM_write_bio_X509(bio.get(), last) != 1)
    throw TlsError(
        "the peer does not show the certificate of its CA, so it cannot be taken over: copy it to " +
        context_->files().ca_cert);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  learned_ca_.assign(text, static_cast<std::size_t>(size));
  throw TlsError("the CA certificate of the peer was taken over; the next connection is checked with it");
}

std::size_t TlsFilter::read(char* to, std::size_t room) {
  if (!established_) shake_hands();
  if (!established_ || input_ended_) return 0;
  ERR_clear_error();
  std::size_t got = 0;
  const int result = SSL_read_ex(ssl_.get(), to, room, &got);
  if (result == 1) return got;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return 0;
    case SSL_ERROR_ZERO_RETURN:
      input_ended_ = true;
      return 0;
    default:
      fail();
  }
}

void TlsFilter::write(std::string_view plaintext) {
  ERR_clear_error();
  std::size_t taken = 0;
  if (plaintext.empty()) return;
  if (SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &taken) != 1 || taken != plaintext.size())
    fail();
}

void TlsFilter::end_output() {
  if (!established_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

std::string_view TlsFilter::output() const {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &bytes);
  return {bytes, static_cast<std::size_t>(std::max(size, 0L))};
}

void TlsFilter::sent(std::size_t bytes) {
  std::array<char, 16 * 1024> nowhere;
  while (bytes > 0) {
    const int taken =
        BIO_read(SSL_get_wbio(ssl_.get()), nowhere.data(), static_cast<int>(std::min(bytes, nowhere.size())));
    if (taken <= 0) return;
    bytes -= static_cast<std::size_t>(taken);
  }
}

std::string TlsFilter::peer_name() const {
  const X509* peer = established_ ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  if (peer == nullptr) return {};
  const X509_NAME* subject = X509_get_subject_name(peer);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  const std::unique_ptr<unsigned char, decltype([](unsigned char* bytes) { OPENSSL_free(bytes); })> owner(
      text);
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

std::string TlsFilter::protocol() const {
  return std::string(SSL_get_version(ssl_.get())) + ", " + SSL_get_cipher_name(ssl_.get());
}

/// The sentence that an operator needs, for what peers get wrong.
void TlsFilter::fail() {
  const unsigned long error = ERR_peek_error();  // the first: the cause of those behind it
  const char* words = error == 0 ? nullptr : ERR_reason_error_string(error);
  const std::string reason = words == nullptr ? "it broke off" : words;
  const int code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
  switch (code) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: {
      const long verdict = SSL_get_verify_result(ssl_.get());
      throw TlsError("the peer's certificate" +
                     (refusal_.subject.empty() ? "" : " (" + refusal_.subject + ")") +
                     " is not accepted: " + X509_verify_cert_error_string(verdict) +
                     "; it must be valid and signed by a CA in " + context_->files().ca_cert);
    }
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      throw TlsError("the peer shows no certificate; give it one that a CA in " + context_->files().ca_cert +
                     " has signed");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
      throw TlsError("the peer offers neither TLS 1.2 nor 1.3");
    case SSL_R_NO_SHARED_CIPHER:
      throw TlsError("the peer offers no cipher that is strong enough");
    case SSL_R_HTTP_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
      if (!established_) throw TlsError("the peer does not speak TLS (" + reason + ")");
      break;
    default:
      break;
  }
  if (code >= SSL_AD_REASON_OFFSET)
    throw TlsError("the peer ended it: " + reason +
                   " (its log may say more; does it know the CA of our certificate?)");
  throw TlsError((established_ ? "broken TLS: " : "the TLS handshake failed: ") + reason);
}

}  // namespace vswitch::wire
