// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 and 1.3 as a filter: ciphertext in and plaintext out, plaintext in and ciphertext out. No sockets, no
// files but those of the keys, no waiting: OpenSSL works on two memory BIOs, and whoever has the socket moves the
// bytes.
//
//     socket -> feed() -> read() -> the messages of the peer
//     socket <- output() <- write() <- our messages
//
// The handshake is a part of reading: each feed() takes it as far as the bytes go, so a peer that says nothing
// costs a timer of the caller, and nobody waits for it.
//
// Both sides show a certificate and check that of the other one against the CA. Nothing is taken on trust: there
// are no session tickets (a resumed session would outlive a change of the CA), no renegotiation, no compression
// and no early data.
//
// Memory is bounded if the caller feeds a bounded piece, reads until there is nothing left, and writes again once
// output() is empty: then at most one record (16 KiB) is kept for later, and output() is what was written plus
// 1.5 times what was fed (a peer may ask for an answer in each record). Plaintext is never longer than the
// ciphertext.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;
using X509_STORE_CTX = struct x509_store_ctx_st;

namespace vswitch::wire {

/// A sentence about keys or about a peer.
struct TlsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// PEM files, as the options of Open vSwitch and the columns of its table SSL name them.
struct TlsFiles {
  std::string private_key;
  std::string certificate;  ///< with the certificates of intermediate CAs behind it, if there are any
  std::string ca_cert;      ///< of the CAs that sign certificates of peers
  /// While there is no file `ca_cert`: a client takes the CA that its first peer shows, unchecked, and ends that
  /// connection. The caller writes the file.
  bool bootstrap_ca_cert = false;

  bool operator==(const TlsFiles&) const = default;
  bool empty() const { return private_key.empty() && certificate.empty() && ca_cert.empty(); }
};

/// Keys and certificates, read and checked. Any thread.
class TlsContext {
 public:
  /// Reads regular files of at most 1 MiB. Throws TlsError with a sentence that names the file.
  static std::shared_ptr<const TlsContext> load(const TlsFiles& files);

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  const TlsFiles& files() const { return files_; }
  /// Why peers do not accept our certificate at that time: it has expired, or is not valid yet. Empty if they do.
  std::string out_of_date(std::time_t now) const;
  /// There is no CA yet: only a TlsFilter of a client is of use, to get one.
  bool learns_ca() const { return learns_ca_; }
  SSL_CTX* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const;
  };
  explicit TlsContext(TlsFiles files);
  void use_key();
  void use_certificate();
  void use_ca();

  const TlsFiles files_;
  bool learns_ca_ = false;
  std::unique_ptr<SSL_CTX, Free> context_;
};

/// One connection. One thread at a time.
class TlsFilter {
 public:
  enum class Side : unsigned char { client, server };

  /// Throws TlsError if there is no memory. A client has a greeting to send at once: output().
  TlsFilter(std::shared_ptr<const TlsContext> context, Side side);
  TlsFilter(const TlsFilter&) = delete;
  TlsFilter& operator=(const TlsFilter&) = delete;
  ~TlsFilter();

  /// What the peer has sent, cut anywhere.
  void feed(std::string_view ciphertext);
  /// Decrypts what was fed: bytes of plaintext, at most `room`; 0 if there are none yet. Throws TlsError when the
  /// connection is of no use any more: then output() may have the reason for the peer.
  std::size_t read(char* to, std::size_t room);
  /// The peer has said that it will send no more (close_notify).
  bool input_ended() const { return input_ended_; }

  /// Whether the handshake is done and the peer's certificate was accepted.
  bool established() const { return established_; }

  /// Encrypts. Only once established(). Throws TlsError.
  void write(std::string_view plaintext);
  /// Tells the peer that nothing follows (close_notify). Does nothing unless established.
  void end_output();

  /// What is to be sent, in one piece, until the next call of another function.
  std::string_view output() const;
  /// So many bytes of output() were sent.
  void sent(std::size_t bytes);

  /// The name (CN) in the peer's certificate, as UTF-8; empty if it has none, or before established().
  std::string peer_name() const;
  /// The CA certificate of the peer as PEM, if the context learns it and read() has thrown TlsError because of that.
  const std::string& learned_ca() const { return learned_ca_; }
  /// "TLSv1.3, TLS_AES_256_GCM_SHA384".
  std::string protocol() const;

 private:
  struct Free {
    void operator()(SSL* ssl) const;
  };
  struct Refusal {
    std::string subject;  ///< of the certificate that was not accepted
  };
  void shake_hands();
  [[noreturn]] void learn_ca();
  [[noreturn]] void fail();
  static int verified(int ok, X509_STORE_CTX* store);

  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<SSL, Free> ssl_;
  Refusal refusal_;
  std::string learned_ca_;
  bool established_ = false;
  bool input_ended_ = false;
};

}  // namespace vswitch::wire
