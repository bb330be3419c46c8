// SPDX-License-Identifier: Apache-2.0
// Two filters back to back, with a network between them that cuts, holds back and spoils what it likes.
#include "wire/tls.h"

#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/support/certificates.h"

namespace vswitch::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::TlsContext;
using wire::TlsError;
using wire::TlsFiles;
using wire::TlsFilter;

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/vswitch-unit-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string why_not(const TlsFiles& files) {
  try {
    TlsContext::load(files);
    return "it was loaded";
  } catch (const TlsError& error) {
    return error.what();
  }
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

/// Everything that can be read now.
std::string read_all(TlsFilter& from) {
  std::string all;
  char buffer[1000];
  while (const std::size_t got = from.read(buffer, sizeof buffer)) all.append(buffer, got);
  return all;
}

/// Passes at most `most` bytes on; false if there were none.
bool carry(TlsFilter& from, TlsFilter& to, std::size_t most) {
  const std::string piece(from.output().substr(0, most));
  from.sent(piece.size());
  to.feed(piece);
  return !piece.empty();
}

class Tls : public ::testing::Test {
 protected:
  std::unique_ptr<TlsFilter> client(const TlsFiles& files) {
    return std::make_unique<TlsFilter>(TlsContext::load(files), TlsFilter::Side::client);
  }
  std::unique_ptr<TlsFilter> server(const TlsFiles& files) {
    return std::make_unique<TlsFilter>(TlsContext::load(files), TlsFilter::Side::server);
  }
  /// Until both sides have said everything, `most` bytes at a time. Throws TlsError.
  static void shake_hands(TlsFilter& one, TlsFilter& other, std::size_t most = SIZE_MAX) {
    for (bool more = true; more;) {
      more = carry(one, other, most);
      read_all(other);
      more = carry(other, one, most) || more;
      read_all(one);
    }
  }
  static std::string failure(TlsFilter& one, TlsFilter& other) {
    try {
      shake_hands(one, other);
      return "they got along";
    } catch (const TlsError& error) {
      return error.what();
    }
  }

  Directory directory_;
  Authority ours_{directory_.path(), "ours"}, theirs_{directory_.path(), "theirs"};
  TlsFiles switch_ = ours_.certify("sw1", 30, &theirs_), person_ = theirs_.certify("anna", 30, &ours_);
};

TEST_F(Tls, CarriesTextBothWaysAndSaysWhoIsThere) {
  const auto a = client(person_), b = server(switch_);
  EXPECT_THAT(b->peer_name(), IsEmpty());
  shake_hands(*a, *b);
  ASSERT_TRUE(a->established() && b->established());
  EXPECT_EQ(b->peer_name(), "anna");
  EXPECT_EQ(a->peer_name(), "sw1");
  EXPECT_THAT(a->protocol(), HasSubstr("TLSv1.3"));
  a->write("question");
  EXPECT_EQ(a->output().find("question"), std::string_view::npos) << "in clear";
  carry(*a, *b, SIZE_MAX);
  EXPECT_EQ(read_all(*b), "question");
  b->write("answer");
  carry(*b, *a, SIZE_MAX);
  EXPECT_EQ(read_all(*a), "answer");
}

TEST_F(Tls, ItMakesNoDifferenceWhereTheBytesAreCut) {
  for (const std::size_t step : {1, 2, 3, 5, 97, 1400}) {
    const auto a = client(person_), b = server(switch_);
    shake_hands(*a, *b, step);
    ASSERT_TRUE(a->established() && b->established()) << step;
    a->write("one");
    a->write("two");
    std::string got;
    while (carry(*a, *b, step)) got += read_all(*b);
    EXPECT_EQ(got, "onetwo") << step;
  }
}

TEST_F(Tls, AHandshakeThatIsCutOffAnywhereJustWaits) {
  for (std::size_t cut = 0; cut < 1200; cut += 7) {
    const auto a = client(person_), b = server(switch_);
    carry(*a, *b, cut);
    EXPECT_EQ(read_all(*b), "");
    EXPECT_FALSE(b->established()) << cut;
  }
}

TEST_F(Tls, MegabytesPassAndNothingPilesUp) {
  const auto a = client(person_), b = server(switch_);
  shake_hands(*a, *b);
  std::string text(std::size_t{5} << 20, '\0');
  std::minstd_rand random(7);
  for (char& c : text) c = static_cast<char>(random());
  std::string got;
  for (std::size_t at = 0; at < text.size(); at += 60'000) {
    a->write(std::string_view(text).substr(at, 60'000));
    EXPECT_LT(a->output().size(), 61'000U);
    while (carry(*a, *b, 9000)) got += read_all(*b);
  }
  EXPECT_TRUE(got == text);
}

TEST_F(Tls, TheEndIsSaidAndTheOtherDirectionGoesOn) {
  const auto a = client(person_), b = server(switch_);
  shake_hands(*a, *b);
  a->write("last");
  a->end_output();
  carry(*a, *b, SIZE_MAX);
  EXPECT_EQ(read_all(*b), "last");
  EXPECT_TRUE(b->input_ended());
  b->write("the answer to that");
  carry(*b, *a, SIZE_MAX);
  EXPECT_EQ(read_all(*a), "the answer to that");
}

TEST_F(Tls, AnotherAuthorityIsRefusedWithTheNameOfTheFile) {
  const Authority foreign(directory_.path(), "foreign");
  const auto a = client(foreign.certify("mallory", 30, &ours_)), b = server(switch_);
  const std::string why = failure(*a, *b);
  EXPECT_THAT(why, HasSubstr("CN=mallory"));
  EXPECT_THAT(why, HasSubstr("theirs-cacert.pem"));
  EXPECT_FALSE(b->established());
  EXPECT_FALSE(b->output().empty()) << "the peer is not told";
  carry(*b, *a, SIZE_MAX);
  EXPECT_THAT([&] { read_all(*a); }, ::testing::ThrowsMessage<TlsError>(HasSubstr("unknown ca")));
}

TEST_F(Tls, AServerOfAnotherAuthorityIsRefusedByTheClient) {
  const Authority foreign(directory_.path(), "foreign");
  const auto a = client(person_), b = server(foreign.certify("sw2", 30, &theirs_));
  EXPECT_THAT(failure(*a, *b), HasSubstr("CN=sw2"));
  EXPECT_FALSE(a->established());
}

TEST_F(Tls, WhatHasExpiredIsRefused) {
  const auto a = client(theirs_.certify("late", -3, &ours_)), b = server(switch_);
  EXPECT_THAT(failure(*a, *b), HasSubstr("expired"));
  EXPECT_THAT(TlsContext::load(theirs_.certify("late", -3))->out_of_date(std::time(nullptr)),
              HasSubstr("expired on"));
  const auto good = TlsContext::load(switch_);
  EXPECT_THAT(good->out_of_date(std::time(nullptr)), IsEmpty());
  EXPECT_THAT(good->out_of_date(std::time(nullptr) - 100 * 86400), HasSubstr("not valid before"));
}

TEST_F(Tls, AClientWithoutACertificateIsRefused) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> a(SSL_new(context.get()), SSL_free);
  SSL_set_bio(a.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(a.get());
  const auto b = server(switch_);
  std::string why;
  for (int i = 0; i < 5 && why.empty(); ++i) {
    SSL_do_handshake(a.get());
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(a.get()), &bytes);
    b->feed({bytes, static_cast<std::size_t>(size)});
    BIO_reset(SSL_get_wbio(a.get()));
    try {
      read_all(*b);
    } catch (const TlsError& error) {
      why = error.what();
    }
    BIO_write(SSL_get_rbio(a.get()), b->output().data(), static_cast<int>(b->output().size()));
    b->sent(b->output().size());
  }
  EXPECT_THAT(why, HasSubstr("no certificate"));
  EXPECT_FALSE(b->established());
}

TEST_F(Tls, WhatIsNoTlsIsRefused) {
  for (const char* text :
       {"{\"method\":\"echo\",\"id\":1,\"params\":[]}", "GET / HTTP/1.0\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage"}) {
    const auto b = server(switch_);
    b->feed(text);
    b->feed(std::string(20'000, '\xff'));
    EXPECT_THROW(read_all(*b), TlsError) << text;
    EXPECT_FALSE(b->established());
  }
}

TEST_F(Tls, ASpoiledRecordEndsIt) {
  const auto a = client(person_), b = server(switch_);
  shake_hands(*a, *b);
  a->write("account");
  std::string record(a->output());
  record[record.size() - 3] ^= 1;
  b->feed(record);
  EXPECT_THAT([&] { read_all(*b); }, ::testing::ThrowsMessage<TlsError>(HasSubstr("broken TLS")));
}

TEST_F(Tls, WhoAsksForNewKeysAllTheTimeGetsBoundedAnswers) {
  const auto context = TlsContext::load(person_);
  const std::unique_ptr<SSL, decltype(&SSL_free)> a(SSL_new(context->get()), SSL_free);
  SSL_set_bio(a.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(a.get());
  const auto b = server(switch_);
  const auto to_server = [&] {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(a.get()), &bytes);
    b->feed({bytes, static_cast<std::size_t>(size)});
    BIO_reset(SSL_get_wbio(a.get()));
    read_all(*b);
    return static_cast<std::size_t>(size);
  };
  while (SSL_do_handshake(a.get()) != 1 || !b->established()) {
    to_server();
    BIO_write(SSL_get_rbio(a.get()), b->output().data(), static_cast<int>(b->output().size()));
    b->sent(b->output().size());
  }
  std::size_t fed = 0;
  for (int i = 0; i < 1000; ++i) {
    SSL_key_update(a.get(), SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(a.get());
    fed += to_server();
  }
  EXPECT_GT(fed, 20'000U);
  EXPECT_LE(b->output().size(), fed * 3 / 2);
}

TEST_F(Tls, OldVersionsAreRefused) {
  const auto context = TlsContext::load(person_);
  SSL_CTX_set_min_proto_version(context->get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context->get(), TLS1_1_VERSION);
  SSL_CTX_set_security_level(context->get(), 0);
  TlsFilter a(context, TlsFilter::Side::client);
  const auto b = server(switch_);
  EXPECT_THAT(failure(a, *b), HasSubstr("neither TLS 1.2 nor 1.3"));
}

TEST_F(Tls, PeersOfTls12AreServed) {
  const auto context = TlsContext::load(person_);
  SSL_CTX_set_max_proto_version(context->get(), TLS1_2_VERSION);
  TlsFilter a(context, TlsFilter::Side::client);
  const auto b = server(switch_);
  shake_hands(a, *b);
  EXPECT_TRUE(b->established());
  EXPECT_THAT(b->protocol(), HasSubstr("TLSv1.2"));
}

TEST_F(Tls, KeysThatCannotBeUsedSayWhy) {
  const auto with = [&](auto change) {
    TlsFiles files = switch_;
    change(files);
    return why_not(files);
  };
  const std::string junk = directory_.path() + "/junk";
  write_file(junk, "no PEM");
  EXPECT_THAT(with([](TlsFiles& f) { f.private_key = "/nowhere/key.pem"; }),
              HasSubstr("private key /nowhere/key.pem: No such file or directory"));
  EXPECT_THAT(with([](TlsFiles& f) { f.private_key = ""; }), HasSubstr("no private key given"));
  EXPECT_THAT(with([&](TlsFiles& f) { f.private_key = person_.private_key; }), HasSubstr("does not fit"));
  EXPECT_THAT(with([&](TlsFiles& f) { f.private_key = junk; }), HasSubstr("is not a private key"));
  EXPECT_THAT(with([&](TlsFiles& f) { f.certificate = junk; }), HasSubstr("is not a certificate"));
  EXPECT_THAT(with([&](TlsFiles& f) { f.ca_cert = junk; }), HasSubstr("has no certificate"));
  EXPECT_THAT(with([](TlsFiles& f) { f.ca_cert = "none"; }), HasSubstr("always checked"));
  EXPECT_THAT(with([&](TlsFiles& f) { f.ca_cert = directory_.path(); }), HasSubstr("not a regular file"));
  EXPECT_THAT(with([](TlsFiles& f) { f.certificate = "/dev/zero"; }), HasSubstr("not a regular file"));
  write_file(junk, std::string((std::size_t{1} << 20) + 1, 'x'));
  EXPECT_THAT(with([&](TlsFiles& f) { f.ca_cert = junk; }), HasSubstr("larger than 1 MiB"));
}

TEST_F(Tls, AnEncryptedKeyIsRefusedWithoutAskingAnybody) {
  const std::string path = directory_.path() + "/locked.pem";
  ASSERT_EQ(std::system(("openssl ec -aes128 -passout pass:secret -in " + switch_.private_key + " -out " +
                         path + " 2>/dev/null")
                            .c_str()),
            0);
  TlsFiles files = switch_;
  files.private_key = path;
  EXPECT_THAT(why_not(files), HasSubstr("is encrypted"));
}

}  // namespace
}  // namespace vswitch::testing
