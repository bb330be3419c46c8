// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without a fuzzer: over the files of its corpus, and over mutations of them drawn from a
// fixed seed. So the targets run in every test run, with every sanitizer, and cannot rot.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  constexpr int kMutationsPerFile = 300;
  std::minstd_rand random(20261123);
  std::size_t runs = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
      LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      ++runs;
      for (int m = 0; m < kMutationsPerFile && !bytes.empty(); ++m, ++runs) {
        auto mutated = bytes;
        for (std::size_t changes = 1 + random() % 4; changes > 0; --changes) {
          const std::size_t at = random() % mutated.size();
          if (random() % 3 == 0) {
            mutated.resize(at + 1);
          } else {
            mutated[at] = static_cast<std::uint8_t>(random());
          }
        }
        LLVMFuzzerTestOneInput(mutated.data(), mutated.size());
      }
    }
  }
  std::printf("%zu inputs\n", runs);
  return runs == 0 ? 1 : 0;  // an empty corpus would be a test that cannot fail
}
