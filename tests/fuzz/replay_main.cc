// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without a fuzzer: over the files of its corpus, and over mutations of them drawn from a
// fixed seed. So the targets run in every test run, with every sanitizer, and cannot rot.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes mutated(Bytes bytes, std::minstd_rand& random) {
  for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) {
    const std::size_t at = random() % bytes.size();
    if (random() % 3 == 0) {
      bytes.resize(at + 1);
    } else {
      bytes[at] = static_cast<std::uint8_t>(random());
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t kMutations = 10'000;
  constexpr std::chrono::seconds kLongEnough{5};  // for the targets that take milliseconds per input
  std::set<std::filesystem::path> paths;          // sorted, so that the mutations are the same everywhere
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) paths.insert(entry.path());
  }
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  if (corpus.empty()) return 1;  // a test that could not fail
  for (const Bytes& bytes : corpus) LLVMFuzzerTestOneInput(bytes.data(), bytes.size());

  std::minstd_rand random(20261123);
  const auto end = std::chrono::steady_clock::now() + kLongEnough;
  std::size_t mutations = 0;
  for (; mutations < kMutations && std::chrono::steady_clock::now() < end; ++mutations) {
    const Bytes& original = corpus[mutations % corpus.size()];
    if (original.empty()) continue;
    const Bytes bytes = mutated(original, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%zu inputs, %zu mutations\n", corpus.size(), mutations);
  return 0;
}
