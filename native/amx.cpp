// Products of bf16 numbers by the CPU's tiles. Compiled for CPUs with AMX: see build.rs.

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx_product.h"

namespace {

// A row of a tile is a cache line.
constexpr uint16_t kRowBytes = 64;

// What LDTILECFG takes.
struct alignas(64) Config {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t num_rows[16] = {};
};

// The tiles of this thread while it lives: 0 to 3 hold sums, 4 and 5 rows, 6 and 7 weights.
class Tiles {
 public:
  explicit Tiles(size_t num_rows) {
    Config config;
    for (size_t tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = kRowBytes;
      config.num_rows[tile] = static_cast<uint8_t>(tile < 6 ? num_rows : kPairs);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  Tiles(const Tiles&) = delete;
  ~Tiles() { __asm__ volatile("tilerelease"); }

  template <int kTile>
  static void clear() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }

  // Rows of 16 sums or pairs, of which `stride` lie between the beginnings of two.
  template <int kTile>
  static void load(const void* first, size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,4), %%tmm%c2"
                     :
                     : "r"(first), "r"(stride), "i"(kTile)
                     : "memory");
  }

  template <int kTile>
  static void store(float* values, size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,4)"
                     :
                     : "r"(values), "r"(stride), "i"(kTile)
                     : "memory");
  }

  template <int kSums, int kLeft, int kRight>
  static void multiply_add() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0"
                     :
                     : "i"(kSums), "i"(kLeft), "i"(kRight));
  }

  // Writes [32] sums as pairs.
  template <bool kRelu>
  static void finish(const float* sums, uint32_t* out) {
    auto pairs = (__m512i)_mm512_cvtne2ps_pbh(_mm512_load_ps(sums + 16), _mm512_load_ps(sums));
    if (kRelu) {
      // Numbers with a sign are negative as integers too.
      pairs = _mm512_max_epi16(pairs, _mm512_setzero_si512());
    }
    _mm512_storeu_si512(out, pairs);
  }
};

// As in the kernel's <asm/prctl.h> and <asm/fpu/types.h>.
constexpr int kRequestPermission = 0x1023;
constexpr int kTileData = 18;

}  // namespace

extern "C" {

// Whether the kernel lets this process use tiles, which it does not without being asked.
bool ec2train_amx_request() { return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0; }

void ec2train_amx_multiply(const Product* product) { multiply<Tiles>(*product); }

}  // extern "C"
